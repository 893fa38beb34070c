#!/usr/bin/env bash
# Every test, the fast ones first: test.sh [engine] [storages] [addon] [e2e]
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"
# two at once: most of them wait for a server or a disk now and then; more disturb each other
at_once=(-n 2 --dist worksteal)

engine() {
    say "tests/engine: no Odoo, no database"
    PYTHONPATH='' python -m pytest -q -p no:odoo "${at_once[@]}" tests/engine
}

storages() {
    say "tests/storages: real storage servers on loopback, no Odoo"
    PYTHONPATH='' python -m pytest -q -p no:odoo "${at_once[@]}" tests/storages
}

addon() {
    say "dfr_backup/tests: Odoo's runner"
    local log=$DEV/log/test-addon.log
    dropdb --if-exists dfr_test
    if ! odoo -d dfr_test -i dfr_backup --test-tags /dfr_backup --stop-after-init --workers 0 \
        --http-port "$(free_port)" >"$log" 2>&1; then
        grep -E '^(ERROR|FAIL)|ERROR|FAIL:' "$log" | head -n 40 >&2
        tail -n 40 "$log" >&2
        fail "see $log"
    fi
    # Odoo's runner is content with no test at all
    grep -Eo '[0-9]+ failed, [0-9]+ error\(s\) of [1-9][0-9]* tests.*' "$log" || fail "no test ran: see $log"
    say "the same by pytest-odoo"
    python -m pytest -q -W ignore::DeprecationWarning --odoo-database=dfr_test dfr_backup/tests
    dropdb --if-exists --force dfr_test
}

e2e() {
    say "tests/e2e: real server, real PostgreSQL, real browser"
    python -m pytest -q -p no:odoo "${at_once[@]}" tests/e2e
    say "tests/faults: the short part of make faults"
    python -m pytest -q -p no:odoo -m short tests/faults
}

for ring in "${@:-all}"; do
    case $ring in
    engine | storages | addon | e2e) "$ring" ;;
    all) engine
        storages
        addon
        e2e ;;
    *) fail "usage: test.sh [engine] [storages] [addon] [e2e]" ;;
    esac
done
