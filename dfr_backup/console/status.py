"""How the databases of the server are backed up: for people, and for monitors."""

import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from .. import odoo_config, run_queue
from ..engine.errors import EngineError, reason_of
from ..engine.errors.server import FileNotWritten
from ..engine.messages import Size
from ..engine.monitoring.metrics import exposition
from ..engine.status.changes import news, read_memory, remember, write_memory
from ..engine.status.metrics import metrics_of
from ..engine.status.verdict import CRITICAL, LEVELS, OK, UNKNOWN, worst
from . import several
from .archives import fail
from .report import explained, plain, print_table, problem_as_json

APPLICATION = "dfr_backup status"
READABLE = 0o644  # by node_exporter, which runs as somebody else
INIT = 1


@several.naming
def status(options):
    """Print how the databases are; return the exit status for a monitor."""
    try:
        level = _status(options)
    except EngineError as error:
        fail(error, options)
        level = UNKNOWN
    return for_monitor(level)


def for_monitor(level):
    """Return the exit status of a monitor's command. Where Odoo is process 1 of a
    container, it takes the 3 of an orphan for the end of its own server."""
    return CRITICAL if level == UNKNOWN and os.getppid() == INIT else level


def _status(options):
    found = several.looked(options, APPLICATION)
    now = several.now()
    level = worst(each.level for each in found)
    if options.prometheus or options.output:
        _give(exposition(metrics_of(found, now)), options.output)
        return OK if options.output else level
    memory = _remembered(found, now) if options.all else None
    told = memory and news(memory, now)
    line = _Line(run_queue.line())
    if options.json:
        whole = _as_json(found, memory, told, level, now, line)
        print(json.dumps(whole, indent=2))
    else:
        _print(found, told, now, line)
    return level


class _Line:
    """Who runs and who waits on this server, None where this user cannot know."""

    def __init__(self, line):
        self._line = line
        self._places = {
            (ticket.database, ticket.run): place
            for ticket, place in (line.waiting if line else ())
        }

    def as_json(self):
        return self._line and {
            "slots": self._line.slots,
            "running": len(self._line.holders),
            "waiting": len(self._line.waiting),
        }

    def place_as_json(self, database, run):
        place = self._places.get((database, run.uuid))
        return {
            "before": place and place.before,
            "expected": place and _iso(_moment(place.expected)),
        }

    def place(self, database, run, now):
        """Return where a run that waits stands, in words."""
        place = self._places.get((database, run.uuid))
        if not place:
            return ""
        before = f"{place.before} before it" if place.before else "next"
        return ", ".join(filter(None, [before, _turn(place, now)]))

    def summary(self, now):
        """Return the whole in words, "" where there is nothing to tell."""
        line = self._line
        if not line or not (line.holders or line.waiting):
            return ""
        busy = f"Slots in use on this server: {len(line.holders)} of {line.slots}."
        if not line.waiting:
            return busy
        _ticket, last = line.waiting[-1]
        turn = _turn(last, now)
        when = f", the last of them {turn}" if turn else ""
        return f"{busy} Runs that wait: {len(line.waiting)}{when}."


def _turn(place, now):
    expected = _moment(place.expected)
    if not expected:
        return ""
    left = (expected - now).total_seconds()
    return f"begins in about {_long(left)}" if left >= 1 else "begins now"


def _moment(timestamp):
    return timestamp and datetime.fromtimestamp(timestamp, timezone.utc)


def _remembered(found, now):
    """Remember what was seen; return it, None where this user may not read it."""
    path = odoo_config.data_root() / "status.json"
    if not os.access(odoo_config.data_root(), os.R_OK | os.X_OK):
        return None
    memory = remember(read_memory(path), found, now)
    try:
        write_memory(path, memory)
    except OSError as error:  # then the next look compares with the one before
        print(f"{path}: {reason_of(error)}", file=sys.stderr)
    return memory


def _give(text, output):
    """Print a text, or let a file have it as a whole or not at all."""
    if not output:
        print(text, end="")
        return
    path = Path(output)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")  # is not collected
    try:
        partial.write_text(text)
        partial.chmod(READABLE)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FileNotWritten(file=output, reason=reason_of(error)) from error


# === JSON === #


