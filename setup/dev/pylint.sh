#!/usr/bin/env bash
# pylint-odoo on the addon; on its parts without models without the rules that are about models.
set -eu
cd "$(dirname "$0")/../.."

status=0
pylint -j 2 --ignore-paths='^dfr_backup/(engine|runs)/' dfr_backup || status=$?
pylint -j 2 --disable=prefer-env-translation,method-required-super,missing-return \
    dfr_backup/engine dfr_backup/runs || status=$?
exit $status
