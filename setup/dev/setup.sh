#!/usr/bin/env bash
# Make what is missing of the development environment; what is right is left alone.
source "$(dirname "$0")/common.sh"
here=$REPO/setup/dev

"$here/system.sh"
mkdir -p "$DEV"/{bin,addons,custom_addons,data,log}
exec 9>"$DEV/setup.lock" # two shells may ask for the environment at once
flock 9

# The lock is for one Python; another one gets what the sources allow today.
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$python" = "$LOCK_PYTHON" ]; then
    requirements=("$here/requirements.lock")
else
    requirements=("$REPO/requirements.txt" "$REPO/test-requirements.txt" "$here/odoo-requirements.txt")
fi
wanted="$python $(cat "${requirements[@]}" | sha256sum)"
if [ "$(cat "$VENV/.requirements" 2>/dev/null)" != "$wanted" ]; then
    say "Installing Python packages into the virtual environment"
    [ "$python" = "$LOCK_PYTHON" ] ||
        say "This is Python $python: the locked versions are for $LOCK_PYTHON, these are the newest"
    [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
    "$VENV/bin/pip" install -q "${requirements[@]/#/-r}" >&2
    echo "$wanted" >"$VENV/.requirements"
fi

"$here/node.sh"
"$here/odoo.sh"
"$here/postgres.sh" start 9>&- # a server that inherits the lock would hold it for good

# The addon is linked into a directory of its own: the repository itself must not be an addons
# path, because the data directory lies in it, and no backup may lie in an addons path.
[ "$DEV/addons/dfr_backup" -ef "$REPO/dfr_backup" ] || ln -sfn "$REPO/dfr_backup" "$DEV/addons/dfr_backup"
if [ ! -f "$DEV/odoo.conf" ]; then
    (
        umask 077
        cat >"$DEV/odoo.conf" <<CONF
[options]
addons_path = $DEV/addons,$DEV/custom_addons
data_dir = $DEV/data
db_host = 127.0.0.1
db_port = $(setting PG_PORT true)
db_user = odoo
db_password = $(setting PG_PASSWORD true)
http_interface = 127.0.0.1
http_port = $(setting HTTP_PORT free_port)
gevent_port = $(setting GEVENT_PORT free_port)
admin_passwd = $(random_word)
CONF
        printf '*:*:*:odoo:%s\n' "$(setting PG_PASSWORD true)" >"$DEV/pgpass"
    )
fi
# Not "python -m odoo": a server that restarts itself, or starts its websocket process, runs the
# file that it was started from, by an interpreter that it calls "python".
write() { # write FILE: from stdin, at once, because somebody may be starting it
    cat >"$1.new"
    chmod +x "$1.new"
    mv "$1.new" "$1"
}
write "$DEV/bin/start_odoo.py" <<'PY'
import odoo.cli

odoo.cli.main()
PY
write "$DEV/bin/odoo" <<SH
#!/bin/sh
PYTHONPATH=$(odoo_root)\${PYTHONPATH:+:\$PYTHONPATH} ODOO_RC=\${ODOO_RC:-$DEV/odoo.conf}
PATH=$VENV/bin:\$PATH
export PYTHONPATH ODOO_RC PATH
exec $VENV/bin/python $DEV/bin/start_odoo.py "\$@"
SH
