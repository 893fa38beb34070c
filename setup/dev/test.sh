#!/usr/bin/env bash
# Every test, the fast ones first: test.sh [RING…]; the rings stand below.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"
RINGS=(lint engine storages coverage servers addon faults e2e)
LONGER=(release) # only when it is asked for
# three at once: most of them wait for a server, a disk or a start of Odoo now and then; more
# disturb each other
at_once=(-n 3 --dist worksteal)
export COVERAGE_FILE=$DEV/coverage/data

lint() { setup/dev/lint.sh; }

# engine and storages together are measured, when the ring “coverage” asks for it
measured=()
without_odoo() {
    PYTHONPATH='' python -m pytest -q -p no:odoo --timeout 240 "${at_once[@]}" "${measured[@]}" "$@"
}

# Beside others on a busy machine a server can be later than a test waits: one that passes alone is
# named, so that it is looked at, and fails nothing. With none to repeat this fails.
alone() {
    say "Failed beside others: once more, one at a time"
    python -m pytest -v -p no:odoo --last-failed --last-failed-no-failures none "$@"
}

engine() {
    say "tests/engine: no Odoo, no database"
    # some tests use it, where it can be had
    setup/dev/promtool.sh >/dev/null || say "no promtool here: its tests are skipped"
    # Its hook hears each tracing: beside it, Python 3.11 lets threads that are measured end before
    # they have begun ("another trace function is being installed"), and who waits for them hang.
    local hooked=tests/engine/test_power_loss.py
    without_odoo tests/engine --ignore "$hooked" || alone tests/engine --ignore "$hooked"
    (measured=() && without_odoo "$hooked")
}

storages() {
    say "tests/storages: real storage servers on loopback, no Odoo"
    without_odoo tests/storages || alone tests/storages
}

coverage() { setup/dev/coverage.sh floor; }

servers() {
    setup/dev/servers.sh
}

addon() {
    say "dfr_backup/tests: Odoo's runner"
    local log=$DEV/log/test-addon.log
    dropdb --if-exists dfr_test
    if ! odoo -d dfr_test -i dfr_backup --test-tags /dfr_backup --stop-after-init --workers 0 \
        --http-port "$(free_port)" >"$log" 2>&1; then
        show_failed "$log"
        tail -n 40 "$log" >&2
        fail "see $log"
    fi
    # Odoo's runner is content with no test at all
    grep -Eo '[0-9]+ failed, [0-9]+ error\(s\) of [1-9][0-9]* tests.*' "$log" || fail "no test ran: see $log"
    say "some of the same by pytest-odoo, which whoever writes them uses"
    # all of it once more found nothing in months, and cost six minutes
    python -m pytest -q -W ignore::DeprecationWarning --odoo-database=dfr_test \
        dfr_backup/tests/test_backup_{job,plan,storage}.py dfr_backup/tests/test_security.py
    say "tests/addons: another addon adds a kind of storage and a kind of run"
    if ! odoo -d dfr_test -i dfr_backup_memory --test-tags /dfr_backup_memory --stop-after-init --workers 0 \
        --addons-path "$DEV/addons,$DEV/custom_addons,$REPO/tests/addons" --http-port "$(free_port)" >"$log" 2>&1; then
        show_failed "$log"
        fail "see $log"
    fi
    grep -Eo '[0-9]+ failed, [0-9]+ error\(s\) of [1-9][0-9]* tests.*' "$log" || fail "no test ran: see $log"
    dropdb --if-exists --force dfr_test
}

of_e2e() { # of_e2e MARKERS
    python -m pytest -q -p no:odoo "${at_once[@]}" -m "$1" tests/e2e || alone -m "$1" tests/e2e
}

e2e() {
    say "tests/e2e: real server, real PostgreSQL, real browser"
    of_e2e "not release"
}

release() {
    say "tests/e2e: what takes too long for each change"
    of_e2e release
}

faults() {
    say "tests/faults: the short part of make faults"
    python -m pytest -q -p no:odoo -m short tests/faults
}

# The runner of Odoo keeps one processor busy, and faults mostly wait: together they take little more
# than one of them. What the first one prints comes when both have ended.
beside() { # beside RING RING
    local log=$DEV/log/test-beside.out first status=0
    "$1" >"$log" 2>&1 &
    first=$!
    "$2"
    wait "$first" || status=$?
    cat "$log" >&2
    return "$status"
}

asked=("$@")
[ $# -gt 0 ] && [ "$1" != all ] || asked=("${RINGS[@]}")
for ring in "${asked[@]}"; do
    [[ " ${RINGS[*]} ${LONGER[*]} " = *" $ring "* ]] || fail "there is no ring “$ring”, but: ${RINGS[*]} ${LONGER[*]}"
done
if [[ " ${asked[*]} " = *" coverage "* ]]; then
    # added up below, and judged by the ring “coverage” alone
    measured=(--cov --cov-append --cov-report= --cov-fail-under=0)
    rm -rf "$DEV/coverage"
    mkdir -p "$DEV/coverage"
fi

times=()
note_time() { times+=("$(printf '%-12s %3d:%02d%s' "$ring" $((took / 60)) $((took % 60)) "$1")"); }
summary() {
    wait # for what runs beside a ring that has failed
    if [ -n "${begin:-}" ]; then
        took=$((SECONDS - begin))
        note_time "  failed"
    fi
    [ ${#times[@]} = 0 ] || { say "Minutes for each ring" && printf '%s\n' "${times[@]}" >&2; }
}
trap summary EXIT
together=" ${asked[*]} "
read -ra asked <<<"${together/ addon faults / addon+faults }"
addon+faults() { beside addon faults; }
for ring in "${asked[@]}"; do
    begin=$SECONDS
    "$ring"
    took=$((SECONDS - begin)) begin=''
    note_time ""
done
