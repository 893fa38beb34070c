#!/usr/bin/env bash
# Side by side: bench.sh [backup|transfer|restore|days|all] [OPTION…], where every part has --size MIB and
# --rounds N. Backups beside Odoo's own dump and OCA's auto_backup; transfers to and from S3 beside boto3
# and rclone; restores beside Odoo's own; days of incremental backups beside complete ones and restic.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

what=all
case ${1:-} in
backup | transfer | restore | days | all)
    what=$1
    shift ;;
esac

target=$DEV/bench/oca
if [ "$what" != days ] && [ ! -e "$target/.tried" ]; then
    say "Fetching OCA auto_backup for comparison (once; without its dependency on PyPI's “odoo”)"
    rm -rf "$target"
    mkdir -p "$target"
    python -m pip install -q --no-deps --target "$target" \
        "odoo-addon-auto-backup==19.0.*" pysftp "paramiko<4" bcrypt pynacl >&2 ||
        say "auto_backup cannot be had here: measuring without it"
    touch "$target/.tried"
fi
[ "$what" != all ] && [ "$what" != backup ] || python -m bench "$@"
[ "$what" != all ] && [ "$what" != transfer ] || python -m bench.transfer "$@"
[ "$what" != all ] && [ "$what" != restore ] || python -m bench.restore "$@"
if [ "$what" = all ] || [ "$what" = days ]; then
    "$REPO/setup/dev/restic.sh" || say "restic cannot be had here: measuring without it"
    python -m bench.days "$@"
fi

