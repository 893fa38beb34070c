#!/usr/bin/env bash
# OCA's queue_job, auditlog and web_responsive in one database with this addon: all tests of the addon,
# then a backup while auditlog logs every change of its records.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

# From 19.0.1.0.2 on, web_responsive changes a template that Debian's Odoo does not have: its web client
# shows nothing at all then. openupgradelib is what queue_job imports.
packages=(odoo-addon-queue-job==19.0.2.4.0.1 odoo-addon-auditlog==19.0.2.0.1 odoo-addon-web-responsive==19.0.1.0.1
    openupgradelib==3.13.7)
target=$DEV/oca
export PYTHONPATH=$PYTHONPATH:$target
name=dfr_oca
log=$DEV/log/oca.log
data=$DEV/data-oca
options=(-d "$name" --stop-after-init --workers 0 --http-port "$(free_port)" --data-dir "$data"
    --addons-path "$DEV/addons,$DEV/custom_addons,$target/odoo/addons")

fetch() {
    [ "$(cat "$target/.packages" 2>/dev/null)" != "${packages[*]}" ] || return 0
    say "Fetching ${packages[*]} (once; without their dependency on PyPI's “odoo”)"
    rm -rf "$target"
    mkdir -p "$target"
    python -m pip install -q --no-deps --target "$target" "${packages[@]}" >&2 || return 1
    echo "${packages[*]}" >"$target/.packages"
}

forget() {
    dropdb --if-exists --force "$name" 2>/dev/null
    rm -rf "$data"
}

failed() { # failed WHAT
    show_failed "$log"
    fail "$1: see $log"
}

# auditlog writes down what people and the addon do with these
RULES='
names = ("plan", "job", "step", "storage", "copy")
for name in names:
    model = env["ir.model"]._get(f"backup.{name}")
    logs = dict.fromkeys(("log_create", "log_write", "log_unlink"), True)
    env["auditlog.rule"].create({"name": name, "model_id": model.id, **logs}).set_to_confirmed()
env.cr.commit()
'
LOGGED="SELECT count(DISTINCT model_id) FROM auditlog_log"

fetch || { say "OCA's addons cannot be had here: not tested"; exit 0; }
forget
say "OCA's queue_job, auditlog and web_responsive beside this addon: all of its tests"
odoo "${options[@]}" -i queue_job,auditlog,web_responsive,dfr_backup --test-tags /dfr_backup \
    >"$log" 2>&1 </dev/null || failed "tests failed"
grep -Eo '[0-9]+ failed, [0-9]+ error\(s\) of [1-9][0-9]* tests.*' "$log" || fail "no test ran: see $log"

say "a backup that auditlog looks at"
conf=$DEV/odoo-oca.conf
(umask 077 && sed -e "s|^data_dir = .*|data_dir = $data|" -e "s|^addons_path = .*|&,$target/odoo/addons|" \
    "$DEV/odoo.conf" >"$conf")
export ODOO_RC=$conf
odoo shell -d "$name" --no-http <<<"$RULES" >"$log" 2>&1 || failed "no rules"
odoo backup run -d "$name" >"$log" 2>&1 </dev/null || failed "the backup failed"
# a run changes no plan
[ "$(psql -XAtc "$LOGGED" "$name")" -ge 4 ] || fail "auditlog has not logged the changes of a run"
rm -f "$conf"
forget
