"""What ``/entrypoint.sh`` of Odoo's official image does: ``entry_point.py COMMAND…``.

Written anew, after the public repository odoo/docker (``19.0/entrypoint.sh`` and
``19.0/wait-for-psql.py`` at its commit ef6c5bf):

* the password of the database may stand in a file that PASSWORD_FILE names;
* for each of HOST, PORT, USER and PASSWORD that odoo.conf (ODOO_RC) does not set, and
  that PostgreSQL's own variable does not name, Odoo gets an option, at the end of its
  arguments; what is missing is db, 5432, odoo and odoo;
* ``odoo …``, and options alone, wait up to 30 seconds for the database first;
* every other command is executed as it stands.
"""

import configparser
import contextlib
import os
import re
import sys
import time
from pathlib import Path

import psycopg2

SECONDS = 30
# option of Odoo, variable of the image, what it is without, variable of PostgreSQL
OPTIONS = (
    ("db_host", "HOST", "db", "PGHOST"),
    ("db_port", "PORT", "5432", "PGPORT"),
    ("db_user", "USER", "odoo", "PGUSER"),
    ("db_password", "PASSWORD", "odoo", "PGPASSWORD"),
)


def given(environ):
    """Return the options that the command line gets, by their names."""
    values = dict(environ)
    if "PASSWORD_FILE" in environ:
        values["PASSWORD"] = Path(environ["PASSWORD_FILE"]).read_text().rstrip("\n")
    conf = Path(environ["ODOO_RC"]).read_text()
    return {
        option: values.get(variable) or default
        for option, variable, default, pg_variable in OPTIONS
        if pg_variable not in environ
        and not re.search(rf"^\s*{option}\s*=", conf, re.MULTILINE)
    }


def await_database(environ, options):
    """Return once PostgreSQL answers; leave when it does not."""
    parser = configparser.RawConfigParser()
    parser.read(environ["ODOO_RC"])
    known = {**options, **parser["options"]}
    params = {
        name: known.get(option) or environ[pg_variable]
        for (option, _variable, _default, pg_variable), name in zip(
            OPTIONS, ("host", "port", "user", "password"), strict=True
        )
    }
    end = time.monotonic() + SECONDS
    while True:
        try:
            with contextlib.closing(psycopg2.connect(dbname="postgres", **params)):
                return
        except psycopg2.OperationalError as error:
            if time.monotonic() > end:
                sys.exit(f"Database connection failure: {error}")
        time.sleep(1)


def main(words, environ):
    if words[0] in ("--", "odoo"):
        words = words[1:]
    elif not words[0].startswith("-"):
        os.execvp(words[0], words)  # noqa: S606
    options = {} if words[:1] == ["scaffold"] else given(environ)
    if words[:1] != ["scaffold"]:
        await_database(environ, options)
    added = [part for name, value in options.items() for part in (f"--{name}", value)]
    os.execvp("odoo", ["odoo", *words, *added])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
