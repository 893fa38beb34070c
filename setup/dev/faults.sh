#!/usr/bin/env bash
# The fault matrix: faults.sh [rounds [seed]]. Its table goes to .dev/log/faults.json as well.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

mkdir -p "$DEV/log"
say "tests/engine/test_engine_fuzz.py: 100,000 changed inputs of each kind"
PYTHONPATH="" FUZZ_EXAMPLES=100000 python -m pytest -q -p no:odoo tests/engine/test_engine_fuzz.py

say "tests/faults: every fault × every step"
python -m pytest -q -p no:odoo tests/faults --table "$DEV/log/faults.json" \
    --rounds "${1:-30}" ${2:+--seed "$2"}
