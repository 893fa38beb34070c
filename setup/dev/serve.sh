#!/usr/bin/env bash
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"

psql -Atqd demo -c "SELECT 1" >/dev/null 2>&1 || fail "there is no database yet: run “make demo” first"
echo "Odoo:  http://127.0.0.1:$(setting HTTP_PORT true)/odoo/backups   login admin, password admin"
echo "Ctrl-C ends it."
exec odoo -d demo --db-filter '^demo$' "$@" --logfile "$DEV/log/serve.log"
