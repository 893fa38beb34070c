"""The detached process that performs a run: how it is started, and what it is inside.

An Odoo worker is killed a minute or two into its work, so it starts this process
instead: a session of its own, its own log, no inherited files, the configuration of the
server. It holds a lock that dies with it; that lock is how the supervisor knows that it
lives.
"""

import contextlib
import datetime
import json
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import psycopg2

import odoo
from odoo import SUPERUSER_ID, api
from odoo.modules.registry import Registry
from odoo.tools import config

from . import odoo_config
from .engine.concurrency.background import in_thread
from .engine.concurrency.process import die_with_parent
from .engine.errors import EngineError
from .engine.errors.command_line import DataFolderUnusable
from .engine.errors.restore import BootFailed, BootTooSlow
from .engine.errors.runs import SwitchedOff
from .engine.fileio.durable import make_directory, open_private, require_writable
from .engine.messages import Message
from .engine.ownership.right_server import newest_files
from .engine.policy.supervision import POSTPONE, SPAWN_PATIENCE
from .engine.postgres.installed import require_version
from .engine.postgres.sessions import LOCK_CLASS, at_work
from .engine.progress import POLL_INTERVAL, Progress
from .engine.untrusted import parse_json
from .runs.registry import run_kind
from .runs.words import ODOO_HAS_LOADED

_logger = logging.getLogger(__name__)

CONTEXT_KEY = "dfr_backup_runner"
_IN_RUNNER = object()  # in a context that came by RPC there is no such value
NICENESS = (
    10  # a tenth of the share of whoever else wants the processor, not a thirtieth
)
LOG_TAIL = 4096  # bytes
BOOT_SECONDS = 900
CLAIM_JOB = """
    UPDATE backup_job SET state = 'running', attempt = attempt + 1, not_before = NULL,
           date_start = coalesce(date_start, now() AT TIME ZONE 'UTC'),
           host = %(host)s, pid = %(pid)s, spawn_count = 0, error = NULL, hint = NULL,
           error_code = NULL, error_values = NULL
     WHERE id = %(job)s AND state IN ('pending', 'running')
"""
CLAIM_STEP = """
    UPDATE backup_step SET state = 'running', date_start = now() AT TIME ZONE 'UTC'
     WHERE id = (SELECT id FROM backup_step WHERE job_id = %(job)s
                    AND state IN ('pending', 'running') ORDER BY sequence LIMIT 1)
"""
# since when a run waits for a process, NULL when none does: none runs, it is its turn,
# and none was started a moment ago
UNTAKEN_SINCE = f"""
    WITH clock AS (SELECT now() AT TIME ZONE 'UTC' AS at),
         open AS (SELECT * FROM backup_job WHERE state IN ('pending', 'running'))
  SELECT min(CASE state
             WHEN 'pending' THEN greatest(create_date,
                                          CASE WHEN not_before <= at
                                               THEN not_before END,
                                          (SELECT max(date_end) FROM backup_job))
             ELSE greatest(date_start, (SELECT max(write_date) FROM backup_step
                                         WHERE job_id = open.id)) END)
    FROM open, clock
   WHERE (state = 'running' OR NOT EXISTS (SELECT FROM open WHERE state = 'running'))
     AND coalesce(not_before NOT BETWEEN at AND at + 2 * %(postpone)s, TRUE)
     AND coalesce(spawn_count = 0 OR spawned_at < at - %(patience)s, TRUE)
     AND NOT {at_work("open.id")}
"""  # noqa: S608 (nothing of it comes from outside)
OPEN_KINDS = """
    SELECT kind, trigger FROM backup_job
     WHERE state IN ('pending', 'running') AND id = coalesce(%s, id)
"""
LIFE_CHECK_SECONDS = 30  # between two looks at whether a run hangs
_life = SimpleNamespace(at=0.0)
_started: set[subprocess.Popen] = set()  # by this process, and not ended yet
# what the child must not inherit from the server's options
OWN_OPTIONS = {"db_name": None, "logfile": "", "syslog": "False", "db_app_name": None}


