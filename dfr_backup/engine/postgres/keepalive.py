"""How soon the two ends of a session notice that the other one is gone without a word:
a host without power, a network that is cut.

PostgreSQL's locks live as long as their session, and the server's own default is two
hours. So each session asks for less, for itself.
"""

from dataclasses import dataclass
from typing import Any

import psycopg2

from ..messages import Message, Text, _

LOCAL = _("a local socket: no network is involved")
DIRECT = _("a host that is lost is noticed within %(seconds)s seconds")
POOLED = _(
    "through a pooler: its own settings decide when it notices a lost host "
    "(PgBouncer: tcp_keepidle, tcp_keepintvl, tcp_keepcnt, tcp_user_timeout). "
    "They cannot be seen from here; without them it takes two hours, and the run "
    "waits."
)
UNKNOWN = _(
    "this PostgreSQL does not say when it notices a host that is lost: see "
    "tcp_keepalives_idle in its configuration"
)


@dataclass(frozen=True)
class Keepalive:
    """Seconds of one end: silence before it asks, between two questions, and in which
    it waits for an answer at all. The last is what counts where the system has it
    (Linux, tcp(7), TCP_USER_TIMEOUT); the number of questions, elsewhere."""

    idle: int
    interval: int
    timeout: int

    @property
    def count(self) -> int:
        return max(1, (self.timeout - self.idle) // self.interval)


# Whoever holds a lock notices before the server lets go of it: two must never work in
# the same files. Both hear of each other as late as after the client's idle time.
CLIENT = Keepalive(idle=30, interval=10, timeout=70)
SERVER = Keepalive(idle=60, interval=10, timeout=110)
SETTINGS = """
    SELECT set_config('tcp_keepalives_idle', %(idle)s, false),
           set_config('tcp_keepalives_interval', %(interval)s, false),
           set_config('tcp_keepalives_count', %(count)s, false),
           set_config('tcp_user_timeout', %(timeout)s, false)
"""
FOUND = """
    SELECT pg_backend_pid(), inet_client_addr() IS NULL,
           current_setting('tcp_keepalives_idle')::int,
           current_setting('tcp_keepalives_interval')::int,
           current_setting('tcp_keepalives_count')::int
"""


def client_arguments(keepalive: Keepalive = CLIENT) -> dict[str, int]:
    """Return what libpq is told when a session begins."""
    return {
        "keepalives": 1,
        "keepalives_idle": keepalive.idle,
        "keepalives_interval": keepalive.interval,
        "keepalives_count": keepalive.count,
        "tcp_user_timeout": 1000 * keepalive.timeout,
    }


def ask_server(session: Any, keepalive: Keepalive = SERVER) -> None:
    """Let the server's end of a new session notice as well. What the server does not
    know is done without: a session is worth more than that."""
    values = {
        "idle": str(keepalive.idle),
        "interval": str(keepalive.interval),
        "count": str(keepalive.count),
        "timeout": f"{keepalive.timeout}s",
    }
    session.autocommit = True  # a rollback would take the settings back
    try:
        with session.cursor() as cr:
            cr.execute(SETTINGS, values)
    except psycopg2.Error:
        if session.closed:
            raise
    finally:
        if not session.closed:
            session.autocommit = False


def in_words(session: Any) -> Text:
    """Return how soon the server notices that the host of a session is gone, as far as
    it can be seen from here."""
    with session.cursor() as cr:
        cr.execute(FOUND)
        process, is_local, idle, interval, count = cr.fetchone()
    if process != session.info.backend_pid:  # a pooler has answered for the server
        return Message(POOLED)
    if is_local:
        return Message(LOCAL)
    if not idle:
        return Message(UNKNOWN)
    return Message(DIRECT, seconds=idle + interval * count)
