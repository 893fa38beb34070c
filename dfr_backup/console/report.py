"""What a command did with several databases: a line for each, or one JSON document,
and an exit status."""

import json
from dataclasses import dataclass, field
from typing import Any

from ..engine.errors import EngineError
from ..engine.errors.server import NoDatabases
from ..engine.status.verdict import IGNORED

ALL, NONE, SOME = 0, 1, 2  # as exit statuses


@dataclass(frozen=True)
class Row:
    """What became of one database: ``state`` in a word, with ``problem`` when it was
    not what was asked for. ``cells`` and ``notes`` are for people, ``facts`` for
    JSON."""

    database: str
    state: str
    problem: EngineError | None = None
    cells: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ignored(self) -> bool:
        """Whether it is no database that somebody backs up."""
        return self.state in IGNORED


def passed_over(status):
    """Return the row of a database with which nothing was done."""
    return Row(status.database, status.state, status.problem)


def told(rows, options, head=(), level=None):
    """Print what became of the databases; return the exit status ``level``, or else 0
    for all, 1 for none, 2 for some. ``head`` names the cells."""
    shown = [row for row in rows if not row.is_ignored]
    if not shown:
        raise NoDatabases
    level = exit_status(shown) if level is None else level
    if options.json:
        databases = list(map(as_json, shown))
        print(json.dumps({"status": level, "databases": databases}, indent=2))
    else:
        cells = [(row.database, row.state, *row.cells) for row in shown]
        below = [[*row.notes, *explained(row.problem)] for row in shown]
        print_table(("DATABASE", "STATE", *head), cells, below)
    return level


def exit_status(rows):
    bad = sum(bool(row.problem) for row in rows)
    return ALL if not bad else NONE if bad == len(rows) else SOME


def as_json(row):
    return {
        "database": row.database,
        "state": row.state,
        **problem_as_json(row.problem),
        **row.facts,
    }


def problem_as_json(problem):
    return {
        "problem": problem and str(problem.message),
        "hint": problem and (str(problem.hint) or None),
        "error_code": problem and (problem.code or None),
    }


def explained(problem):
    """Return what is wrong, and what to do, as lines."""
    if not problem:
        return []
    code = f" [{problem.code}]" if problem.code else ""
    hint = [f"-> {problem.hint}"] if problem.hint else []
    return [f"{problem.message}{code}", *hint]


def print_table(head, rows, below):
    """Print rows of texts below their heads, each with the lines that belong to it."""
    rows = [tuple(map(plain, row)) + ("",) * (len(head) - len(row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    print(_line(head, widths))
    for row, lines in zip(rows, below, strict=True):
        print(_line(row, widths))
        for line in lines:
            print(f"    {plain(line)}")


def plain(text):
    """Return a text as one line that only shows something: names of databases, plans
    and storages are those of somebody else, and a terminal obeys what they hold."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def _line(cells, widths):
    parts = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
    return "  ".join(parts).rstrip()
