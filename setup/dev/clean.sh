#!/usr/bin/env bash
source "$(dirname "$0")/common.sh"

[ -d "$DEV" ] || exit 0
home=$(pg_home)
if [ "${CONFIRM:-}" != yes ]; then
    printf 'This deletes %s with its databases and backups. Type yes: ' "$DEV" >&2
    read -r answer
    [ "$answer" = yes ] || fail "nothing was deleted"
fi
for server in '' $PG_SERVERS; do
    PG_SERVER=$server "$REPO/setup/dev/postgres.sh" stop
    rm -rf "$(PG_SERVER=$server server_setting PG_SOCKET true)"
done
rm -rf "$home" "$DEV"
