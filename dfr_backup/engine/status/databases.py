"""Which databases a server has, as Odoo lists them, and which of them nobody can
open."""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..postgres.connection import Connection

# as odoo.service.db lists them, and beside these what it hides
OWNED = """
    SELECT datname, datistemplate, datallowconn, datconnlimit
      FROM pg_database
     WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
       AND datname <> ALL(%s)
     ORDER BY datname
"""
NAMED = """
    SELECT datname, datistemplate, datallowconn, datconnlimit
      FROM pg_database WHERE datname = ANY(%s)
"""
INVALID_LIMIT = -2  # PostgreSQL's mark of an interrupted DROP DATABASE


@dataclass(frozen=True)
class Listed:
    """A database of the server. ``shut`` is why nobody opens it: "template",
    "closed", "invalid", or "missing" for a name that there is not; else ""."""

    name: str
    shut: str = ""


def list_databases(
    server: Connection, names: Sequence[str], hidden: Collection[str]
) -> list[Listed]:
    """Return the databases with these ``names``; without names those that belong to the
    role, but for the ``hidden`` ones. Raise ServerUnreachable."""
    with contextlib.closing(server.connect()) as session, session.cursor() as cr:
        if not names:
            cr.execute(OWNED, [list(hidden)])
            return [_listed(*row) for row in cr.fetchall()]
        cr.execute(NAMED, [list(names)])
        found = {row[0]: _listed(*row) for row in cr.fetchall()}
    return [found.get(name, Listed(name, "missing")) for name in names]


def _listed(name: str, is_template: bool, allows: bool, limit: Any) -> Listed:
    if limit == INVALID_LIMIT:
        return Listed(name, "invalid")
    if is_template:
        return Listed(name, "template")
    return Listed(name, "" if allows else "closed")
