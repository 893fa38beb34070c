"""What is new since yesterday: a small file remembers since when each database is in
its state. Pure functions, but for reading and writing that file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ..fileio.durable import write_private
from ..untrusted import parse_json
from .verdict import Status

DAY = timedelta(days=1)
KEPT = timedelta(days=8)  # what is gone is remembered so long


@dataclass(frozen=True)
class Seen:
    """What was seen of a database: its state, since when it has that, whether this was
    worse than fine, and when the database was seen for the first time. ``gone`` is when
    it was first missed."""

    state: str
    since: datetime
    first: datetime
    bad: bool = False
    gone: datetime | None = None


@dataclass(frozen=True)
class Memory:
    """What former looks have seen, by the name of the database. ``began`` is when the
    first one was, None before that."""

    began: datetime | None = None
    seen: Mapping[str, Seen] | None = None


@dataclass(frozen=True)
class News:
    """Names of what has changed since ``since``: databases that appeared, that began to
    fail, that are well again, that are gone."""

    since: datetime
    databases: tuple[str, ...]
    failing: tuple[str, ...]
    well: tuple[str, ...]
    gone: tuple[str, ...]


def remember(memory: Memory, statuses: Iterable[Status], now: datetime) -> Memory:
    """Return what is to be remembered after a look at all databases."""
    before, after = dict(memory.seen or {}), {}
    for status in statuses:
        known = before.pop(status.database, None)
        bad = status.level > 0
        if known and known.gone:
            known = None  # it is back, and new
        if known and (known.state, known.bad) == (status.state, bad):
            after[status.database] = known
        else:
            first = known.first if known else now
            after[status.database] = Seen(status.state, now, first, bad)
    for name, known in before.items():
        gone = known.gone or now
        if now - gone < KEPT:
            after[name] = Seen(known.state, known.since, known.first, known.bad, gone)
    return Memory(memory.began or now, after)


def news(memory: Memory, now: datetime) -> News | None:
    """Return what is new since yesterday, None at the first look."""
    if memory.began is None or memory.began >= now:
        return None
    start = max(memory.began, now - DAY)
    rows = sorted((memory.seen or {}).items())
    here = [(name, seen) for name, seen in rows if not seen.gone]
    old = [(name, seen) for name, seen in here if seen.first <= start]
    changed = [(name, seen) for name, seen in old if seen.since > start]
    return News(
        since=start,
        databases=tuple(name for name, seen in here if seen.first > start),
        failing=tuple(name for name, seen in changed if seen.bad),
        well=tuple(name for name, seen in changed if not seen.bad),
        gone=tuple(name for name, seen in rows if seen.gone and seen.gone > start),
    )


def read_memory(path: Path) -> Memory:
    """Return what the file remembers; what cannot be read was never seen."""
    try:
        data = parse_json(path.read_bytes())
        seen = {str(name): _seen(row) for name, row in data["seen"].items()}
        return Memory(datetime.fromisoformat(data["began"]), seen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Memory()


def write_memory(path: Path, memory: Memory) -> None:
    """Write the file, as a whole or not at all. Raise OSError."""
    seen = {
        name: {
            "state": row.state,
            "since": row.since.isoformat(),
            "first": row.first.isoformat(),
            "bad": row.bad,
            "gone": row.gone and row.gone.isoformat(),
        }
        for name, row in (memory.seen or {}).items()
    }
    began = memory.began and memory.began.isoformat()
    text = json.dumps({"began": began, "seen": seen}, indent=1)
    write_private(path, text.encode(), over=True)


def _seen(row: Mapping[str, object]) -> Seen:
    gone = row.get("gone")
    return Seen(
        str(row["state"]),
        datetime.fromisoformat(str(row["since"])),
        datetime.fromisoformat(str(row["first"])),
        row["bad"] is True,
        datetime.fromisoformat(str(gone)) if gone else None,
    )