def spawn(
    database: str,
    job_id: int,
    job_uuid: str,
    slot: Sequence[int] = (),
    is_asked: bool = True,
) -> None:
    """Start a runner for a committed run, and return at once. The runner has the open
    files of ``slot`` as long as it lives. ``is_asked``: it is the run that this process
    was asked for, and not one that was next.

    The database name and the run's number are its only arguments: what is secret goes
    by the environment or stands in the configuration file. Where the data directory
    cannot be used, nothing is started: the run waits, and says so when it is given up.
    """
    try:
        output = open_log(job_uuid)
    except DataFolderUnusable as error:
        _logger.error("Run %s was not started: %s", job_id, error.in_full)
        return
    with output:
        process = subprocess.Popen(
            _command(database, job_id, slot),
            env=_environment(job_uuid, is_asked),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            pass_fds=slot,
        )
    # somebody must read its exit status, or it stays a zombie while this server lives
    _started.add(process)
    in_thread(partial(_reap, process), "dfr_backup reaper")
    _logger.info("Started the backup process %s for run %s", process.pid, job_id)


def become(database: str, job_id: int, job_uuid: str, slot: Sequence[int]) -> None:
    """Let this runner, whose own run has ended, perform another one, as a program that
    starts anew. Nobody else would read the exit status of a child of ours. Return only
    when the data directory cannot be used."""
    try:
        output = open_log(job_uuid)
    except DataFolderUnusable as error:
        _logger.error("Run %s was not started: %s", job_id, error.in_full)
        return
    _logger.info("Going on with run %s of %s", job_id, database)
    sys.stdout.flush()
    sys.stderr.flush()
    for standard in (1, 2):
        os.dup2(output.fileno(), standard)
    for file in slot:
        os.set_inheritable(file, True)
    argv, env = _command(database, job_id, slot), _environment(job_uuid, False)
    os.execve(sys.executable, argv, env)  # noqa: S606


def _command(database: str, job_id: int, slot: Sequence[int]) -> list[str]:
    argv = [sys.executable, "-m", "odoo", "backup", "runner", f"--database={database}"]
    return [*argv, f"--job={job_id}", *(f"--slot={file}" for file in slot)]


def _environment(job_uuid: str, is_asked: bool) -> dict[str, str]:
    env = child_environment(f"dfr_backup {job_uuid[:8]} runner")
    if not is_asked:  # the option of a command is about that command's run
        env.pop(odoo_config.HERE, None)
    return env


def _reap(process: subprocess.Popen) -> None:
    process.wait()
    _started.discard(process)


def end_started(seconds: float) -> None:
    """End the processes that this one has started; after so many seconds they are
    killed. Their runs go on when somebody starts them again."""
    until = time.monotonic() + seconds
    processes = list(_started)
    for process in processes:
        process.terminate()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0, until - time.monotonic()))
        process.kill()


def untaken_since(cr) -> datetime.datetime | None:
    """Return since when (UTC) a run of the database of ``cr`` waits for a process."""
    limits = {"postpone": POSTPONE, "patience": SPAWN_PATIENCE}
    cr.execute(UNTAKEN_SINCE, limits)
    return cr.fetchone()[0]


def other_server(cr, database: str, job_id: int | None = None) -> EngineError | None:
    """Return why all open runs of a database, or one of them, are left to another
    server; None when this one may take what waits."""
    cr.execute(OPEN_KINDS, [job_id])
    if any(run_kind(kind).is_of_any_server(trigger) for kind, trigger in cr.fetchall()):
        return None
    return odoo_config.other_server(database, lambda: newest_files(cr))


def open_log(job_uuid: str) -> IO[bytes]:
    """Return the file into which the runner of a run writes. Raise
    DataFolderUnusable."""
    log = odoo_config.log_path(job_uuid)
    with odoo_config.data_folder_explained():
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(log, "ab", opener=open_private)


def require_log_folder() -> None:
    """Raise DataFolderUnusable where no runner could write its log."""
    with odoo_config.data_folder_explained():
        folder = odoo_config.log_path("any").parent
        make_directory(folder)
        require_writable(folder)


