#!/usr/bin/env bash
# Two processes that run tests together must find the same ones: the name of a test that contains
# a time, or the order of a set, ends the ring before its first test, but not in every run.
source "$(dirname "$0")/common.sh"
eval "$("$REPO/setup/dev/env.sh")"
cd "$REPO"
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

names() { # names RING HASHSEED
    PYTHONHASHSEED=$2 PYTHONPATH='' python -m pytest -q -p no:odoo -p no:cacheprovider \
        --collect-only "tests/$1" | grep :: >"$found/$1.$2"
}

failed=0
for ring in engine storages e2e faults; do
    names "$ring" 1 &
    # the time of day, in whole seconds, is another one
    sleep 1.1
    names "$ring" 2 || failed=1
    wait $! || failed=1
    diff "$found/$ring.1" "$found/$ring.2" >&2 || failed=1
done
exit $failed
