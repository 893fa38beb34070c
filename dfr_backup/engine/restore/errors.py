"""What an error of PostgreSQL means while a database is being restored."""

import re
from typing import Any

import psycopg2

from ..errors import EngineError
from ..errors.restore import RefusedByPostgres, ServerLost, ServerRefused
from ..messages import Message

UNDEFINED_OBJECT, INSUFFICIENT_PRIVILEGE, UNAVAILABLE = "42704", "42501", "0A000"
INVALID_ROLE = "22023"  # of SET SESSION AUTHORIZATION, and of other settings
DATA = "22"  # what a value is not; by the first two signs
VALUE = re.compile(r"(?<=[\"“„«»]).+(?=[\"”“«»])", re.S)
REMEDIES = {
    "53100": RefusedByPostgres.remedy_disk,
    "53200": RefusedByPostgres.remedy_memory,
    INSUFFICIENT_PRIVILEGE: RefusedByPostgres.remedy_rights,
    UNAVAILABLE: RefusedByPostgres.remedy_install,
    "58P01": RefusedByPostgres.remedy_install,
    "42P17": RefusedByPostgres.remedy_unaccent,
}


def server_error(error: psycopg2.Error, doing: str) -> EngineError:
    """Return the error of a statement of our own; ``doing``, a template, completes
    “Cannot …”."""
    reason, log = reason_of_server(error), str(error).strip()
    if is_lost(error):
        return ServerLost(reason=reason, log=log)
    said, remedy = Message(doing), remedy_for(error)
    return ServerRefused(doing=said, reason=reason, remedy=remedy, log=log)


def remedy_for(error: psycopg2.Error) -> str | None:
    """Return what helps, where the error's code tells it."""
    return REMEDIES.get(error.pgcode or "")


def reason_of_server(error: psycopg2.Error) -> str:
    """Return what PostgreSQL says, without the value of a row that it quotes."""
    text: Any = error.diag.message_primary or str(error)
    reason = str(text).strip() or type(error).__name__
    code = error.pgcode or ""
    is_about_a_value = code.startswith(DATA) and code != INVALID_ROLE
    return VALUE.sub("…", reason) if is_about_a_value else reason


def is_lost(error: psycopg2.Error) -> bool:
    """Tell whether the connection broke: then the server has said nothing, or that
    it ends."""
    code = error.pgcode or ""
    lost = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    return code.startswith(("08", "57P0")) or (lost and not code)
