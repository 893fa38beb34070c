# shellcheck shell=bash
# Places and helpers that every script here shares. Source it, do not run it.
# shellcheck disable=SC2034 # most names are for the scripts that source this
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
DEV=${DFR_DEV_DIR:-$REPO/.dev}
VENV=$DEV/venv
ODOO_PREFIX=$DEV/odoo
PG_MAJOR=15
PG_SERVERS="13 14 16 17 18"
# Another server than the system's, by its major version: setup/dev/pg_server.sh has unpacked it.
PG_SERVER=${PG_SERVER:-}
# Debian 12's, the oldest that everything here is tested with
LOCK_PYTHON=3.11

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
fail() { printf 'ERROR: %s\n' "$*" >&2; exit 1; }

# The tests that have failed, by a log of Odoo: tracebacks that were expected stand there, too.
show_failed() { grep -m 40 -E '(ERROR|FAIL): |failed, ' "$1" >&2 || true; } # show_failed LOG

# The directory that holds the `odoo` package: a checkout of the user's, or the unpacked one.
odoo_root() {
    if [ -n "${ODOO_HOME:-}" ]; then
        cd "$ODOO_HOME" && pwd
    else
        echo "$ODOO_PREFIX/usr/lib/python3/dist-packages"
    fi
}

# PostgreSQL refuses to run as root: then the cluster belongs to an unprivileged user, and lies
# where that user can reach it.
if [ "$(id -u)" = 0 ]; then
    PG_USER=$(getent passwd postgres >/dev/null && echo postgres || echo nobody)
    as_pg() ( # in /, because the user may not enter the directory that we are in
        cd /
        setpriv --reuid "$PG_USER" --regid "$(id -g "$PG_USER")" --clear-groups -- "$@"
    )
else
    as_pg() { "$@"; }
fi
pg_home() {
    if [ "$(id -u)" != 0 ] || as_pg test -x "$DEV"; then
        echo "$DEV/pg"
    else
        echo "/var/tmp/dfr_backup-$(printf %s "$DEV" | sha256sum | cut -c1-12)"
    fi
}
pg_bin() {
    local tool
    if [ -n "$PG_SERVER" ] && [ "$PG_SERVER" != "$PG_MAJOR" ]; then
        echo "$(pg_home)/servers/$PG_SERVER/usr/lib/postgresql/$PG_SERVER/bin"
        return
    fi
    for tool in /usr/lib/postgresql/$PG_MAJOR/bin /usr/lib/postgresql/*/bin; do
        [ -x "$tool/initdb" ] && echo "$tool" && return
    done
    dirname "$(command -v initdb || true)"
}

# A port of 127.0.0.1 that is free now, below those that the system gives to outgoing connections:
# one of them could take it while our server is down.
free_port() {
    python3 - <<'PY'
import random, socket

while True:
    port = random.randrange(20000, 32000)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)):
            print(port)
            break
PY
}

# The value of a key of $DEV/settings, chosen once: setting NAME COMMAND…
setting() {
    local name=$1 file=$DEV/settings value
    shift
    touch "$file" && chmod 600 "$file"
    if ! grep -q "^$name=." "$file"; then
        value=$("$@")
        printf '%s=%s\n' "$name" "$value" >>"$file"
    fi
    sed -n "s/^$name=//p" "$file"
}
# the same for each server by itself: server_setting NAME COMMAND…
server_setting() { setting "$1${PG_SERVER:+_$PG_SERVER}" "${@:2}"; }
random_word() { python3 -c 'import secrets; print(secrets.token_hex(16))'; }
