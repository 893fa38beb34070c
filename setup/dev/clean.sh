#!/usr/bin/env bash
source "$(dirname "$0")/common.sh"

[ -d "$DEV" ] || exit 0
home=$(pg_home)
if [ "${CONFIRM:-}" != yes ]; then
    printf 'This deletes %s with its databases and backups. Type yes: ' "$DEV" >&2
    read -r answer
    [ "$answer" = yes ] || fail "nothing was deleted"
fi
"$REPO/setup/dev/postgres.sh" stop
rm -rf "$(setting PG_SOCKET true)" "$home" "$DEV"
