#!/usr/bin/env bash
# Every check runs, the quick ones first, so that one look shows all; the exit status tells whether
# all were content.
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
quietly() { # quietly COMMAND…: what it prints is shown when it fails
    local printed
    printed=$("$@" 2>&1) || { printf '%s\n' "$printed" >&2 && return 1; }
}
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "tests that Odoo runs" setup/dev/addon_tests.py
check "stored fields" setup/dev/fields.py --check
check "news fragments" quietly towncrier build --draft --version next
check "names of tests" setup/dev/test_names.sh
check "codespell" codespell
check "import-linter" lint-imports --no-logo --no-cache
check "shellcheck" shellcheck "${scripts[@]}"
# OCA's warnings are no failures: “eslint .” shows them
check "eslint" eslint --quiet .
check "OCA checks" oca-checks-odoo-module dfr_backup
check "OCA checks of translations" oca-checks-po --disable=po-pretty-format dfr_backup/i18n/*.po*
check "prettier" prettier --check --log-level warn .
check "mypy" mypy
check "pylint-odoo" setup/dev/pylint.sh

[ ${#failed[@]} = 0 ] || fail "not content: $(printf '%s, ' "${failed[@]}" | sed 's/, $//')"
