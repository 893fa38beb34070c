#!/usr/bin/env bash
# promtool, which checks the rules of examples/prometheus: promtool.sh prints the path of its program,
# unpacked into .dev. An installed package would start Prometheus as a service.
source "$(dirname "$0")/common.sh"

root=$DEV/promtool
program=$root/usr/bin/promtool
if [ ! -x "$program" ]; then
    APT_LESS="promtool cannot be fetched"
    source "$REPO/setup/dev/debs.sh"
    say "Fetching promtool from Debian's bookworm (19 MB, once)"
    open_suite bookworm
    fetch_debs prometheus
    rm -rf "$root" "$root.part"
    unpack_debs "$root.part"
    mkdir -p "$root/usr/bin"
    mv "$root.part/usr/bin/promtool" "$program"
    rm -rf "$root.part"
fi
echo "$program"
