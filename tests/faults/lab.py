"""One database whose runs are disturbed, and the two laws that hold whatever happens:

1. no run says success for a backup that does not restore;
2. nothing is left behind.
"""

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
from instances import e2e

HERE = Path(__file__).parent
INJECT = str(HERE / "inject")
LOCK_CLASS = 0x64667262  # as in runner.py
OPEN = ("pending", "running")
ANSWER_SECONDS = 300  # patient, for machines that have other things to do
RUN_SECONDS = 600
GRACE = 30.0  # seconds that the last process of a run may need to end
REQUEST = 'result = env["backup.plan"].search([], limit=1)._request_run("manual").id'
COPIES = 'env["backup.copy"].search([("state", "=", "verified")], limit={count})'
DRILL = f'result = {COPIES}._request_drill("manual").id'
RESTORE = (
    f"result = {COPIES}._request_restore("
    'restore_database="{name}", restore_new_identity=True, restore_neutralize=True).id'
)
SUPERVISE = 'env["backup.job"]._supervise()'


class Driver:
    """A process of Odoo that obeys, see driver.py. Use as a context manager."""

    def __init__(self, instance, **environ):
        self._instance = instance
        self._environ = environ
        self._process = None

    def __enter__(self):
        self._log = open(self._instance.folder / "driver.log", "ab")
        environ = self._instance.environ(**self._environ)
        environ["PYTHONPATH"] = f"{INJECT}:{environ.get('PYTHONPATH', '')}"
        self._process = subprocess.Popen(
            e2e._ordinary(
                [sys.executable, HERE / "driver.py", self._instance.database]
            ),
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exc_info):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    @property
    def pid(self):
        return self._process.pid

    def restart(self):
        self.__exit__()
        self.__enter__()

    def do(self, code, **environ):
        """Return what ``code`` leaves in ``result``. Raise RuntimeError with its
        traceback."""
        order = json.dumps({"code": code, "environ": environ}) + "\n"
        self._process.stdin.write(order.encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], ANSWER_SECONDS)[0]:
            raise RuntimeError(f"no answer to {code}")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver died: see {self._log.name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


class Fault:
    """What happens in the next run, see inject/sitecustomize.py; ``folder`` is the
    test's."""

    count = 0

    def __init__(self, folder, action, checkpoint="", **options):
        Fault.count += 1
        self.marker = folder / f"fault{Fault.count}"
        self._values = {
            "action": action,
            "checkpoint": checkpoint,
            "marker": str(self.marker),
        }
        self._values |= options

    @property
    def environ(self):
        return {"DFR_FAULT": json.dumps(self._values)}

    @property
    def happened(self):
        return self.marker.exists()

    def await_it(self, seconds=300):
        """Return once it has happened, so that a process stands still and waits for
        us."""
        until = time.monotonic() + seconds
        while not self.happened:
            assert time.monotonic() < until, "the instant was never reached"
            time.sleep(0.02)

    def go_on(self):
        Path(f"{self.marker}.go").touch()


class Outcome:
    """How a run ended."""

    def __init__(self, lab, number):
        self.number = number
        row = lab.sql(
            "SELECT state, attempt, error, error_code, uuid, archive_name"
            " FROM backup_job WHERE id = %s",
            number,
        )[0]
        self.state, self.attempt, self.error, self.code, self.uuid, self.archive = row
        rows = lab.sql(
            "SELECT kind, state, error, hint, error_code, log_values FROM backup_step"
            " WHERE job_id = %s ORDER BY sequence",
            number,
        )
        self.steps = {kind: state for kind, state, *_texts in rows}
        self.errors = {  # for a person who reads why a test failed
            kind: f"{error} {hint}" for kind, _s, error, hint, *_more in rows if error
        }
        self.codes = {kind: code for kind, _s, error, _h, code, _l in rows if error}
        self.noted = {
            kind: [values for line in log or [] for values in e2e.message_values(line)]
            for kind, *_facts, log in rows
        }

    def __str__(self):
        text = self.state
        text += f" in attempt {self.attempt}" if self.attempt > 1 else ""
        failed = [kind for kind, state in self.steps.items() if state == "failure"]
        return f"{text}: {', '.join(failed)} failed" if failed else text


class Lab:
    """``instance`` with a driver. Its runs share one database, so that each finds
    what the earlier ones have left."""

    def __init__(self, instance, **environ):
        self.instance = instance
        self.driver = Driver(instance, TMPDIR=str(instance.folder / "tmp"), **environ)
        self.bucket = None  # (client, name)
        self.sftp_folder = None  # where the server keeps what it gets
        self.identity = None  # a file with the key of encrypted archives
        self.beside = None  # a Neighbour, whose runs go on at the same time
        self.shared = environ
        self._known = {}
        self._scratch = set()  # databases that restores were seen to make
        (instance.folder / "tmp").mkdir()

    def __enter__(self):
        self.driver.__enter__()
        return self

    def __exit__(self, *exc_info):
        self.driver.__exit__(*exc_info)

    def forget(self):
        """The storage that was there is gone, with the test's consent."""
        self._known = {}
        self.sql(
            "UPDATE backup_copy SET state = 'missing' WHERE state IN ('stored', "
            "'verified')"
        )

    def sql(self, query, *params):
        return self.instance.sql(query, *params)

    def write(self, model, values):
        self.driver.do(f'env["{model}"].search([]).write({values!r})')

    # === RUNS === #

    def start(self, code=REQUEST, fault=None):
        """Start a run as a button does; return its number."""
        for (earlier,) in self.sql(
            "SELECT id FROM backup_job WHERE state IN ('pending', 'running')"
        ):
            self.settle(earlier)  # a test that failed has left it
        environ = fault.environ if fault else {"DFR_FAULT": None}
        if self.beside:
            self.beside.begin(code)
        number = self.driver.do(code, **environ)
        self.driver.do("", DFR_FAULT=environ["DFR_FAULT"])
        return number

    def settle(self, number, seconds=RUN_SECONDS):
        """Supervise as the cron does, whenever no runner lives, until the run is
        closed."""
        until, state = time.monotonic() + seconds, None
        while time.monotonic() < until:
            self._note_scratch()
            with contextlib.suppress(psycopg2.OperationalError):
                ((state, later),) = self.sql(
                    "SELECT state, not_before IS NOT NULL FROM backup_job"
                    " WHERE id = %s",
                    number,
                )
                if state not in OPEN:
                    if self.beside:
                        self.beside.end()
                    return Outcome(self, number)
                if later:  # nobody waits ten minutes here
                    self.sql(
                        "UPDATE backup_job SET not_before = NULL WHERE id = %s", number
                    )
                if not self.processes():
                    with contextlib.suppress(RuntimeError):
                        self.driver.do(SUPERVISE)
            time.sleep(0.1)
        raise AssertionError(f"run {number} is still {state} after {seconds} s")

    def run(self, fault=None, code=REQUEST, meanwhile=None):
        """Perform a run to its end. ``meanwhile`` is done while it stands still in
        ``fault``."""
        number = self.start(code, fault)
        try:
            if meanwhile:
                fault.await_it()
                meanwhile()
        finally:
            if fault:
                fault.go_on()
            outcome = self.settle(number)
        if fault:
            assert fault.happened, f"the fault never happened: {outcome}"
        return outcome

    def runner(self, number):
        """Return the pid of the process that performs a run."""
        return self.sql("SELECT pid FROM backup_job WHERE id = %s", number)[0][0]

    def processes(self):
        """Return {pid: command line} of all that works on this database but the
        driver."""
        found = {}
        self._note_scratch()
        needles = [name.encode() for name in (self.instance.database, *self._scratch)]
        of_pg_dump = b"PGDATABASE=" + needles[0] + b"\0"
        # there may be another server with a database of this name
        conf = b"ODOO_RC=" + os.fsencode(self.instance.conf) + b"\0"
        # no further than the names: a process may end between two looks at it
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (process / "cmdline").read_bytes()
                environ = (process / "environ").read_bytes()
                pid = int(process.name)
                ours = any(needle in command for needle in needles)
                ours = (ours or of_pg_dump in environ) and conf in environ
                if ours and b"driver.py" not in command and pid != os.getpid():
                    found[pid] = command.replace(b"\0", b" ").decode()
        return {pid: text for pid, text in found.items() if "postgres:" not in text}

    # === THE LAWS === #

    def check(self, outcome, restore=True):
        """Hold a closed run against both laws."""
        assert outcome.state not in OPEN
        left = self.leftovers()
        assert not left, f"{outcome}: left behind {left}"
        self.earlier_copies_are_untouched()
        rows = self.sql(
            "SELECT s.provider, c.key, c.sha256, c.complete, s.local_path FROM "
            "backup_copy c"
            " JOIN backup_storage s ON s.id = c.storage_id"
            " WHERE c.job_id = %s AND c.state = 'verified' ORDER BY s.provider",
            outcome.number,
        )
        if outcome.state in ("success", "partial") and "upload" in outcome.steps:
            assert rows, f"{outcome.state}, and no verified copy"
        if outcome.state == "success" and "upload" in outcome.steps:
            planned = sum(
                1 for _ in self.sql("SELECT 1 FROM backup_storage WHERE active")
            )
            assert len(rows) == planned, "success, and a storage has no copy"
            assert all(complete for *_x, complete, _path in rows)
        for provider, key, sha256, _complete, path in rows:
            content = self.content(provider, key, path)
            assert hashlib.sha256(content).hexdigest() == sha256, (
                f"{provider}: {key} is damaged"
            )
        if (
            restore
            and rows
            and outcome.steps.get("dump_database") in ("success", "warning")
        ):
            self.restore(*rows[0])
        return str(outcome)

    def content(self, provider, key, path):
        if provider == "local":
            return Path(path, key).read_bytes()
        if provider == "sftp":
            return Path(self.sftp_folder, key).read_bytes()
        client, bucket = self.bucket
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def restore(self, provider, key, _sha256, _complete, path):
        """Restore with our own command, which compares rows and files, and remove it
        again."""
        assert provider == "local"
        copy = f"{self.instance.database}_r"
        key_file = ["--identity", str(self.identity)] if key.endswith(".age") else []
        environ = {"TMPDIR": str(self.instance.folder / "tmp"), **self.shared}
        command = [
            "backup",
            "restore",
            str(Path(path, key)),
            "--to",
            copy,
            "--json",
            *key_file,
        ]
        try:
            done = self.instance.odoo(*command, **environ)
            assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        finally:
            self.drop(copy)

    def drop(self, database):
        # not WITH (FORCE), which may not end an autovacuum
        mine = "datname = %s AND usename = current_user"
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"
        self.instance.sql(end, database, database="postgres")
        self.instance.sql(f'DROP DATABASE IF EXISTS "{database}"', database="postgres")
        shutil.rmtree(self.instance.data / "filestore" / database, ignore_errors=True)

    def earlier_copies_are_untouched(self):
        """What a storage held keeps its content. Archives are never changed."""
        found = {
            p: self._identity(p) for p in self.instance.stored(self.instance.storage)
        }
        for path, identity in self._known.items():
            if path in found:
                assert found[path] == identity, f"{path.name} was changed"
        self._known = found

    @staticmethod
    def _identity(path):
        status = path.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    def leftovers(self):
        """Return what a closed run must not leave."""
        return self.still_at_work() or _patiently(self._files_left)

    def still_at_work(self):
        """Return the rows, sessions, locks and processes that tell of work."""
        return _patiently(lambda: [*self._rows_left(), *self.processes().values()])

    def _files_left(self):
        data, storage = self.instance.data, self.instance.storage
        kept = self.kept()
        kept += self.beside.kept() if self.beside else []
        allowed = {self.instance.work / uuid / name for uuid, name in kept}
        allowed |= {path.parent for path in allowed}
        found = [path for path in self.instance.work.rglob("*") if path not in allowed]
        found += storage.glob("*.part*")
        found += Path(self.sftp_folder).glob("*.part*") if self.sftp_folder else []
        found += (data / "filestore").glob("dfr_restore_*")
        found += (data / "dfr_backup/restores").glob("*")
        found += (data / "dfr_backup/fetched").glob("*")
        found += (self.instance.folder / "tmp").glob("*")
        names = {path.name for path in self.instance.stored(storage)}
        archives = {n for n in names if n.endswith((".zip", ".age"))}
        sidecars = {
            f"{n.removesuffix('.age').removesuffix('.zip')}.json" for n in archives
        }
        found += [storage / name for name in names - archives - sidecars]
        found += [storage / name for name in sidecars - names]
        return [str(path) for path in found] + self._uploads_left()

    def kept(self):
        """Return the archives that wait for a retry of their upload."""
        return self.sql(
            "SELECT uuid, archive_name FROM backup_job WHERE kept_until IS NOT NULL"
        )

    def _uploads_left(self):
        if not self.bucket:
            return []
        client, bucket = self.bucket
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        names = {
            o["Key"] for o in client.list_objects_v2(Bucket=bucket).get("Contents", [])
        }
        stems = [
            n.removesuffix(".age").removesuffix(".zip").removesuffix(".json")
            for n in names - {"dfr_backup-location"}  # says whose the bucket is
        ]
        lonely = sorted(stem for stem in set(stems) if stems.count(stem) != 2)
        return [f"upload of {u['Key']}" for u in uploads] + lonely

    def _rows_left(self):
        found = self.sql(
            "SELECT datname, application_name FROM pg_stat_activity"
            " WHERE datname = ANY(%s) AND application_name LIKE 'dfr_backup%%'",
            [self.instance.database, *self._scratch],
        )
        found += self.sql(
            "SELECT name, state FROM backup_job WHERE state IN ('running')"
        )
        found += self.sql(
            "SELECT s.kind, s.state FROM backup_step s JOIN backup_job j ON j.id = "
            "s.job_id"
            " WHERE s.state IN ('running', 'pending') AND j.state NOT IN ('running', "
            "'pending')"
        )
        found += self.sql(
            "SELECT 'lock', objid FROM pg_locks l JOIN pg_database d ON d.oid = "
            "l.database"
            " WHERE l.locktype = 'advisory' AND classid = %s AND d.datname = %s",
            LOCK_CLASS,
            self.instance.database,
        )
        return found + self._databases_left()

    def _note_scratch(self):
        """Remember the scratch databases of this data directory: others are of other
        tests."""
        marks = (self.instance.data / "dfr_backup/restores").glob("*")
        self._scratch |= {path.name.partition(".")[0] for path in marks}

    def _databases_left(self):
        self._note_scratch()
        return self.sql(
            "SELECT datname FROM pg_database WHERE datname = ANY(%s)",
            list(self._scratch),
        )


class Neighbour(Lab):
    """Another database of the same server. Whenever something runs in the lab, it does
    the same, undisturbed, and that ends well. Beside a restore test it restores: a
    server has one restore test at a time."""

    disturbed = False  # as long as a fault is one of the whole server

    def __init__(self, instance):
        super().__init__(instance)
        self._number = None
        self._copy = f"{instance.database}_copy"

    def __enter__(self):
        super().__enter__()
        outcome = self.run()  # from which the restores are made
        assert outcome.state == "success", outcome.errors
        return self

    def begin(self, code):
        restores = "_request_restore" in code or "_request_drill" in code
        self._number = self.start(
            RESTORE.format(count=1, name=self._copy) if restores else REQUEST
        )

    def end(self):
        if self._number is None:
            return
        number, self._number = self._number, None
        try:
            outcome = self.settle(number)
        finally:
            self.drop(self._copy)
        if self.disturbed and outcome.state != "success":
            assert all(outcome.codes.values()), f"beside: {outcome.errors}"
            return
        assert outcome.state == "success", f"beside: {outcome.errors}"
        assert not self.still_at_work(), f"beside: left behind by {outcome}"


def _patiently(look):
    """Return what ``look`` finds, once that is nothing, or after a grace."""
    until = time.monotonic() + GRACE
    while (found := look()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
