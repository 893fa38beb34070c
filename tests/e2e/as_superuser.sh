#!/usr/bin/env bash
# Run one SQL command as the owner of the private cluster: as_superuser.sh DATABASE SQL
source "$(dirname "$0")/../../setup/dev/common.sh"
as_pg psql -X -q -v ON_ERROR_STOP=1 -h "$(server_setting PG_SOCKET true)" \
    -p "$(server_setting PG_PORT true)" \
    -U postgres -d "$1" -c "$2"