def _as_json(found, memory, told, level, now, line):
    counts = dict.fromkeys((*LEVELS, "ignored"), 0)
    for each in found:
        counts["ignored" if each.is_ignored else LEVELS[each.level]] += 1
    return {
        "checked_at": _iso(now),
        "enabled": odoo_config.is_enabled(),
        "state": LEVELS[level],
        "status": level,
        "counts": counts,
        "new": told
        and {
            "since": _iso(told.since),
            "databases": list(told.databases),
            "failing": list(told.failing),
            "well": list(told.well),
            "gone": list(told.gone),
        },
        "queue": line.as_json(),
        "databases": [_row(each, memory, now, line) for each in found],
    }


def _row(each, memory, now, line):
    good = each.last_good
    seen = memory and memory.seen.get(each.database)
    return {
        "database": each.database,
        "state": each.state,
        "status": each.level,
        "ignored": each.is_ignored,
        "since": seen and _iso(seen.since),
        **_good(good, now),
        "tested_at": _iso(each.tested_at),
        "next_run": _iso(each.next_run),
        "open": [
            {
                "run": run.name,
                "kind": run.kind,
                "state": run.state,
                "step": run.step,
                "since": _iso(run.since),
                **line.place_as_json(each.database, run),
                "reason": run.reason or None,
                "error_code": run.code or None,
            }
            for run in (each.facts.open_runs if each.facts else ())
        ],
        **problem_as_json(each.problem),
        "plans": [
            {
                "plan": one.plan.name,
                "plan_id": one.plan.id,
                "active": one.plan.active,
                "status": one.state,
                **_good(one.plan, now),
                "deadline": _iso(one.deadline),
                "next_run": _iso(one.plan.next_run),
            }
            for one in each.plans
        ],
    }


def _good(plan, now):
    """Return the last good backup of a plan."""
    good = plan and plan.promise.last_good
    return {
        "last_good": _iso(good),
        "age_seconds": round((now - good).total_seconds()) if good else None,
        "size": plan.size if good else None,
    }


def _iso(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else None


# === A TABLE === #

HEAD = ("DATABASE", "STATE", "LAST BACKUP", "SIZE", "RESTORE TEST", "NEXT RUN", "NOW")


def _print(found, told, now, line):
    if not odoo_config.is_enabled():
        print("Backups are switched off on this server: dfr_backup_enabled = False.")
    rows = [_cells(each, now, line) for each in found]
    print_table(HEAD, rows, [explained(each.problem) for each in found])
    for text in filter(None, (_summary(found), line.summary(now))):
        print(text)
    if told:
        print(_news(told))


def _cells(each, now, line):
    good = each.last_good
    runs = each.facts.open_runs if each.facts else ()
    asked = each.facts is not None
    return (
        each.database,
        each.state,
        _ago(good.promise.last_good, now) if good else "never" if asked else "",
        str(Size(good.size)) if good and good.size is not None else "",
        (_ago(each.tested_at, now) if each.tested_at else "never") if asked else "",
        _next(each, now) if asked else "",
        ", ".join(_doing(each.database, run, now, line) for run in runs),
    )


def _doing(database, run, now, line):
    text = f"{run.name} {run.step or run.kind}"
    if run.state == "interrupted":
        return f"{text} (interrupted)"
    if run.state != "pending":
        return text
    place = line.place(database, run, now)
    code = f" [{run.code}]" if run.code and not place else ""
    return f"{text} (waits: {place})" if place else f"{text} (waits{code})"


def _ago(moment, now):
    return f"{_long((now - moment).total_seconds())} ago"


def _next(each, now):
    if each.facts.pause:
        return "paused"
    if not each.next_run:
        return "none"
    left = (each.next_run - now).total_seconds()
    return f"in {_long(left)}" if left > 0 else "now"


def _long(seconds):
    """Return a time in the largest unit of which it has two."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _summary(found):
    shown = [each for each in found if not each.is_ignored]
    counts = [
        (level, sum(each.level == number for each in shown))
        for number, level in enumerate(LEVELS)
    ]
    parts = ", ".join(f"{count} {level}" for level, count in counts if count)
    noun = "database" if len(shown) == 1 else "databases"
    return f"{len(shown)} {noun}: {parts}" if shown else "There is no database."


def _news(told):
    groups = (
        ("new", told.databases),
        ("failing", told.failing),
        ("well again", told.well),
        ("gone", told.gone),
    )
    parts = "; ".join(f"{word}: {', '.join(names)}" for word, names in groups if names)
    return f"New since {told.since:%Y-%m-%d %H:%M} UTC: {plain(parts or 'nothing')}"
