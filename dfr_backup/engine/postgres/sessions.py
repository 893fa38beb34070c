"""Sessions on a server: how many are free, and the end of those that are left over."""

import math
from typing import Any

from ..errors.dump import FewSessions
from .connection import Connection

# "dfrb", the first key of our advisory locks; the second one is the number of a run,
# whose process holds it as long as it is at work
LOCK_CLASS = 0x64667262
BACKUP_SESSIONS = 5  # the lock, Odoo's two, the snapshot, pg_dump
LIMITS = """
    SELECT 'ROLE', quote_ident(rolname), rolconnlimit,
           (SELECT count(*) FROM pg_stat_activity WHERE usesysid = r.oid)
      FROM pg_roles r WHERE rolname = current_user AND NOT rolsuper
 UNION ALL
    SELECT 'DATABASE', quote_ident(d.datname), datconnlimit,
           (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid)
      FROM pg_database d, pg_roles r
     WHERE d.datname = current_database() AND rolname = current_user AND NOT rolsuper
"""


def held_lock(run: str) -> str:
    """Return the condition in SQL that a row of ``pg_locks`` is the lock of the process
    that works on a run of the database that is asked; ``run`` is the expression for its
    number, or a placeholder, never a value from outside."""
    return f"""locktype = 'advisory' AND granted
           AND classid = {LOCK_CLASS} AND objid = {run}
           AND database = (SELECT oid FROM pg_database
                            WHERE datname = current_database())"""  # noqa: S608


def at_work(run: str) -> str:
    """Return the condition in SQL that a process is at work on a run; ``run`` as for
    ``held_lock``."""
    return f"EXISTS (SELECT FROM pg_locks WHERE {held_lock(run)})"


def require_sessions(cr: Any, needed: int = BACKUP_SESSIONS) -> str:
    """Return the limits of sessions that hold for the user of a cursor, in words, ""
    without any. Raise FewSessions when fewer than ``needed`` are free; the cursor's
    own counts as free."""
    limited = _limits(cr)
    for kind, name, limit, used in limited:
        if limit - used + 1 < needed:
            statement = f"ALTER {kind} {name} CONNECTION LIMIT {used - 1 + needed};"
            raise FewSessions(
                whose=f"{kind.lower()} {name}",
                limit=limit,
                used=used - 1,
                needed=needed,
                statement=statement,
            )
    return ", ".join(
        f"{kind.lower()} {name}: {used - 1} of {limit}"
        for kind, name, limit, used in limited
    )


def free_sessions(cr: Any) -> float:
    """Return how many sessions more the user of a cursor may have; infinite where
    nobody has limited them."""
    return min((limit - used for *_, limit, used in _limits(cr)), default=math.inf)


def _limits(cr: Any) -> list[tuple[str, str, int, int]]:
    cr.execute("SELECT pg_stat_clear_snapshot()")  # else it is one per transaction
    cr.execute(LIMITS)
    found: list[tuple[str, str, int, int]] = cr.fetchall()
    return [row for row in found if row[2] >= 0]


def end_sessions(connection: Connection, application_name: str) -> int:
    """End what an interrupted run left on the server; return how many sessions that
    were."""
    session = connection.connect()
    try:
        session.autocommit = True
        with session.cursor() as cr:
            cr.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = %s AND datname = current_database()"
                " AND pid <> pg_backend_pid()",
                [application_name],
            )
            return int(cr.fetchone()[0])
    finally:
        session.close()