def child_environment(application_name: str) -> dict[str, str]:
    """Return the environment in which a child has the configuration of this server.

    The configuration file is named again; options that came from the command line, or
    were set while running, become environment variables (Odoo 19 has one for each
    option that its file may hold). What came from the environment is inherited.
    """
    env = dict(os.environ)
    roots = [str(Path(path).parent) for path in odoo.__path__]
    env["PYTHONPATH"] = os.pathsep.join(
        [*roots, *filter(None, [env.get("PYTHONPATH")])]
    )
    if config["config"]:
        env["ODOO_RC"] = config["config"]
    for name, option in config.options_index.items():
        given = name in config._cli_options or name in config._runtime_options
        if (
            given
            and option.env_name
            and option.file_loadable
            and name not in OWN_OPTIONS
        ):
            env[option.env_name] = config.format(name, config[name])
    env["ODOO_LOGFILE"] = ""
    env["ODOO_SYSLOG"] = "False"
    env["PGAPPNAME"] = application_name
    env.pop("PGDATABASE", None)
    return env


def is_runner(env: api.Environment) -> bool:
    """Tell whether this is the environment of a runner, which commits what it writes.
    Nobody can say so in the context of a call."""
    return env.context.get(CONTEXT_KEY) is _IN_RUNNER


def log_tail(job_uuid: str) -> str:
    """Return the last lines that a runner wrote."""
    with (
        contextlib.suppress(OSError),
        open(odoo_config.log_path(job_uuid), "rb") as stream,
    ):
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - LOG_TAIL))
        return stream.read().decode("utf-8", "replace").strip()
    return ""


def main(database: str, job_id: int) -> int:
    """Perform a run in this process; return the exit status (never 3: to Odoo's own
    process manager, which may be our parent, that is an order to stop the server)."""
    _reset_rlimits()
    threading.current_thread().dbname = database  # for the log
    if not odoo_config.is_enabled():  # odoo.conf may say so since this server started
        _logger.error("%s", SwitchedOff().in_full)
        return 1
    longest = (
        odoo_config.hang_seconds()
    )  # what odoo.conf says wrongly is found before the run begins
    connection = odoo_config.connection(database, "dfr_backup lock").connect()
    connection.autocommit = True
    with connection.cursor() as cr:
        try:  # the code may be newer than that of the server which has started this
            require_version(cr, database, odoo_config.CODE_VERSION)
        except EngineError as error:
            _logger.error("%s", error.in_full)
            return 1
        if other := other_server(cr, database, job_id):
            _logger.info("Run %s is left: %s", job_id, other.in_full)
            return 0
    if not _lock(connection, job_id) or not _claim(connection, job_id):
        return 0
    in_thread(partial(_exit_with_lock, connection, longest), "dfr_backup lock")
    with committing_environment(Registry(database)) as env:
        env["backup.job"].browse(job_id)._perform()
    return 0


@contextlib.contextmanager
def committing_environment(registry: Registry) -> Iterator[api.Environment]:
    """Yield the environment of a runner, or of what else waits for storages outside of
    any call: what it writes is committed at once."""
    with registry.cursor() as cr:
        # a step may read a file for longer than the role's transactions may rest
        cr.execute("SET idle_in_transaction_session_timeout = 0")
        cr.commit()  # pylint: disable=invalid-commit
        yield api.Environment(cr, SUPERUSER_ID, {CONTEXT_KEY: _IN_RUNNER})


def boot(database: str) -> int:
    """Load a restored database, as Odoo would to serve it, and read a record of
    every model; print how many there are, as JSON. An error of any of them leaves."""
    with Registry(database).cursor() as cr:
        env = api.Environment(cr, SUPERUSER_ID, {})
        models = [
            model for model in env.values() if model._auto and not model._abstract
        ]
        for model in models:
            record = model.with_context(active_test=False).search([], limit=1)
            record.read([name for name, field in model._fields.items() if field.store])
        cr.rollback()
    print(json.dumps({"models": len(models)}))
    return 0


