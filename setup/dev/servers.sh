#!/usr/bin/env bash
# The engine's tests that need a PostgreSQL, against another server than the system's: each day
# another one, PG_MATRIX=17 chooses. servers.sh whole [MAJOR…]: against each of them, and a backup
# with its restore by Odoo as well.
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev
cd "$REPO"
TESTS=(tests/engine/test_postgres_dump.py tests/engine/test_restore_database.py
    tests/engine/test_restore_differential.py)


available() { # available MAJOR
    "$here/pg_server.sh" "$1" && return
    say "PostgreSQL $1 cannot be had here: not tested"
    return 1
}

engine() {
    PYTHONPATH='' python -m pytest -q -p no:odoo -n 2 --dist worksteal "${TESTS[@]}" "$@"
}

# With every odd schema: what psql restores, we restore.
engine_with_all_schemas() {
    engine --all-schemas
}

# A database with the addon is backed up and restored: the restore test loads it and starts Odoo.
backup_and_restore() {
    local config=$DEV/odoo-$PG_SERVER.conf log=$DEV/log/matrix-$PG_SERVER.log name=dfr_matrix
    say "PostgreSQL $PG_SERVER: a backup, and a restore of it"
    (umask 077 && sed "s/^db_port = .*/db_port = $PGPORT/" "$DEV/odoo.conf" >"$config")
    export ODOO_RC=$config
    dropdb --if-exists --force "$name"
    {
        odoo -d "$name" -i dfr_backup --stop-after-init --no-http --workers 0 &&
            odoo backup run -d "$name" && odoo backup drill -d "$name"
    } >"$log" 2>&1 || { tail -n 30 "$log" >&2 && fail "see $log"; }
    dropdb --force "$name"
    rm -rf "$config" "$DEV/data/filestore/$name" "$DEV/data/dfr_backup/backups/$name"
}

rotation() {
    local day turn major
    day=$(date +%-j)
    for turn in "${!known[@]}"; do # the next ones when one cannot be had
        major=${PG_MATRIX:-${known[(day + turn) % ${#known[@]}]}}
        available "$major" || continue
        say "PostgreSQL $major (PG_MATRIX=… chooses another of $PG_SERVERS)"
        exec "$0" on "$major" engine
    done
    fail "none of PostgreSQL $PG_SERVERS can be had here"
}

whole() {
    local major failed=0 results=()
    say "The system's PostgreSQL: every schema"
    if (TESTS=(tests/engine/test_restore_differential.py) && eval "$("$here/env.sh")" && engine --all-schemas); then
        results+=("the system's PostgreSQL: passed")
    else
        results+=("the system's PostgreSQL: FAILED")
        failed=1
    fi
    for major in "$@"; do
        if ! available "$major"; then
            results+=("PostgreSQL $major: cannot be had here")
        elif "$0" on "$major" engine_with_all_schemas backup_and_restore; then
            results+=("PostgreSQL $major: passed")
        else
            results+=("PostgreSQL $major: FAILED")
            failed=1
        fi
    done
    say "The matrix"
    printf '%s\n' "${results[@]}"
    exit $failed
}

read -ra known <<<"$PG_SERVERS"
case ${1:-} in
'') rotation ;;
whole)
    shift
    [ $# -gt 0 ] || set -- "${known[@]}"
    whole "$@" ;;
on) # on MAJOR PART…: in a process of its own, which one failure ends
    export PG_SERVER=$2
    shift 2
    "$here/postgres.sh" start
    trap '"$here/postgres.sh" stop' EXIT
    eval "$("$here/env.sh")"
    for part in "$@"; do "$part"; done ;;
*) fail "usage: servers.sh [whole [MAJOR…]]" ;;
esac
