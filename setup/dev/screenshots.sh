#!/usr/bin/env bash
# Every picture of the documentation, or those that are named: a company with a month of backups is
# served and looked at. screenshots.sh [NAME…]
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev
eval "$("$here/env.sh")"
name=oakfield
log=$DEV/log/screenshots.log
: >"$log"

psql -Atqd demo -c "SELECT 1" >/dev/null 2>&1 || fail "there is no database yet: run “make demo” first"
quietly() { "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "“$*” failed: see $log"; }; }
answers() { # answers URL: wait until a server does
    for _ in $(seq 240); do
        curl -sf -o /dev/null "$1" && return
        sleep 0.5
    done
    fail "$1 does not answer: see $log"
}

started=()
tidy() {
    for process in "${started[@]}"; do
        kill "$process" 2>/dev/null && wait "$process" || true
    done
    dropdb --if-exists --force "$name" 2>>"$log"
    rm -rf "$data"
}
# paths are in the pictures: those of this checkout tell a reader nothing
data=${PICTURES_DATA:-/var/tmp/odoo}
[ ! -e "$data" ] || fail "$data is there already: name another directory in PICTURES_DATA"
mkdir -m 700 "$data"
trap tidy EXIT
sed "s|^data_dir = .*|data_dir = $data|" "$DEV/odoo.conf" >"$data/odoo.conf"
export ODOO_RC=$data/odoo.conf
export DFR_BACKUP_WATCH_HOSTS='*.oakfield.example'
export FILESTORE=$data/filestore/$name
export LOCAL_STORAGE=$data/dfr_backup/backups/$name LARGE_FILES=${LARGE_FILES:-24}

say "A copy of the demo, and an S3 server beside it"
dropdb --if-exists --force "$name" 2>>"$log"
createdb -T demo "$name"
mkdir -p "$data/filestore"
cp -a "$DEV/data/filestore/demo" "$data/filestore/$name"
far_port=$(free_port)
export FAR_SERVER=http://localhost:$far_port
moto_server -H 127.0.0.1 -p "$far_port" >>"$log" 2>&1 &
started+=($!)
answers "$FAR_SERVER/moto-api/"
quietly curl -sf -X PUT "$FAR_SERVER/oakfield-backups"

say "A month of backups"
content() { quietly env PART="$1" odoo shell -d "$name" --no-http <"$here/screenshots_content.py"; }
both() {
    quietly odoo backup run -d "$name" --plan "Database, every hour"
    quietly odoo backup run -d "$name" --plan "Every night"
}
quietly odoo -d "$name" -u dfr_backup --stop-after-init --workers 0
content plans
both
content past
both
quietly odoo backup drill -d "$name" --plan "Database, every hour"
quietly odoo backup drill -d "$name" --plan "Every night"
content settle

say "The pictures"
port=$(free_port)
odoo -d "$name" --db-filter "^$name\$" --http-port "$port" --max-cron-threads 0 >>"$log" 2>&1 &
started+=($!)
answers "http://127.0.0.1:$port/web/health"
python "$here/screenshots.py" "http://127.0.0.1:$port" "$REPO/docs/images" "$@"
python "$here/artwork.py" "$REPO/dfr_backup/static/description" "$REPO/docs/images"