def boot_apart(database: str, application_name: str, progress: Progress) -> None:
    """Let a process of its own do ``boot``. Raise PermanentError when Odoo cannot
    load the database, and Cancelled; the process has ended then."""
    argv = [sys.executable, "-m", "odoo", "backup", "boot", f"--database={database}"]
    process = subprocess.Popen(
        argv,
        env=child_environment(application_name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        preexec_fn=die_with_parent,
    )
    try:
        output = _output(process, progress)
    finally:
        process.kill()
        process.wait()
    last = output.strip().rpartition("\n")[2]
    try:
        count = parse_json(last.encode())["models"]
    except (ValueError, KeyError, TypeError):
        count = None
    if process.returncode != 0 or count is None:
        raise BootFailed(log=output[-8000:])
    progress.log(Message(ODOO_HAS_LOADED, count=count))


def _output(process: subprocess.Popen, progress: Progress) -> str:
    """Return what a process prints, once it has ended; a cancel is heard meanwhile."""
    until = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            return process.communicate(timeout=POLL_INTERVAL)[0].decode(
                "utf-8", "replace"
            )
        except subprocess.TimeoutExpired:
            progress.tick()
            if time.monotonic() > until:
                raise BootTooSlow(seconds=BOOT_SECONDS) from None


def _lock(connection, job_id: int) -> bool:
    """Take the run's lock for as long as this process, and its connection, live."""
    with connection.cursor() as cr:
        cr.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, job_id])
        if cr.fetchone()[0]:
            return True
    _logger.info("Another process performs run %s", job_id)
    return False


def heartbeat() -> None:
    """Call this at least once in so many minutes as a run may hang, see
    ``odoo_config``."""
    _life.at = time.monotonic()


def _exit_with_lock(connection, longest: float) -> None:
    """End this process as soon as the connection with the lock ends: another runner may
    take the run up from then on, and two must not work in the same files. End it as
    well when the run shows no sign of life for ``longest`` seconds: no runner may wait
    for ever.

    A server that ends a session makes its socket readable, and nothing else does here.
    """
    try:
        _wait_for_end(connection, longest)
    except Exception:  # nobody else would notice that the lock is gone
        _logger.exception("The lock of this run cannot be watched: giving up")
    os.kill(os.getpid(), signal.SIGKILL)  # as after any other kill, the run is resumed


def _wait_for_end(connection, longest: float) -> None:
    heartbeat()
    ending = select.poll()
    ending.register(connection, select.POLLIN)
    while not ending.poll(min(LIFE_CHECK_SECONDS, longest) * 1000):
        if time.monotonic() - _life.at > longest:
            _logger.error("No sign of life for %s seconds: giving up", longest)
            return
    _logger.error("The connection that holds the lock of this run has ended: giving up")


def _claim(connection, job_id: int) -> bool:
    """Mark the run, and its first open step, as running; tell whether it was ours to
    take.

    In SQL, because loading the registry takes seconds, and whoever pressed the button
    looks.
    """
    try:
        with connection.cursor() as cr:
            cr.execute(
                CLAIM_JOB,
                {"job": job_id, "host": os.uname().nodename, "pid": os.getpid()},
            )
            if cr.rowcount:
                cr.execute(CLAIM_STEP, {"job": job_id})
                return True
        _logger.info("Run %s needs nothing more", job_id)
    except psycopg2.errors.UniqueViolation:
        _logger.info("Another run is going on: run %s waits", job_id)
    return False


def _reset_rlimits() -> None:
    """Undo what an Odoo worker passes on: limits meant for requests, and blocked
    signals."""
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU):
        _soft, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (hard, hard))
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _lower_priority()


def _lower_priority() -> None:
    """Leave the processor to whoever wants it, and the disk with it (Linux: by
    niceness).

    Where the kernel groups processes by session, niceness counts within a session only,
    and ours is alone in one: the group has a niceness of its own (Linux, sched(7),
    autogroup).
    """
    with contextlib.suppress(OSError):
        os.nice(NICENESS - os.nice(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))
