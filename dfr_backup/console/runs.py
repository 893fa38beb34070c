"""Commands that ask the models of a database: run, list, verify, drill."""

import contextlib
import json
import sys
import time
from datetime import datetime, timezone

import psycopg2

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.service.model import retrying

from .. import odoo_config, run_queue, runner
from ..engine.errors import EngineError
from ..engine.errors.command_line import DataFolderUnusable
from ..engine.errors.runs import SlotsUnusable
from ..engine.fileio.durable import is_full
from ..engine.messages import Size
from ..models.copy.states import PRESENT_STATES
from ..models.job import turn
from ..models.job.right_server import other_server
from ..models.plan.copies import newest_of_each_storage
from .archives import fail

EXIT = {"success": 0, "failure": 1, "cancelled": 1, "partial": 2}
WAITS = 5  # as an exit status
POLL_INTERVAL = 1.0  # seconds
SUPERVISE = 5.0  # seconds
MARKS = {
    "success": "ok",
    "warning": "warning",
    "failure": "FAILED",
    "skipped": "skipped",
}


@contextlib.contextmanager
def environment(database):
    """Yield an environment of the superuser in a transaction of its own."""
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


def run(database, options):
    """Start a run the way the button does, and follow it. Ctrl-C cancels it."""
    if options.here:
        odoo_config.be_right_server()
    return follow_new(database, options, lambda env: request(env, options))


def request(env, options):
    """Return the run of the plan that the command names."""
    return _plan(env, options.plan)._request_run("cli")


def verify(database, options):
    """Read the copies of a run back, as a run of its own."""
    return follow_new(
        database,
        options,
        lambda env: _copies(env, options)._request_verification("cli"),
    )


def drill(database, options):
    """Restore the newest copies, or those of a run, into a scratch database, and
    prove them."""

    def request(env):
        if options.job:
            return _copies(env, options)._request_drill("cli")
        plan = _plan(env, options.plan)
        copies = newest_of_each_storage(plan)
        if not copies:
            raise UserError(env._("There is no backup of this plan yet."))
        return copies._request_drill("cli", plan_id=plan.id)

    return follow_new(database, options, request)


def _copies(env, options):
    job = env["backup.job"].search([("name", "=", options.job)], limit=1)
    if not job and options.job.isdigit():
        job = env["backup.job"].browse(int(options.job)).exists()
    copies = job.copy_ids.filtered(lambda copy: copy.state in PRESENT_STATES)
    if not copies:
        raise UserError(env._("There is no run “%s” that has a backup.", options.job))
    return copies


def follow_new(database, options, request):
    """Start what ``request`` returns, follow it, print it, and return the exit
    status."""
    try:
        with environment(database) as env:
            require_startable(env)
            job_id = request(env).id
    except EngineError as error:
        return fail(error, options)
    except (UserError, psycopg2.OperationalError, KeyError) as error:
        return _refuse(error, database, options)
    if not odoo_config.starts_runs():
        print("A worker starts it: odoo backup worker", file=sys.stderr)
    if getattr(options, "no_wait", False):
        with environment(database) as env:
            job = env["backup.job"].browse(job_id)
            if turn.has_to_wait(job):
                print(
                    json.dumps(_as_json(job), indent=2) if options.json else _waits(job)
                )
                return WAITS
    try:
        _follow(database, job_id, quiet=options.json or not sys.stderr.isatty())
    except KeyboardInterrupt:
        print("Cancelling…", file=sys.stderr)
        with environment(database) as env:
            retrying(env["backup.job"].browse(job_id).action_cancel, env)
        _follow(database, job_id, quiet=True)
    with environment(database) as env:
        job = env["backup.job"].browse(job_id)
        print(json.dumps(_as_json(job), indent=2) if options.json else _as_table(job))
        return EXIT[job.state]


def require_startable(env):
    """Raise an EngineError where this server cannot start a run of a database: another
    one has the attachment files, or nothing can be written here. Where a worker starts
    it, that is for the worker to know; on a full disk a run says itself what it
    lacks."""
    if not odoo_config.starts_runs():
        return
    if other := other_server(env):
        raise other
    try:
        runner.require_log_folder()  # first: the slots are in the same folder mostly
        odoo_config.slots_folder().require_writable()
    except (DataFolderUnusable, SlotsUnusable) as error:
        if not is_full(error.__cause__):
            raise


def _refuse(error, database, options):
    """Say why nothing was started; return the exit status."""
    if isinstance(error.__cause__, EngineError):
        return fail(error.__cause__, options)
    reason = _reason(error, database)
    code = (getattr(error, "context", None) or {}).get("error_code")
    if options.json:
        facts = {"error": reason, "hint": None, "error_code": code}
        print(json.dumps({"state": "failure", **facts}, indent=2))
    else:
        print(_with_code(reason, code), file=sys.stderr)
    return 1


def _reason(error, database):
    if isinstance(error, KeyError):
        return f"The addon dfr_backup is not installed in the database “{database}”."
    return str(error).strip()


