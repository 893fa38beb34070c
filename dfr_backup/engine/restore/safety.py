"""Is a restored database as harmless as it should be? What is in it may stand in the
way: rules and triggers are switched off while it is changed, and the result is looked
at before anybody else can."""

# every name in these statements is quoted by psycopg2.sql
# pylint: disable=sql-injection

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql

from ..errors.restore import NotHarmless
from ..messages import _
from ..postgres.connection import Connection
from .errors import server_error

CHANGED = re.compile(r"(?i)\b(?:UPDATE|INTO|FROM|TRUNCATE(?:\s+TABLE)?)\s+\"?(\w+)")
# what would act in place of a change, or after it, and how it is switched on
IN_THE_WAY = """
    SELECT 'TRIGGER', tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger
     WHERE tgrelid = ANY (%(tables)s::regclass[]) AND NOT tgisinternal
       AND tgenabled IN ('O', 'A')
 UNION ALL
    SELECT 'RULE', ev_class::regclass::text, rulename, ev_enabled FROM pg_rewrite
     WHERE ev_class = ANY (%(tables)s::regclass[]) AND ev_type <> '1'
       AND ev_enabled IN ('O', 'A')
 ORDER BY 1, 2, 3
"""
EXISTING = """
    SELECT array_agg(to_regclass(name)::text) FROM unnest(%s) AS name
      JOIN pg_class c ON c.oid = to_regclass(name) WHERE c.relkind IN ('r', 'p')
"""
HAS_ADDON = """
    SELECT EXISTS (SELECT FROM ir_module_module WHERE name = 'dfr_backup'
                      AND state IN ('installed', 'to upgrade', 'to remove'))
"""
# the rows of a table that there must be none of
OURS = (
    ("backup_plan", "SELECT id FROM backup_plan WHERE active"),
    ("backup_job", "SELECT id FROM backup_job WHERE state IN ('pending', 'running')"),
)
NEUTRALIZED = (
    (
        "ir_cron",
        "SELECT id FROM ir_cron WHERE active AND id NOT IN (SELECT res_id FROM"
        " ir_model_data WHERE model = 'ir.cron' AND name = 'autovacuum_job' AND"
        " module = 'base')",
    ),
    (
        "ir_mail_server",
        "SELECT id FROM ir_mail_server WHERE active AND smtp_host <> 'invalid'",
    ),
    ("fetchmail_server", "SELECT id FROM fetchmail_server WHERE active"),
)
# what nobody switches on in a database that is only a copy. Scheduled actions are not
# among it: a module that is installed there brings its own
MORE_THAN_A_COPY = ("backup_plan", "ir_mail_server", "fetchmail_server")


@contextmanager
def nothing_in_the_way(cr: Any, statements: Sequence[str]) -> Iterator[list[str]]:
    """Switch off the rules and triggers of the tables that the statements change, until
    the end of the block; yield their names.

    A policy that hides rows from us is an error of PostgreSQL, instead of rows that are
    not changed.
    """
    cr.execute("SET CONSTRAINTS ALL IMMEDIATE")
    cr.execute("SET LOCAL row_security = off")
    tables = sorted({name for text in statements for name in CHANGED.findall(text)})
    cr.execute(EXISTING, [tables])
    cr.execute(IN_THE_WAY, {"tables": cr.fetchone()[0] or []})
    found = cr.fetchall()
    for kind, table, name, _state in found:
        _switch(cr, "DISABLE", kind, table, name)
    yield [f"{table}: {name}" for _kind, table, name, _state in found]
    for kind, table, name, state in found:
        _switch(cr, "ENABLE ALWAYS" if state == "A" else "ENABLE", kind, table, name)


def _switch(cr: Any, action: str, kind: str, table: str, name: str) -> None:
    cr.execute(
        sql.SQL("ALTER TABLE {} {} {} {}").format(
            sql.SQL(table),  # as regclass has quoted it
            sql.SQL(action),
            sql.SQL(kind),
            sql.Identifier(name),
        )
    )


def require_harmless(connection: Connection, *, neutralized: bool) -> None:
    """Raise NotHarmless when something would act that should not: a plan or a run and,
    in a neutralized copy, a scheduled action or a mail server."""
    session = connection.connect()
    try:
        with session.cursor() as cr:
            cr.execute("SET LOCAL row_security = off")
            cr.execute(HAS_ADDON)
            checks = OURS if cr.fetchone()[0] else ()
            acting = list(_acting(cr, checks + (NEUTRALIZED if neutralized else ())))
    except psycopg2.Error as error:
        raise server_error(error, _("inspect the restored database")) from error
    finally:
        session.close()
    if acting:
        tables = sorted({table for table, _id in acting})
        log = "\n".join(f"{table}, id {number}" for table, number in acting)
        raise NotHarmless(tables=", ".join(tables), log=log)


def acting_as_more(cr: Any) -> list[str]:
    """Return the names of the tables with something active that a neutralized copy has
    not got. Raise psycopg2.Error."""
    checks = [one for one in (*OURS, *NEUTRALIZED) if one[0] in MORE_THAN_A_COPY]
    return sorted({table for table, _id in _acting(cr, checks)})


def _acting(cr: Any, checks: Sequence[tuple[str, str]]) -> Iterator[tuple[str, int]]:
    for table, query in checks:
        cr.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        if cr.fetchone()[0]:
            cr.execute(query)
            yield from ((table, number) for (number,) in cr.fetchall())
