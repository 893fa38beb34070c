"""One page of OK and FAILED lines, without a secret in it."""

import contextlib
import json
import shutil
from pathlib import Path

from .. import odoo_config, run_queue
from ..engine.archive.deflate import default_codec
from ..engine.errors import EngineError
from ..engine.errors.runs import SwitchedOff
from ..engine.fileio.durable import require_writable
from ..engine.messages import Size
from ..engine.postgres.client_tools import find_client_tool
from ..engine.postgres.keepalive import in_words
from ..engine.postgres.sessions import require_sessions
from ..models.neutralized import is_resting
from ..models.pause import pause_problem
from ..runs.registry import kinds_with
from .report import plain
from .runs import environment

OF_OTHERS = ("backups", "addons")  # what is in there is no run's to write


def doctor(database, options):
    """Look for what would make backups fail; return 1 when something would."""
    with environment(database) as env:
        found = checked(env.cr)
        found += [_looked(what, check, env) for what, check in CHECKS]
        found += [
            _looked(
                f"Storage “{storage.name}”", lambda env, s=storage: _storage(s), env
            )
            for storage in env["backup.storage"].search([])
        ]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return 0 if all(row["ok"] for row in found) else 1


def checked(cr):
    """Return what was found of the server, asked by a cursor of any of its
    databases."""
    return [_looked(what, check, cr) for what, check in OF_SERVER]


def show(found):
    """Print a line for each thing that was looked at."""
    for row in found:
        code = f" [{row['error_code']}]" if row["error_code"] else ""
        mark = "OK    " if row["ok"] else "FAILED"
        detail = "\n        ".join(map(plain, str(row["detail"]).split("\n")))
        print(f"{mark}  {plain(row['check'])}: {detail}{code}")
        if row["hint"]:
            print(f"        -> {row['hint']}")


def _looked(what, check, where):
    try:
        with odoo_config.data_folder_explained():
            return row(what, True, check(where))
    except EngineError as error:
        return failed(what, error)
    except _Wrong as error:
        return row(what, False, *error.args)


def failed(what, error):
    return row(what, False, str(error.message), str(error.hint), error.code)


def row(what, good, detail, hint=None, code=None):
    facts = {"hint": hint or None, "error_code": code or None}
    return {"check": what, "ok": good, "detail": detail, **facts}


class _Wrong(Exception):
    """What is wrong, and what to do."""


def _tool(name):
    def look(cr):
        major = cr.connection.server_version // 10000
        return find_client_tool(name, major, odoo_config.pg_path()).label

    return look


def _deflate(_cr):
    name = default_codec().name
    if name == "zlib":
        return (
            "zlib; “pip install isal” into Odoo's Python compresses many times faster"
        )
    return name


def _space(_cr):
    root = odoo_config.data_root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_writable(root)
    for folder in filter(Path.is_dir, root.iterdir()):
        if folder.name not in OF_OTHERS:
            require_writable(folder)
    return f"{Size(shutil.disk_usage(root).free)} free in {root}"


def _key(_cr):
    key, *former = odoo_config.secret_box().keys
    older = f", and {len(former)} former ones" if former else ""
    return f"readable, its checksum is {key.name}{older}"


def _enabled(_cr):
    if not odoo_config.is_enabled():
        raise SwitchedOff
    return "switched on"


def _pause(env):
    problem = pause_problem(env)
    if problem:
        raise problem
    return "none"


def _profile(_cr):
    profile = odoo_config.profile()
    if not profile:
        return "none"
    return f"{profile.file}: {', '.join(profile.storages) or 'no storage'}"


def _at_a_time(_cr):
    slots = odoo_config.max_running()
    odoo_config.slots_folder().require_writable()
    running = len(run_queue.queue().holders())
    return f"{slots}, {running} now, {len(run_queue.queue().waiting())} waiting"


def _sessions(env):
    return require_sessions(env.cr) or "not limited"


def _locks(env):
    session = odoo_config.connection(env.cr.dbname, "dfr_backup doctor").connect()
    with contextlib.closing(session):
        return str(in_words(session))


def _cron(env):
    problem = env["backup.scheduler"]._look()
    if problem:
        raise problem
    if is_resting(env):
        return "off, as in every neutralized copy"
    cron = env["backup.scheduler"]._cron()
    return f"next at {cron.nextcall} UTC"


def _plans(env):
    plans = env["backup.plan"].search([])
    if not plans and is_resting(env):
        return "none: a neutralized copy does not back itself up"
    if not plans:
        raise _Wrong(
            "there is none.", "Create one under Backups / Configuration / Plans."
        )
    return ", ".join(
        f"{plan.name} (next {plan.next_run or 'manual only'})" for plan in plans
    )


def _last(env):
    good = env["backup.job"].search(
        [("kind", "in", kinds_with("keeps_promise")), ("state", "=", "success")],
        limit=1,
        order="date_end desc",
    )
    if not good and is_resting(env):
        return "none: a neutralized copy does not back itself up"
    if not good:
        raise _Wrong("there is none yet.", "“odoo backup run” makes one.")
    return f"{good.name} of {good.date_end} UTC"


def _storage(storage):
    target = storage._get_own_storage()
    target.check()
    space = target.free_space()
    return f"{storage._where()}" + (
        f", {Size(space)} free" if space is not None else ""
    )


OF_SERVER = [
    ("Backups on this server", _enabled),
    ("pg_dump", _tool("pg_dump")),
    ("Compression", _deflate),
    ("Data directory", _space),
    ("Key for secrets", _key),
    ("Profile of the server", _profile),
    ("Runs at a time", _at_a_time),
]
CHECKS = [
    ("Pause", _pause),
    ("Database sessions", _sessions),
    ("Locks", _locks),
    ("Scheduled action", _cron),
    ("Plans", _plans),
    ("Last verified backup", _last),
]
