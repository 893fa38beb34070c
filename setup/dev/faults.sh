#!/usr/bin/env bash
# The fault matrix: faults.sh [rounds [seed]]. Its table goes to .dev/log/faults.json as well.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

mkdir -p "$DEV/log"
failed=0
say "${FUZZ_EXAMPLES:=100000} changed inputs of each kind, seed ${FUZZ_SEED:=20261128}, from number ${FUZZ_FROM:=0}"
export FUZZ_EXAMPLES FUZZ_SEED FUZZ_FROM
PYTHONPATH="" python -m pytest -q -s -p no:odoo -p no:logging --timeout 7200 tests/engine/test_fuzz.py \
    tests/engine/test_fuzz_packs.py tests/engine/test_fuzz_server.py tests/storages/test_storage_fuzz.py || failed=1

say "incremental backups: 10,000 random steps, and each safety rule switched off"
PYTHONPATH="" python tests/engine/packs_walk.py 10000 "${2:-1}" || failed=1
PYTHONPATH="" python tests/engine/packs_walk.py --rules || failed=1

say "tests/faults: every fault × every step"
# a walk is one test
python -m pytest -q -p no:odoo --timeout 14400 tests/faults --table "$DEV/log/faults.json" \
    --rounds "${1:-30}" ${2:+--seed "$2"} || failed=1

say "tests/faults: odd schemas on PostgreSQL 18"
if "$REPO/setup/dev/pg_server.sh" 18; then
    export PG_SERVER=18
    "$REPO/setup/dev/postgres.sh" start
    trap '"$REPO/setup/dev/postgres.sh" stop' EXIT
    eval "$("$REPO/setup/dev/env.sh")"
    python -m pytest -q -p no:odoo tests/faults/test_differential.py \
        --table "$DEV/log/faults-18.json" || failed=1
fi
exit "$failed"
