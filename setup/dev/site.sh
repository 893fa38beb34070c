#!/usr/bin/env bash
# Build the documentation as a website in .dev/site, and end with an error for each link that leads
# nowhere. Links to other servers are tried with LINKS=1 only.
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev/site
unset PYTHONPATH # with Odoo on it, pip would count what Odoo needs

# In a virtual environment of its own: Sphinx wants an older docutils than Odoo has here.
venv=$DEV/site-venv
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
requirements=$here/requirements.lock
[ "$python" = "$LOCK_PYTHON" ] || requirements=$here/requirements.txt
wanted="$python $(sha256sum <"$requirements")"
if [ "$(cat "$venv/.requirements" 2>/dev/null)" != "$wanted" ]; then
    say "Installing Sphinx"
    mkdir -p "$DEV"
    if ! python3 -m venv --clear "$venv" || ! "$venv/bin/pip" install -q -r "$requirements" >&2; then
        fail "Sphinx cannot be installed here: the pages are written, the site is not built"
    fi
    echo "$wanted" >"$venv/.requirements"
fi

# All anew each time, because a page that is not read again gives no warning.
build() { # build BUILDER DIRECTORY
    rm -rf "$2"
    "$venv/bin/sphinx-build" -q -E -b "$1" -W --keep-going -c "$here" -d "$DEV/site-doctrees" "$REPO/docs" "$2"
}
build html "$DEV/site"
[ -z "${LINKS:-}" ] || build linkcheck "$DEV/site-links"
say "Site: $DEV/site/index.html"
