#!/usr/bin/env bash
# Renew what setup.sh installs: requirements.lock (Python) and node/package-lock.json, and what
# site.sh does: site/requirements.lock. The sources are requirements.txt, test-requirements.txt,
# odoo-requirements.txt, site/requirements.txt and node/package.json.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"

locked() { # locked LOCK SOURCE…
    say "$1"
    {
        echo "# Made by “make lock” for Python $LOCK_PYTHON from ${*:2}."
        uv pip compile --quiet --upgrade --generate-hashes --python-version "$LOCK_PYTHON" \
            --no-header --no-emit-index-url --no-emit-find-links "${@:2}"
    } >"$1.new"
    mv "$1.new" "$1"
}
locked setup/dev/requirements.lock requirements.txt test-requirements.txt setup/dev/odoo-requirements.txt
locked setup/dev/site/requirements.lock setup/dev/site/requirements.txt

say "package-lock.json"
npm update --prefix setup/dev/node --package-lock-only --omit-lockfile-registry-resolved \
    --no-audit --no-fund --loglevel error
