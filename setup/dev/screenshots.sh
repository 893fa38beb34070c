#!/usr/bin/env bash
# The pictures of the README, taken from the demo database.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"

psql -Atqd demo -c "SELECT 1" >/dev/null 2>&1 || fail "there is no database yet: run “make demo” first"
port=$(free_port)
odoo -d demo --db-filter '^demo$' --http-port "$port" --logfile "$DEV/log/screenshots.log" &
server=$!
trap 'kill $server; wait $server || true' EXIT
for _ in $(seq 120); do
    python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/web/health')" 2>/dev/null && break
    sleep 0.5
done
python "$REPO/setup/dev/screenshots.py" "http://127.0.0.1:$port" "$REPO/docs/images"
