#!/usr/bin/env bash
# A private PostgreSQL cluster on loopback: [PG_SERVER=17] postgres.sh start|stop
source "$(dirname "$0")/common.sh"

bin=$(pg_bin)
home=$(pg_home)
data=$home/data${PG_SERVER:+_$PG_SERVER}
port=$(server_setting PG_PORT free_port)
socket=$(server_setting PG_SOCKET mktemp -d /tmp/dfrpg.XXXXXX) # a socket's path has 107 bytes at most
running() { as_pg "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; }

initialize() {
    say "Creating a private PostgreSQL cluster"
    mkdir -p "$home"
    [ "$(id -u)" != 0 ] || chown "$PG_USER" "$home"
    chmod 711 "$home" # other servers' programs lie there as well; the data is closed by itself
    # who may come in is written below, before the first start
    said=$(as_pg "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 2>&1) || fail "initdb failed: $said"
    as_pg tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$socket'
shared_buffers = 256MB
max_connections = 200
password_encryption = 'scram-sha-256' # PostgreSQL 13 has another default
jit = off # a server that is unpacked has no LLVM
CONF
    # the superuser comes in by the socket alone, and only as the cluster's own system user
    as_pg tee "$data/pg_hba.conf" >/dev/null <<HBA
local all postgres peer map=owner
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
HBA
    as_pg tee "$data/pg_ident.conf" >/dev/null <<IDENT
owner ${PG_USER:-$(id -un)} postgres
IDENT
}

case ${1:-start} in
start)
    [ -f "$data/PG_VERSION" ] || initialize
    if ! running; then
        mkdir -p "$socket"
        [ "$(id -u)" != 0 ] || chown "$PG_USER" "$socket"
        chmod 755 "$socket"
        as_pg "$bin/pg_ctl" -D "$data" -l "$data/log" -w -t 60 start >/dev/null ||
            fail "PostgreSQL does not start: see $data/log"
    fi
    password=$(setting PG_PASSWORD random_word)
    as_superuser() { as_pg psql -X -q -h "$socket" -p "$port" -U postgres -d postgres "$@"; }
    if [ -z "$(as_superuser -Atc "SELECT 1 FROM pg_roles WHERE rolname = 'odoo'")" ]; then
        as_superuser <<<"CREATE ROLE odoo LOGIN CREATEDB PASSWORD '$password'"
    fi
    ;;
stop)
    if [ -f "$data/PG_VERSION" ] && running; then
        as_pg "$bin/pg_ctl" -D "$data" -m fast -w stop >/dev/null
    fi
    ;;
*) fail "usage: postgres.sh start|stop" ;;
esac
