#!/usr/bin/env bash
# Our backup beside Odoo's own dump and OCA's auto_backup: bench.sh [--size MIB] [--rounds N] [--web]
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

target=$DEV/bench/oca
if [ ! -e "$target/.tried" ]; then
    say "Fetching OCA auto_backup for comparison (once; without its dependency on PyPI's “odoo”)"
    rm -rf "$target"
    mkdir -p "$target"
    python -m pip install -q --no-deps --target "$target" \
        "odoo-addon-auto-backup==19.0.*" pysftp "paramiko<4" bcrypt pynacl >&2 ||
        say "auto_backup cannot be had here: measuring without it"
    touch "$target/.tried"
fi
exec python -m bench "$@"
