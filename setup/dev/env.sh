#!/usr/bin/env bash
# Print the shell exports with which odoo, psql and python work on this environment.
source "$(dirname "$0")/common.sh"

# some hundred starts of Odoo would compile it anew, 2.7 s of processor each (measured)
cat <<SH
unset PYTHONDONTWRITEBYTECODE
export DFR_DEV_DIR='$DEV'
export NODE_PATH='$DEV/node/node_modules'
export PATH='$DEV/bin:$VENV/bin:$DEV/node/node_modules/.bin:$(pg_bin)${PG_SERVER:+:$(PG_SERVER='' pg_bin)}':"\$PATH"
export PYTHONPATH='$(odoo_root)'
export ODOO_RC='$DEV/odoo.conf'
export PGHOST=127.0.0.1 PGPORT=$(server_setting PG_PORT true) PGUSER=odoo PGPASSFILE='$DEV/pgpass'
SH