def _plan(env, name):
    plans = env["backup.plan"].search([("name", "=", name)] if name else [], limit=1)
    if not plans:
        no_plan = env._("There is no plan.")
        raise UserError(env._("There is no plan “%s”.", name) if name else no_plan)
    return plans


def _follow(database, job_id, quiet):
    next_supervision = 0.0
    has_told = False
    while True:
        with environment(database) as env:
            job = env["backup.job"].browse(job_id)
            doing = job.current_step or (turn.says_so(job) and job.error) or job.state
            line = f"{job.name}  {job.progress:3.0f} %  {doing}"
            if turn.says_so(job) and not has_told:
                has_told = True
                print(_waits(job), file=sys.stderr)
            ended = job.state in EXIT
            if time.monotonic() >= next_supervision:  # Odoo's cron may not be running
                next_supervision = time.monotonic() + SUPERVISE
                env["backup.scheduler"]._heal()
                env["backup.job"]._supervise()
        if not quiet:
            print(
                f"\r\033[K{line}",
                end="\n" if ended else "",
                file=sys.stderr,
                flush=True,
            )
        if ended:
            return
        time.sleep(POLL_INTERVAL)


def _waits(job):
    """Return why a run has not begun, and what runs on this server instead."""
    why = f"{job.name} waits for its turn, and begins by itself."
    if turn.says_so(job):
        why = f"{job.name}: {_with_code(job.error, job.error_code)}\n  -> {job.hint}"
    return "\n".join([why, *map(_in_slot, run_queue.what_runs())])


def _in_slot(holder):
    since = datetime.fromtimestamp(holder.since, timezone.utc)
    about = f"{holder.database}, since {since:%Y-%m-%d %H:%M:%S} UTC"
    return f"  slot {holder.slot}: {about if holder.run else 'in use'}"


def listing(database, options):
    """List the stored backups that the catalogue knows."""
    with environment(database) as env:
        env["backup.scheduler"]._heal()
        copies = env["backup.copy"].search([("state", "!=", "deleted")])
        rows = [_copy_as_json(copy) for copy in copies]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("There is no backup yet. “odoo backup run” makes one.")
    for row in [] if options.json else rows:
        size = f"{row['size']:>14,}"
        print(
            f"{row['date']}  {size}  {row['state']:<9} {row['storage']}  {row['path']}"
        )
    return 0


def _as_json(job):
    return {
        "job": {
            "name": job.name,
            "state": job.state,
            "seconds": job.duration,
            "error": job.error or None,
            "hint": job.hint or None,
            "error_code": job.error_code or None,
            "waits": turn.place_of(job),
        },
        "steps": [
            {
                "kind": step.kind,
                "storage": step.storage_id.name or None,
                "state": step.state,
                "seconds": round(step.seconds, 2),
                "bytes": int(step.bytes_done),
                "error": step.error or None,
                "hint": step.hint or None,
                "error_code": step.error_code or None,
            }
            for step in job.step_ids
        ],
        "copies": [_copy_as_json(copy) for copy in job.copy_ids],
    }


def _copy_as_json(copy):
    return {
        "storage": copy.storage_id.name,
        "key": copy.key,
        "path": copy.location,
        "date": f"{copy.date} UTC",
        "size": int(copy.size),
        "sha256": copy.sha256,
        "state": copy.state,
        "incremental": copy.incremental,
        "packs": copy.packs if copy.incremental else None,
        "packed_size": int(copy.packed_size) if copy.incremental else None,
        "new_size": int(copy.new_size) if copy.incremental else None,
    }


def _as_table(job):
    names = {step: str(step._label()) for step in job.step_ids}
    width = max(map(len, names.values()))
    about = f" of plan “{job.plan_id.name}”" if job.plan_id else ""
    lines = [f"{dict(job._fields['kind'].selection)[job.kind]} {job.name}{about}"]
    for step in job.step_ids:
        size = f"{step.bytes_done / 2**20:10,.1f} MiB" if step.bytes_done else " " * 14
        mark = MARKS.get(step.state, step.state)
        lines.append(
            f"  {names[step]:<{width}}  {mark:<8} {step.seconds:7.1f} s {size}"
        )
        lines += _explained(step, " " * 6)
    if not any(job.step_ids.mapped("error")):
        lines += _explained(job, "  ")
    lines.append(
        f"{dict(job._fields['state'].selection)[job.state]} in {job.duration:.0f} s"
    )
    lines += [
        f"  {copy.storage_id.name}: {copy.location} ({copy.state}{_new_in(copy)})"
        for copy in job.copy_ids
    ]
    return "\n".join(lines)


def _new_in(copy):
    """Return how much of an incremental copy was not there before."""
    if not copy.incremental:
        return ""
    new, everything = Size(int(copy.new_size)), Size(int(copy.packed_size))
    return f", {new} new of {everything} of attachments"


def _explained(told, indent):
    """Return why a step or a run has failed, and what to do, as lines."""
    if not told.error:
        return []
    hint = [f"{indent}-> {told.hint}"] if told.hint else []
    return [f"{indent}{_with_code(told.error, told.error_code)}", *hint]


def _with_code(text, code):
    return f"{text} [{code}]" if code else text
