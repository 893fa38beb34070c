#!/usr/bin/env bash
# The fault matrix: faults.sh [rounds [seed]]. Its table goes to .dev/log/faults.json as well.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

mkdir -p "$DEV/log"
say "${FUZZ_EXAMPLES:=100000} changed inputs of each kind, seed ${FUZZ_SEED:=20261128}, from number ${FUZZ_FROM:=0}"
export FUZZ_EXAMPLES FUZZ_SEED FUZZ_FROM
PYTHONPATH="" python -m pytest -q -s -p no:odoo -p no:logging tests/engine/test_fuzz.py \
    tests/storages/test_storage_fuzz.py

say "tests/faults: every fault × every step"
python -m pytest -q -p no:odoo tests/faults --table "$DEV/log/faults.json" \
    --rounds "${1:-30}" ${2:+--seed "$2"}
