"""The command line: parse, ask the models or the engine, print. Exit status 0
success, 1 failure, 2 partial, 4 wrong usage, 5 has to wait; never 3."""

import argparse
import sys

from odoo.tools import config

from .. import odoo_config, run_queue, runner
from ..compat import named_databases
from ..engine.errors import EngineError
from ..engine.errors.restore import acceptable_findings
from . import (
    archives,
    doctor,
    enabling,
    every,
    exporting,
    locations,
    moved,
    pausing,
    pruning,
    rescue,
    runs,
    status,
    worker,
)
from .several import WRONG_USAGE, are_several

INTERNAL = ("runner", "boot")  # what the server starts
# as "odoo db" takes them; runners get them by their environment, because a password in
# an argument can be read by everybody on the machine
CONNECTION = {
    "--db_host": ("the host of PostgreSQL",),
    "--db_port": ("its port",),
    "--db_user": ("Odoo's role in PostgreSQL", "-r"),
    "--db_password": ("its password; better by odoo.conf or PGPASSWORD", "-w"),
    "--db_sslmode": ("how the connection is encrypted",),
    "--data-dir": ("Odoo's data directory", "-D"),
    "--pg_path": ("the directory of PostgreSQL's programs",),
}
PLACES = "a path, s3://bucket/folder/NAME or sftp://user@host/folder/NAME"


def main(parser, cmdargs) -> int:
    """Run one command; return the exit status."""
    _add_commands(parser)
    # the entry point of the official image appends them to whatever it is given
    _add_connection(parser)
    try:
        options = parser.parse_args(cmdargs)
    except SystemExit as stop:
        return WRONG_USAGE if stop.code else 0
    config.parse_config(
        _odoo_options(options), setup_logging=options.command in ("runner", "worker")
    )
    if options.command in INTERNAL:
        return options.call_in(named_databases()[0], options)
    try:
        return _call(options)
    except EngineError as error:
        return archives.fail(error, options)
    except BrokenPipeError:
        return 1


def _call(options):
    with odoo_config.data_folder_explained():
        if not options.needs_database(options):
            return options.call(options)
        databases = named_databases()
        if len(databases) != 1:
            print("Name one database: -d DATABASE", file=sys.stderr)
            return WRONG_USAGE
        odoo_config.require_installed(databases[0])
        return options.call_in(databases[0], options)


def _add_commands(parser):
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = _add(
        commands,
        "run",
        "run a plan now and show its progress",
        call_in=runs.run,
        call=every.run,
    )
    _may_be_several(run)
    run.add_argument("--plan", help="the name of the plan (default: the first one)")
    run.add_argument(
        "--here",
        action="store_true",
        help="also when this server lacks the attachment files",
    )
    run.add_argument(
        "--no-wait",
        action="store_true",
        help="end with status 5 where it has to wait for its turn; it begins by itself",
    )
    listing = _add(
        commands,
        "list",
        "list the backups",
        call_in=runs.listing,
        call=lambda options: (
            archives.listing(options) if options.storage else every.listing(options)
        ),
    )
    _add_all(listing)
    listing.add_argument(
        "--storage", metavar="ADDRESS", help="look there, without any database"
    )
    listing.set_defaults(
        needs_database=lambda options: not (options.storage or are_several(options))
    )
    verify = _add(
        commands,
        "verify",
        "check every checksum",
        call_in=runs.verify,
        call=archives.verify,
    )
    verify.add_argument("archive", nargs="?", metavar="ARCHIVE", help=PLACES)
    verify.add_argument(
        "--job", metavar="RUN", help="the copies of this run, for example B00012"
    )
    verify.set_defaults(needs_database=lambda options: not options.archive)
    _add_restore(commands)
    _add_export(commands)
    drill = _add(commands, "drill", "run a restore test", call_in=runs.drill)
    drill.add_argument(
        "--plan", help="the newest copies of this plan (default: the first one)"
    )
    drill.add_argument(
        "--job", metavar="RUN", help="the copies of this run, for example B00012"
    )
    examining = _add(
        commands,
        "doctor",
        "look for what would make backups fail",
        call_in=doctor.doctor,
        call=every.examine,
    )
    _may_be_several(examining)
    opening = _add(
        commands,
        "open",
        "let a database use a location that it was refused",
        call_in=locations.open_location,
    )
    opening.add_argument(
        "location", metavar="LOCATION", help="as the refusal has printed it"
    )
    moving = _add(
        commands,
        "moved",
        "say that a database is the original, after a move or pg_upgrade",
        call_in=moved.moved,
        call=moved.all_moved,
    )
    moving.add_argument(
        "--all", action="store_true", help="every database with this addon"
    )
    moving.add_argument(
        "--dry-run", action="store_true", help="only print what would be noted"
    )
    moving.set_defaults(needs_database=lambda options: not options.all)
    pruning_command = _add(
        commands,
        "prune",
        "delete packs of attachments that no backup needs any more",
        call_in=pruning.prune,
    )
    pruning_command.add_argument(
        "--dry-run", action="store_true", help="only print what is no longer needed"
    )
    pruning_command.add_argument(
        "--give-up-lost",
        action="store_true",
        help="note backups as deleted that are gone from their storage, before it",
    )
    _add_status(commands)
    enable = _add(
        commands,
        "enable",
        "install this addon, and provision a plan and its storages",
        call=enabling.enable,
    )
    _add_all(enable)
    enable.set_defaults(needs_database=lambda options: False)
    _add_pause(commands)
    working = _add(
        commands,
        "worker",
        "start waiting runs, until it is stopped",
        call=worker.worker,
    )
    working.set_defaults(needs_database=lambda options: False)
    _add_internal(commands)


