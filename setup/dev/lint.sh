#!/usr/bin/env bash
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

ruff check .
ruff format --check .
pylint --rcfile=.pylintrc dfr_backup
oca-checks-odoo-module --config=.oca_hooks.cfg --exit-code dfr_backup 2>/dev/null || oca-checks-odoo-module dfr_backup
