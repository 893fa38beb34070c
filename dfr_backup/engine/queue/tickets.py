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
PRIORITIES = (FIRST, USUAL, LAST)
NAME = re.compile(r"[0-9a-f]{32}\.ticket")
LONGEST_TEXT = 200  # characters
LARGEST_JOB = (1 << 31) - 1  # that is a number of PostgreSQL
LONGEST_TIME = 1e11  # seconds: some 3000 years, and still a date


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
    if not all(is_text(text) for text in texts.values()):
        raise TypeError("these are texts")
    if not all(type(number) is int for number in numbers.values()):
        raise TypeError("these are whole numbers")
    if not 0 <= numbers["job"] <= LARGEST_JOB or numbers["priority"] not in PRIORITIES:
        raise TypeError("no run has these")
    seconds = values["seconds"]
    return Ticket(
        **texts,
        **numbers,
        since=seconds_of(values["since"]),
        seconds=None if seconds is None else seconds_of(seconds),
    )


def is_text(value: Any) -> bool:
    """Tell whether a value from elsewhere can be the name of something."""
    return type(value) is str and len(value) <= LONGEST_TEXT and "\0" not in value


def number_of(value: Any) -> float:
    """Return a number from elsewhere. Raise TypeError where it is none that can be
    reckoned with."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError("this is a number")
    return float(value)


def seconds_of(value: Any) -> float:
    """Return a number of seconds from elsewhere. Raise TypeError."""
    seconds = number_of(value)
    if not 0 <= seconds <= LONGEST_TIME:
        raise TypeError("this is a number of seconds")
    return seconds
