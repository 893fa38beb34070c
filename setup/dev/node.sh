#!/usr/bin/env bash
# The tools for JavaScript, XML, SCSS and YAML, and age's test vectors, as
# setup/dev/node/package-lock.json names them, by the Node of the virtual environment.
source "$(dirname "$0")/common.sh"

wanted=$(cat "$REPO"/setup/dev/node/package*.json | sha256sum)
[ "$(cat "$DEV/node/.complete" 2>/dev/null)" != "$wanted" ] || exit 0
say "Installing prettier, eslint and age's test vectors"
rm -rf "$DEV/node"
mkdir -p "$DEV/node"
cp "$REPO"/setup/dev/node/package*.json "$DEV/node"
PATH=$VENV/bin:$PATH npm ci --prefix "$DEV/node" --ignore-scripts --no-audit --no-fund \
    --loglevel error >&2
echo "$wanted" >"$DEV/node/.complete"
