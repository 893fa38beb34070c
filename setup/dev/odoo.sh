#!/usr/bin/env bash
# Odoo 19, from the package of Debian's unstable suite, unpacked into $DEV.
source "$(dirname "$0")/common.sh"

# What every run here is tested with. “any” takes what Debian has today.
ODOO_VERSION=${ODOO_VERSION:-19.0.0+dfsg-1}

if [ -n "${ODOO_HOME:-}" ]; then
    [ -f "$ODOO_HOME/odoo/release.py" ] || fail "ODOO_HOME=$ODOO_HOME holds no odoo/release.py"
    exit 0
fi
have=$(cat "$ODOO_PREFIX/.complete" 2>/dev/null || true)
[ "$have" != "$ODOO_VERSION" ] || exit 0
[ "$ODOO_VERSION" != any ] || [ -z "$have" ] || exit 0

APT_LESS="set ODOO_HOME to a checkout of Odoo 19"
source "$REPO/setup/dev/debs.sh"

say "Fetching Odoo 19 (123 MB, once)"
open_suite unstable
there=$(apt_in apt-cache madison odoo-19 | awk '{ print $3 }')
[ -n "$there" ] || fail "Debian's unstable suite has no odoo-19: set ODOO_HOME to a checkout of Odoo 19"
newest=${there%%$'\n'*}
[ "$ODOO_VERSION" != any ] || ODOO_VERSION=$newest
if ! grep -qxF "$ODOO_VERSION" <<<"$there"; then
    printf '%s\n' >&2 "Debian has no odoo-19 $ODOO_VERSION any more; it has $newest." \
        "To work with that one:      export ODOO_VERSION=any, and run the same command again" \
        "To move the project to it:  change ODOO_VERSION in setup/dev/odoo.sh, and run make test"
    fail "Odoo's version is gone"
fi

rm -rf "$ODOO_PREFIX"
# the static files of Odoo's package are links into the others
fetch_debs "odoo-19=$ODOO_VERSION" libjs-jquery libjs-jquery-form libjs-underscore \
    fonts-roboto-unhinted fonts-montserrat fonts-inconsolata
(
    cd "$apt_state/debs"
    # the stable release's 4.7: the newer one has other paths
    apt-get -q -o APT::Sandbox::User="$(id -un)" download fonts-font-awesome >&2
)
unpack_debs "$ODOO_PREFIX"
echo "$ODOO_VERSION" >"$ODOO_PREFIX/.complete"
