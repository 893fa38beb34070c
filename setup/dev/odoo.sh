#!/usr/bin/env bash
# Odoo 19, from the package of Debian's unstable suite, unpacked into $DEV: nothing of the system
# changes. The mirror is the one that this machine's apt uses already.
source "$(dirname "$0")/common.sh"

if [ -n "${ODOO_HOME:-}" ]; then
    [ -f "$ODOO_HOME/odoo/release.py" ] || fail "ODOO_HOME=$ODOO_HOME holds no odoo/release.py"
    exit 0
fi
[ -f "$ODOO_PREFIX/.complete" ] && exit 0
command -v apt-get >/dev/null || fail "no apt here: set ODOO_HOME to a checkout of Odoo 19"

say "Fetching Odoo 19 (123 MB, once)"
state=$DEV/apt
rm -rf "$state" "$ODOO_PREFIX"
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/debs" "$ODOO_PREFIX"
# shellcheck disable=SC2016 # apt fills it in
site() { apt-get indextargets --format '$(SITE)' 2>/dev/null | head -n 1; }
mirror=$(site)
if [ -z "$mirror" ]; then # a machine that never ran apt-get update
    apt-get update -q >&2
    mirror=$(site)
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
printf 'deb [signed-by=%s] %s unstable main\n' "$keyring" "$mirror" >"$state/sources.list"
unstable=(-o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache"
    -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "APT::Sandbox::User=$(id -un)" -q)

# the static files of Odoo's package are links into these
apt-get "${unstable[@]}" update >&2
(
    cd "$state/debs"
    apt-get "${unstable[@]}" download odoo-19 libjs-jquery libjs-jquery-form libjs-underscore \
        fonts-roboto-unhinted fonts-montserrat fonts-inconsolata >&2
    # the stable release's 4.7: the newer one has other paths
    apt-get -q -o APT::Sandbox::User="$(id -un)" download fonts-font-awesome >&2
)
for deb in "$state"/debs/*.deb; do
    dpkg-deb -x "$deb" "$ODOO_PREFIX"
done
rm -rf "$state"
touch "$ODOO_PREFIX/.complete"
