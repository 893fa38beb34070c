#!/usr/bin/env bash
# Renew what setup.sh installs: requirements.lock (Python) and node/package-lock.json. The sources
# are requirements.txt, test-requirements.txt, odoo-requirements.txt and node/package.json.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

say "requirements.lock"
lock=setup/dev/requirements.lock
{
    echo "# Made by “make lock” for Python $LOCK_PYTHON from requirements.txt,"
    echo "# test-requirements.txt and setup/dev/odoo-requirements.txt."
    uv pip compile --quiet --upgrade --generate-hashes --python-version "$LOCK_PYTHON" \
        --no-header --no-emit-index-url --no-emit-find-links \
        requirements.txt test-requirements.txt setup/dev/odoo-requirements.txt
} >"$lock.new"
mv "$lock.new" "$lock"

say "package-lock.json"
npm update --prefix setup/dev/node --package-lock-only --omit-lockfile-registry-resolved \
    --no-audit --no-fund --loglevel error
