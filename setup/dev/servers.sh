#!/usr/bin/env bash
# The engine's tests that need a PostgreSQL, against another server than the system's: each day
# another one, PG_MATRIX=17 chooses. servers.sh whole [MAJOR…]: against each of them and the system's,
# and by Odoo a backup with each pg_dump that is not older than the server, its restore and its
# restore test; then what newer servers have dumped, restored in older ones by us and by hand.
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev
cd "$REPO"
TESTS=(tests/engine/test_postgres_dump.py tests/engine/test_restore_database.py
    tests/engine/test_restore_differential.py)
RESTRICTED=17 # from here on a dump begins with a line that older servers do not know
kept=$DEV/matrix # MAJOR/…zip: an archive of that server, by pg_dump of that version

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

# What there is beside the system's and the server's own must have been unpacked: see whole.
pg_dumps() { # pg_dumps MAJOR: “version path” of each that is not older
    local version program
    for version in $(tr ' ' '\n' <<<"$PG_SERVERS $PG_MAJOR" | sort -n); do
        program=$(PG_SERVER=$version pg_bin)/pg_dump
        [ "$version" -lt "$1" ] || [ ! -x "$program" ] || echo "$version $program"
    done
}

# A database with the addon is backed up, restored, and restored as a test, which starts Odoo.
backup_and_restore() {
    local name=dfr_matrix version program
    backups=$DEV/data/dfr_backup/backups/$name
    write_conf
    rm -rf "$backups"
    forget "$name"
    logged odoo -d "$name" -i dfr_backup --stop-after-init --no-http --workers 0
    while read -r version program; do
        say "PostgreSQL $major, pg_dump $version: a backup, its restore, its restore test"
        write_pg_dump "$program"
        backup_with "$version"
    done < <(pg_dumps "$major")
    forget "$name"
    rm -rf "$ODOO_RC" "$pg_path" "$backups"
}

# The configuration of an Odoo on this server; pg_path has no programs yet.
write_conf() {
    export ODOO_RC=$DEV/odoo-$major.conf
    pg_path=$DEV/pg_dump-$major
    log=$DEV/log/matrix-$major.log
    (umask 077 && sed "s/^db_port = .*/db_port = $PGPORT/" "$DEV/odoo.conf" >"$ODOO_RC")
    echo "pg_path = $pg_path" >>"$ODOO_RC"
    rm -rf "$pg_path"
    mkdir -p "$pg_path"
}

logged() { # logged COMMAND…
    "$@" >"$log" 2>&1 </dev/null || { tail -n 30 "$log" >&2 && fail "see $log"; }
}

# The addon takes the oldest program that the server accepts: this one says that it is as old.
write_pg_dump() { # write_pg_dump PROGRAM
    cat >"$pg_path/pg_dump" <<SH
#!/bin/sh
[ "\$1" != --version ] || { echo "pg_dump (PostgreSQL) $major"; exit; }
exec "$1" "\$@"
SH
    chmod +x "$pg_path/pg_dump"
}

