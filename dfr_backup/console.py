"""The command line: parse, ask the models, print. Exit status 0 success, 1 failure, 2 partial,
4 wrong usage; never 3."""

import contextlib
import json
import sys
import time

import psycopg2

from odoo import SUPERUSER_ID, api
from odoo.exceptions import UserError
from odoo.modules.registry import Registry
from odoo.service.model import retrying
from odoo.tools import config

from . import runner

EXIT = {"success": 0, "failure": 1, "cancelled": 1, "partial": 2}
WRONG_USAGE = 4
POLL = 1.0  # seconds
SUPERVISE = 5.0  # seconds
MARKS = {"success": "ok", "warning": "warning", "failure": "FAILED", "skipped": "skipped"}


def main(parser, cmdargs) -> int:
    """Run one command; return the exit status."""
    _add_commands(parser)
    try:
        options = parser.parse_args(cmdargs)
    except SystemExit as stop:
        return WRONG_USAGE if stop.code else 0
    config.parse_config(_odoo_options(options), setup_logging=options.command == "runner")
    databases = config["db_name"]
    if len(databases) != 1:
        print("Name one database: -d DATABASE", file=sys.stderr)
        return WRONG_USAGE
    return options.call(databases[0], options)


def _add_commands(parser):
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a plan now and show its progress")
    run.add_argument("--plan", help="the name of the plan (default: the first one)")
    run.set_defaults(call=_run)
    listing = commands.add_parser("list", help="list the stored backups")
    listing.set_defaults(call=_list)
    internal = commands.add_parser("runner")  # what the server starts; no help line
    internal.add_argument("--job", type=int, required=True)
    internal.set_defaults(call=lambda database, options: runner.main(database, options.job))
    for command in (run, listing, internal):
        command.add_argument("-d", "--database", help="the database")
        command.add_argument("-c", "--config", help="Odoo's configuration file")
    for command in (run, listing):
        command.add_argument("--json", action="store_true", help="print one JSON document")


def _odoo_options(options):
    arguments = ["--no-http"]
    arguments += ["-c", options.config] if options.config else []
    arguments += ["-d", options.database] if options.database else []
    return arguments


@contextlib.contextmanager
def _environment(database):
    with Registry(database).cursor() as cr:
        yield api.Environment(cr, SUPERUSER_ID, {})


def _run(database, options):
    """Start a run the way the button does, and follow it. Ctrl-C cancels it."""
    try:
        with _environment(database) as env:
            job_id = _plan(env, options.plan)._request_run("cli").id
    except (UserError, psycopg2.OperationalError, KeyError) as error:
        print(_reason(error, database), file=sys.stderr)
        return 1
    try:
        _follow(database, job_id, quiet=options.json or not sys.stderr.isatty())
    except KeyboardInterrupt:
        print("Cancelling…", file=sys.stderr)
        with _environment(database) as env:
            retrying(env["backup.job"].browse(job_id).action_cancel, env)
        _follow(database, job_id, quiet=True)
    with _environment(database) as env:
        job = env["backup.job"].browse(job_id)
        print(json.dumps(_as_json(job), indent=2) if options.json else _as_table(job))
        return EXIT[job.state]


def _reason(error, database):
    if isinstance(error, KeyError):
        return f"The addon dfr_backup is not installed in the database “{database}”."
    return str(error).strip()


def _plan(env, name):
    plans = env["backup.plan"].search([("name", "=", name)] if name else [], limit=1)
    if not plans:
        raise UserError(f"There is no plan “{name}”." if name else "There is no plan.")
    return plans


def _follow(database, job_id, quiet):
    next_supervision = 0.0
    while True:
        with _environment(database) as env:
            job = env["backup.job"].browse(job_id)
            line = f"{job.name}  {job.progress:3.0f} %  {job.current_step or job.state}"
            ended = job.state in EXIT
            if time.monotonic() >= next_supervision:  # Odoo's cron may not be running
                next_supervision = time.monotonic() + SUPERVISE
                env["backup.job"]._supervise()
        if not quiet:
            print(f"\r\033[K{line}", end="\n" if ended else "", file=sys.stderr, flush=True)
        if ended:
            return
        time.sleep(POLL)


def _list(database, options):
    with _environment(database) as env:
        copies = env["backup.copy"].search([("state", "!=", "deleted")])
        rows = [_copy_as_json(copy) for copy in copies]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("There is no backup yet. “odoo backup run” makes one.")
    for row in [] if options.json else rows:
        size = f"{row['size']:>14,}"
        print(f"{row['date']}  {size}  {row['state']:<9} {row['storage']}  {row['path']}")
    return 0


def _as_json(job):
    return {
        "job": {
            "name": job.name,
            "state": job.state,
            "seconds": job.duration,
            "error": job.error or None,
            "hint": job.hint or None,
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
    }


def _as_table(job):
    width = max(len(step.display_name) for step in job.step_ids)
    lines = [f"{job.name} of plan “{job.plan_id.name}”"]
    for step in job.step_ids:
        size = f"{step.bytes_done / 2**20:10,.1f} MiB" if step.bytes_done else " " * 14
        mark = MARKS.get(step.state, step.state)
        lines.append(f"  {step.display_name:<{width}}  {mark:<8} {step.seconds:7.1f} s {size}")
        if step.error:
            lines.append(f"      {step.error}")
            lines.append(f"      -> {step.hint}")
    lines.append(f"{dict(job._fields['state'].selection)[job.state]} in {job.duration:.0f} s")
    lines += [f"  {copy.storage_id.name}: {copy.location} ({copy.state})" for copy in job.copy_ids]
    return "\n".join(lines)
