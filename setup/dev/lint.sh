#!/usr/bin/env bash
# Every check runs, so that one look shows all; the exit status tells whether all were content.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

failed=()
check() { # check NAME COMMAND…
    local name=$1
    shift
    say "$name"
    "$@" || failed+=("$name")
}

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "pylint-odoo" pylint --rcfile=.pylintrc dfr_backup
check "OCA checks" oca-checks-odoo-module dfr_backup

[ ${#failed[@]} = 0 ] || fail "not content: $(IFS=,; echo "${failed[*]}")"