def _add(commands, name, text, epilog=None, **calls):
    command = commands.add_parser(name, help=text, description=text, epilog=epilog)
    command.set_defaults(needs_database=lambda options: True, **calls)
    command.add_argument("-d", "--database", help="the database")
    command.add_argument("-c", "--config", help="Odoo's configuration file")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    _add_connection(command)
    return command


def _add_status(commands):
    state = _add(
        commands,
        "status",
        "how the databases are backed up; for monitors, too",
        call=status.status,
        epilog="Exit status: 0 fine, 1 warning, 2 critical, 3 it cannot be told, "
        "4 wrong usage.",
    )
    _add_all(state)
    state.add_argument(
        "--prometheus",
        action="store_true",
        help="print metrics for the textfile collector of node_exporter",
    )
    state.add_argument(
        "--output", metavar="FILE", help="write the metrics there, as a whole"
    )
    state.set_defaults(needs_database=lambda options: False)


def _add_pause(commands):
    pause = _add(
        commands,
        "pause",
        "start no scheduled run until it is resumed",
        call=pausing.pause,
    )
    pause.add_argument("--reason", metavar="TEXT", help="why; it is shown everywhere")
    pause.add_argument(
        "--hours",
        metavar="NUMBER",
        type=pausing.hours,
        help="resume by itself after so many",
    )
    resume = _add(
        commands,
        "resume",
        "start scheduled runs again",
        call=pausing.resume,
    )
    for command in (pause, resume):
        _add_all(command)
        command.set_defaults(needs_database=lambda options: False)


def _add_all(command):
    """Let a command be about all databases of the server."""
    command.add_argument(
        "--all", action="store_true", help="all databases that Odoo lists"
    )
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="but not this one; may be repeated",
    )


def _may_be_several(command):
    """Let a command be about one database or about several."""
    _add_all(command)
    command.set_defaults(needs_database=lambda options: not are_several(options))


def _add_connection(parser):
    group = parser.add_argument_group("as in odoo.conf")
    for option, (text, *short) in CONNECTION.items():
        group.add_argument(
            *short, option, help=text, metavar="VALUE", default=argparse.SUPPRESS
        )


def _add_restore(commands):
    restore = _add(commands, "restore", "restore an archive", call=rescue.restore)
    restore.set_defaults(needs_database=lambda options: False)
    restore.add_argument("archive", nargs="?", metavar="ARCHIVE", help=PLACES)
    restore.add_argument("--to", metavar="NEWDB", help="the name of the database")
    restore.add_argument(
        "--all", action="store_true", help="the newest backup of each database"
    )
    restore.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="NAME",
        help="but not of this one; may be repeated",
    )
    restore.add_argument(
        "--from",
        dest="sources",
        action="append",
        metavar="STORAGE",
        help="with --all: a folder, an address, or a section of the server's profile",
    )
    restore.add_argument(
        "--neutralize",
        action="store_true",
        help="make a harmless copy: no emails, no crons",
    )
    restore.add_argument(
        "--same-identity",
        action="store_true",
        help="it is the original that comes back",
    )
    restore.add_argument(
        "--replace",
        action="store_true",
        help="keep what has that name under another one",
    )
    restore.add_argument(
        "--accept",
        action="append",
        default=[],
        choices=acceptable_findings(),
        metavar="NAME",
        help="go on in spite of what the refusal calls so",
    )
    restore.add_argument(
        "-i", "--identity", metavar="FILE", help="the private key of the archive"
    )
    restore.add_argument(
        "--plain-load",
        action="store_true",
        help="load the dump in its own order, in one session",
    )
    restore.add_argument(
        "--addons", metavar="FOLDER", help="unpack the custom addons there"
    )


def _add_export(commands):
    command = _add(
        commands,
        "export",
        "make one complete zip of a backup",
        call=exporting.export_backup,
    )
    command.set_defaults(needs_database=lambda options: False)
    command.add_argument(
        "backup", metavar="BACKUP", help=f"its archive or its .json: {PLACES}"
    )
    command.add_argument(
        "--to", metavar="FILE", required=True, help="the zip that is made, in the clear"
    )
    command.add_argument(
        "-i", "--identity", metavar="FILE", help="the private key of the backup"
    )


def _add_internal(commands):
    """What the server starts: these have no line in the help."""
    performer = commands.add_parser("runner")
    performer.add_argument("--job", type=int, required=True)
    performer.add_argument("--slot", type=int, action="append", default=[])
    performer.set_defaults(
        call_in=lambda database, options: run_queue.perform(
            database, options.job, options.slot
        )
    )
    boot = commands.add_parser("boot")
    boot.set_defaults(call_in=lambda database, options: runner.boot(database))
    for command in (performer, boot):
        _add_connection(command)
        command.set_defaults(needs_database=lambda options: True)
        command.add_argument("-d", "--database")
        command.add_argument("-c", "--config")


def _odoo_options(options):
    arguments = ["--no-http"]
    arguments += ["-c", options.config] if options.config else []
    arguments += ["-d", options.database] if options.database else []
    for option in CONNECTION:
        value = getattr(options, option.strip("-").replace("-", "_"), None)
        arguments += [] if value is None else [f"{option}={value}"]
    return arguments
