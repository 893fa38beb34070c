"""The command that deletes packs which no backup needs, or says what it would do."""

import contextlib
import json
import sys

from ..engine.errors import EngineError
from ..models.storage import pruning
from .runs import environment, follow_new


def prune(database, options):
    """Prune every storage with incremental backups, as a run, and follow it."""
    if not options.dry_run:
        request = _give_up_and_request if options.give_up_lost else _request
        return follow_new(database, options, request)
    with environment(database) as env:
        storages = pruning.with_packs(env["backup.storage"])
        rows = [_row(storage) for storage in storages]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print("\n".join(map(_as_text, rows)) or "No storage has incremental backups.")
    return int(any(row["error"] for row in rows))


def _request(env):
    return pruning.request(pruning.with_packs(env["backup.storage"]), "cli")


def _give_up_and_request(env):
    """Let lost backups stop no prune. One storage where that cannot be done stops no
    other: its step of the run says why."""
    for storage in pruning.with_packs(env["backup.storage"]):
        with contextlib.suppress(EngineError):
            for copy in pruning.give_up_lost(storage):
                print(f"Given up: {storage.name}: {copy.key}", file=sys.stderr)
    return _request(env)


def _row(storage):
    about = {"storage": storage.name, "packs": []}
    try:
        found = pruning.look(storage)
    except EngineError as error:
        facts = {"error": str(error.message), "hint": str(error.hint or "")}
        return {**about, **facts, "error_code": error.code}
    packs = [
        {
            "key": pack.key,
            "size": pack.size,
            "condemned": _iso(pack.since),
            "due": pack.due,
            "locked_until": _iso(pack.locked_until),
        }
        for pack in found
    ]
    return {**about, "packs": packs, "error": None, "hint": None, "error_code": None}


def _iso(moment):
    return moment.isoformat() if moment else None


def _as_text(row):
    if row["error"]:
        problem = f"{row['error']} [{row['error_code']}]"
        return f"{row['storage']}: {problem}\n  -> {row['hint']}"
    total = sum(pack["size"] for pack in row["packs"])
    lines = [f"{row['storage']}: {len(row['packs'])} packs not needed, {total:,} bytes"]
    for pack in row["packs"]:
        since = f"condemned {pack['condemned']}" if pack["condemned"] else "new"
        state = "would be deleted now" if pack["due"] else since
        if pack["locked_until"]:
            state = f"{since}, locked until {pack['locked_until']}"
        lines.append(f"  {pack['size']:>14,}  {pack['key']}  {state}")
    return "\n".join(lines)
