"""Tickets: what a run that waits for a slot leaves, because it is no process yet."""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from ..untrusted import Unusable, parse_json

# who goes first
FIRST = 0  # a person waits for a database
USUAL = 1
LAST = 2  # restore tests, of which one runs at a time
NAME = re.compile(r"[0-9a-f]{32}\.ticket")
LONGEST_TEXT = 200  # characters


@dataclass(frozen=True)
class Ticket:
    """A run that waits: ``job`` is its number and ``run`` its uuid in ``database`` of
    the server ``server``. It has waited since ``since`` and will take ``seconds``,
    where that is known."""

    server: str
    database: str
    job: int
    run: str
    since: float
    priority: int = USUAL
    seconds: float | None = None

    @property
    def name(self) -> str:
        """The name of its file: no name from a database ever is a path."""
        return ticket_name(self.server, self.database, self.run)

    @property
    def rank(self) -> tuple[int, float, str]:
        """Who has the lowest is next."""
        return self.priority, self.since, self.name

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


def ticket_name(server: str, database: str, run: str) -> str:
    """Return the name of the file of a run's ticket."""
    whole = json.dumps([server, database, run]).encode()
    return f"{hashlib.sha256(whole).hexdigest()[:32]}.ticket"


def read_ticket(name: str, data: bytes) -> Ticket | None:
    """Return the ticket in a file of this name, None where it is none: other servers
    may write into a folder that is shared."""
    try:
        ticket = _ticket_of(parse_json(data))
    except (Unusable, TypeError, KeyError):
        return None
    return ticket if ticket.name == name else None


def _ticket_of(values: Any) -> Ticket:
    texts = {key: values[key] for key in ("server", "database", "run")}
    numbers = {key: values[key] for key in ("job", "priority")}
    if not all(
        type(text) is str and len(text) <= LONGEST_TEXT for text in texts.values()
    ):
        raise TypeError("these are texts")
    if not all(type(number) is int for number in numbers.values()):
        raise TypeError("these are whole numbers")
    seconds = values["seconds"]
    return Ticket(
        **texts,
        **numbers,
        since=number_of(values["since"]),
        seconds=None if seconds is None else number_of(seconds),
    )


def number_of(value: Any) -> float:
    """Return a number from elsewhere. Raise TypeError where it is none that can be
    reckoned with."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError("this is a number")
    return float(value)