backup_with() { # backup_with VERSION
    local archive
    logged odoo backup run -d "$name"
    archive=$(find "$backups" -name '*.zip' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
    unzip -p "$archive" dump.sql | grep -a "^-- Dumped by pg_dump version $1" >/dev/null ||
        fail "$archive was not dumped by pg_dump $1"
    if [ "$1" = "$major" ] && [ "$1" -ge "$RESTRICTED" ]; then
        mkdir -p "$kept/$1"
        cp "$archive" "${archive%.zip}.json" "$kept/$1"
    fi
    forget "${name}_restored"
    logged odoo backup restore "$archive" --to "${name}_restored"
    logged odoo backup drill -d "$name"
    forget "${name}_restored"
}

# What newer servers have dumped: refused, until that is accepted; and by hand, as the page says.
restore_from_newer() {
    local name=dfr_matrix_newer archive source
    write_conf
    for archive in "$kept"/*/*.zip; do
        source=$(basename "$(dirname "$archive")")
        say "PostgreSQL $major: what pg_dump $source has dumped from a server $source"
        forget "$name"
        ! odoo backup restore "$archive" --to "$name" >"$log" 2>&1 </dev/null ||
            fail "a dump of PostgreSQL $source was restored into $major without a question"
        grep -e '--accept postgres_older' "$log" >/dev/null || fail "refused for another reason: see $log"
        logged odoo backup restore "$archive" --to "$name" --accept postgres_older
        logged python "$here/compare.py" "$name" "$DEV/data" "${archive%.zip}.json"
        dropdb --force "$name" # its files stay, and are compared again
        createdb -T template0 -E UTF8 "$name"
        PATH=$(PG_SERVER=$source pg_bin):$PATH logged bash -o pipefail -c "$(line_by_hand "$archive" "$name")"
        logged python "$here/compare.py" "$name" "$DEV/data" "${archive%.zip}.json"
    done
    forget "$name"
    rm -rf "$ODOO_RC" "$pg_path"
}

line_by_hand() { # line_by_hand ARCHIVE DATABASE: as the page has it
    local page=docs/containers.rst line
    line=$(sed -n '/^    unzip -p ARCHIVE\.zip /,/ -d NEWDB$/p' "$page")
    [ -n "$line" ] || fail "$page says no more how a dump is loaded by hand"
    line=${line/ARCHIVE.zip/$1}
    echo "${line/NEWDB/$2}"
}

forget() { # forget DATABASE: also what an earlier matrix has left behind
    dropdb --if-exists --force "$1" 2>/dev/null
    rm -rf "$DEV/data/filestore/$1"
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
    local major newer failed=0 results=() passed=()
    rm -rf "$kept"
    mkdir -p "$kept"
    for major in "${known[@]}"; do # their programs are newer than those of others
        [ "$major" -lt "$1" ] || available "$major" || true
    done
    for major in "$@"; do
        if [ "$major" != "$PG_MAJOR" ] && ! available "$major" 2>/dev/null; then
            results+=("PostgreSQL $major: cannot be had here")
        elif "$0" on "$major" engine_with_all_schemas backup_and_restore; then
            passed+=("$major")
            results+=("PostgreSQL $major: passed, dumped by pg_dump $(pg_dumps "$major" | cut -d' ' -f1 | paste -sd' ')")
        else
            results+=("PostgreSQL $major: FAILED")
            failed=1
        fi
    done
    newer=$(find "$kept" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | paste -sd' ')
    for major in "${passed[@]}"; do
        [ -n "$newer" ] && [ "$major" -lt "$RESTRICTED" ] || continue
        if "$0" on "$major" restore_from_newer; then
            results+=("PostgreSQL $major: restored what servers $newer have dumped, also by hand")
        else
            results+=("PostgreSQL $major: FAILED with what servers $newer have dumped")
            failed=1
        fi
    done
    rm -rf "$kept"
    say "The matrix"
    printf '%s\n' "${results[@]}"
    exit $failed
}

read -ra known <<<"$PG_SERVERS"
case ${1:-} in
'') rotation ;;
whole)
    shift
    [ $# -gt 0 ] || set -- "${known[@]}" "$PG_MAJOR"
    mapfile -t asked < <(printf '%s\n' "$@" | sort -n)
    whole "${asked[@]}" ;;
on) # on MAJOR PART…: in a process of its own, which one failure ends
    major=$2
    shift 2
    if [ "$major" != "$PG_MAJOR" ]; then # the system's runs already
        export PG_SERVER=$major
        "$here/postgres.sh" start
        trap '"$here/postgres.sh" stop' EXIT
    fi
    eval "$("$here/env.sh")"
    for part in "$@"; do "$part"; done ;;
*) fail "usage: servers.sh [whole [MAJOR…]]" ;;
esac
