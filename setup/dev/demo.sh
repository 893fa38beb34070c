#!/usr/bin/env bash
# A real Odoo backs itself up, and Odoo's own "db load" restores the archive.
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev
eval "$("$here/env.sh")"
log=$DEV/log/demo.log

quietly() { "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "“$*” failed: see $log"; }; }
exists() { psql -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = '$1'" | grep -q 1; }
installed() { psql -d demo -Atc "SELECT 1 FROM ir_module_module WHERE name = '$1' AND state = 'installed'" | grep -q 1; }

"$here/demo_addon.sh"
if ! exists demo || ! installed dfr_demo_library; then
    say "Creating the database “demo” with several apps and demo data (a minute or two, once)"
    dropdb --if-exists demo
    rm -rf "$DEV/data/filestore/demo"
    quietly odoo -d demo -i contacts,crm,sale_management,project,dfr_demo_library --with-demo \
        --stop-after-init --workers 0
fi
quietly odoo shell -d demo --no-http <"$here/demo_content.py"
sources=$(cd "$REPO" && find dfr_backup -type f ! -name '*.pyc' -exec sha256sum {} + | sort | sha256sum)
if ! installed dfr_backup; then
    say "Installing dfr_backup"
    quietly odoo -d demo -i dfr_backup --stop-after-init --workers 0
elif [ "$(cat "$DEV/demo.sources" 2>/dev/null)" != "$sources" ]; then
    quietly odoo -d demo -u dfr_backup --stop-after-init --workers 0
fi
echo "$sources" >"$DEV/demo.sources"

say "Backing up: the same as the button “Run Backup Now”"
result=$DEV/demo.json
odoo backup run -d demo --json >"$result" || { cat "$result" >&2; fail "the backup did not succeed"; }
archive=$(python "$here/report.py" "$result")

say "Restoring it with Odoo's own “odoo db load” into “demo_restored”"
dropdb --if-exists demo_restored
rm -rf "$DEV/data/filestore/demo_restored"
quietly odoo db load demo_restored "$archive"
python "$here/compare.py" demo_restored "$DEV/data" "${archive%.zip}.json"

say "The archive:  $archive"
say "Look at it:   make serve, then http://127.0.0.1:$(setting HTTP_PORT true)/odoo/backups (admin / admin)"
