#!/usr/bin/env bash
# restic, which `make bench WHAT=days` measures beside ours: from Debian's unstable suite, unpacked into
# .dev. A machine that cannot have it measures without.
source "$(dirname "$0")/common.sh"

root=$DEV/restic
if [ ! -x "$root/usr/bin/restic" ]; then
    APT_LESS="restic cannot be fetched"
    source "$REPO/setup/dev/debs.sh"
    say "Fetching restic from Debian's unstable suite (once)"
    open_suite unstable
    fetch_debs restic
    rm -rf "$root"
    unpack_debs "$root"
fi
"$root/usr/bin/restic" version >&2
