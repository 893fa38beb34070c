"""Real Odoo, real PostgreSQL, committed data: each test has a database and a data
directory.

Everything runs without the power of root to ignore file permissions, so that an
unreadable file is one here too.
"""

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import types
import urllib.request
from pathlib import Path

import psycopg2
import pytest
from pages import describe_open_pages, launched_browser, new_page
from ready import ready_odoo
from waits import until

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)

from dfr_backup.engine.identity import present_identity  # noqa: E402
from dfr_backup.engine.ownership.originals import Originals  # noqa: E402

DEV = Path(os.environ["DFR_DEV_DIR"])
REPO = Path(__file__).resolve().parents[2]
# one for all workers of a run; several runs may go on at once
RUN = os.environ.setdefault("DFR_E2E_RUN", str(os.getpid()))
TEMPLATE = f"dfr_e2e_template_{RUN}"
PYCACHE = str(DEV / "pycache")
FAULTS = str(Path(__file__).with_name("faults"))
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-chown,-fowner"]
SEED = """
env["ir.attachment"].create([
    {"name": f"{n}.bin", "raw": bytes([n]) * 5000 + str(n).encode()} for n in range(200)
])
env["ir.attachment"].create(
    {"name": "large", "raw": __import__("random").randbytes(9 << 20)})
env.cr.commit()
"""
BUNDLES = """
bundle = env["ir.qweb"]._get_asset_bundle
for name in ("assets_web", "assets_web_print"):
    bundle(f"web.{name}", css=True, js=False).css()
bundle("web.assets_web", css=False, js=True).js()
env.cr.commit()
"""
# all are due in a new database: each first start of a server would do a day's work
OTHER_CRONS_LATER = """
UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' + interval '1 day'
 WHERE id NOT IN (SELECT res_id FROM ir_model_data
                   WHERE module = 'dfr_backup' AND model = 'ir.cron')
"""
# the state of a run, and whether its runner lives (LOCK_CLASS of runner.py)
RUN_AND_LOCK = """
SELECT state, attempt, EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = x'64667262'::int AND objid = backup_job.id)
FROM backup_job WHERE id = %s
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "release: too long for each change")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed and (shown := describe_open_pages()):
        report.sections.append(("open pages", shown))
    return report


def _ordinary(argv):
    return [*ORDINARY, *argv] if os.getuid() == 0 else list(argv)


def _settings():
    text = (DEV / "odoo.conf").read_text()
    found = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    # setup/dev/servers.sh: another server than the system's
    return found | {"db_port": os.environ.get("PGPORT", found["db_port"])}


def free_port():
    """Return a port that is free, below those that the system gives to outgoing
    connections: one of them could take it before a server does."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


class RpcError(Exception):
    """What a server has refused: the name of its exception, and our code if it has
    one."""

    def __init__(self, data):
        super().__init__(data["message"])
        self.name = data["name"].rpartition(".")[2]
        self.code = data["context"].get("error_code")


class Instance:
    """One database with its own data directory and configuration file."""

    is_clone = False

    def __init__(self, database, folder):
        self.database = database
        self.folder = folder
        self.data = folder / "data"
        self.conf = folder / "odoo.conf"
        self.options = {**_settings(), "data_dir": str(self.data), "db_name": database}
        self.options["http_port"] = str(free_port())
        self.options["gevent_port"] = str(free_port())
        self.write_conf()

    def write_conf(self, **changes):
        self.options.update(changes)
        lines = [
            f"{key} = {value}"
            for key, value in self.options.items()
            if value is not None
        ]
        self.conf.write_text("[options]\n" + "\n".join(lines) + "\n")
        self.conf.chmod(0o600)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.options['http_port']}"

    def environ(self, fault=None, **extra):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "ODOO_"))}
        env["PYTHONPYCACHEPREFIX"] = PYCACHE
        env.update(ODOO_RC=str(self.conf), **extra)
        if fault:
            env["DFR_TEST_FAULT"] = fault
            env["PYTHONPATH"] = f"{FAULTS}:{env.get('PYTHONPATH', '')}"
        return env

    def odoo(self, *args, fault=None, text=None, timeout=900, **extra):
        return subprocess.run(
            _ordinary([DEV / "bin/odoo", *args]),
            env=self.environ(fault, **extra),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def command(self, *args, fault=None, text=None, timeout=900, **extra):
        """Do the same in a process of an Odoo that has imported its code already, for
        tests that are not about how the command starts."""
        if not self.is_clone:
            return self.odoo(*args, fault=fault, text=text, timeout=timeout, **extra)
        installed = "SELECT name FROM ir_module_module WHERE state = 'installed'"
        modules = sorted(name for (name,) in self.sql(installed))
        ready = ready_odoo(tuple(_ordinary([])), PYCACHE, tuple(modules))
        argv, environ = [str(DEV / "bin/odoo"), *args], self.environ(fault, **extra)
        return ready.run(argv, environ, text or "", timeout)

    def shell(self, code, fault=None):
        args = ("shell", "-d", self.database, "--no-http")
        done = self.command(*args, text=code, fault=fault)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def backup(self, fault=None, **extra):
        """Run a backup from the command line; return its report and its exit status."""
        args = ("backup", "run", "-d", self.database, "--json")
        done = self.command(*args, fault=fault, **extra)
        assert done.stdout.strip(), done.stderr
        return Run(self, json.loads(done.stdout), done.returncode)

    def sql(self, query, *params, database=None):
        with (
            contextlib.closing(self.connect(database)) as session,
            session.cursor() as cr,
        ):
            session.autocommit = True
            cr.execute(query, params)
            return cr.fetchall() if cr.description else []

    def be_original(self):
        """Let this server know its database, which is a raw copy, as the original."""
        with contextlib.closing(self.connect()) as session, session.cursor() as cr:
            identity = present_identity(cr)
        Originals(self.data / "dfr_backup/originals").hand_over(identity)

    def connect(self, database=None):
        o = self.options
        return psycopg2.connect(
            dbname=database or self.database,
            host=o["db_host"],
            port=o["db_port"],
            user=o["db_user"],
            password=o["db_password"],
        )

    def superuser(self, query):
        script = REPO / "tests/e2e/as_superuser.sh"
        subprocess.run([script, self.database, query], check=True, capture_output=True)

    @property
    def filestore(self):
        return self.data / "filestore" / self.database

    @property
    def work(self):
        return self.data / "dfr_backup/work"

    @property
    def storage(self):
        return self.data / "dfr_backup/backups" / self.database

    @staticmethod
    def stored(folder):
        """Return the files of a storage's folder, but for what marks it."""
        return [p for p in folder.iterdir() if p.name != "dfr_backup-location"]

    def leftovers(self):
        """Return what a finished run must not leave: files, sessions, open rows.

        Its process may need a moment to end.
        """
        with contextlib.suppress(AssertionError):
            until(lambda: not self._leftovers(), seconds=120, pause=0.25)
        return self._leftovers()

    def _leftovers(self):
        found = [str(p) for p in self.work.glob("*")]
        found += [str(p) for p in self.storage.glob("*.part")]
        found += self.sql(
            "SELECT application_name FROM pg_stat_activity WHERE datname = %s"
            " AND application_name LIKE 'dfr_backup%%'",
            self.database,
        )
        found += self.sql(
            "SELECT name, state FROM backup_job WHERE state IN ('running')"
        )
        found += self.sql(
            "SELECT kind FROM backup_step WHERE state IN ('running', 'pending')"
        )
        return found

    @contextlib.contextmanager
    def serve(self, *args, env=None):
        """Run a real server until the block ends."""
        with open(self.folder / "server.log", "ab") as log:
            process = subprocess.Popen(
                _ordinary([DEV / "bin/odoo", *args]),
                env=env or self.environ(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                self._await_server(process)
                yield process
            finally:
                _end(process)

    def _await_server(self, process):
        def answers():
            log = self.folder / "server.log"
            assert process.poll() is None, log.read_text()[-3000:]
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/web/health", timeout=5).close()
                return True

        until(answers, pause=0.25)

    def rpc(self, model, method, *args, login="admin", password="admin", **kwargs):
        """Call a method over JSON-RPC, as any client may."""
        uid = self._jsonrpc("common", "login", self.database, login, password)
        return self._jsonrpc(
            "object",
            "execute_kw",
            self.database,
            uid,
            password,
            model,
            method,
            args,
            kwargs,
        )

    def _jsonrpc(self, service, method, *args):
        body = {
            "jsonrpc": "2.0",
            "params": {"service": service, "method": method, "args": args},
        }
        request = urllib.request.Request(
            f"{self.url}/jsonrpc",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RpcError(answer["error"]["data"])
        return answer["result"]

    def await_job(self, job_id, timeout=300):
        """Return the state in which the run ended.

        A run whose runner died is taken up by Odoo's scheduled action: the minute
        that its thread sleeps is passed over.
        """
        passed = set()

        def ended(cr):
            cr.execute(RUN_AND_LOCK, [job_id])
            state, attempt, held = cr.fetchone()
            if state == "running" and not held and attempt not in passed:
                passed.add(attempt)
                self.wake_scheduled_action()
            return state not in ("pending", "running") and state

        with contextlib.closing(self.connect()) as session, session.cursor() as cr:
            session.autocommit = True
            return until(lambda: ended(cr), timeout, pause=0.25)

    def wake_scheduled_action(self):
        self.sql(
            "INSERT INTO ir_cron_trigger (cron_id, call_at)"
            " SELECT res_id, now() AT TIME ZONE 'UTC' FROM ir_model_data"
            " WHERE module = 'dfr_backup' AND name = 'ir_cron_supervise'"
        )
        self.wake_cron()

    def wake_cron(self):
        """Odoo's thread looks once a minute, unless it is told of a database."""
        self.sql(
            "SELECT pg_notify('cron_trigger', %s)", self.database, database="postgres"
        )

    def until_cron(self, condition):
        """Wake the cron of a server, which may not listen yet, until it has done
        something; return what ``condition`` returns."""

        def look():
            self.wake_cron()
            return condition()

        return until(look, pause=1)


def _end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def message_values(line):
    """Return the values of each message in a line of a stored log."""
    if not isinstance(line, dict):
        return []
    values = line.get("values", {})
    parts = [*line.get("joined", []), *values.values()]
    return [values, *(found for part in parts for found in message_values(part))]


class Run:
    """What a backup from the command line reported."""

    def __init__(self, instance, report, status):
        self.instance = instance
        self.report = report
        self.status = status
        self.state = report["job"]["state"]
        self.steps = {
            step["kind"] + (f":{step['storage']}" if step["storage"] else ""): step
            for step in report["steps"]
        }
        self.states = {
            name.split(":")[0]: step["state"] for name, step in self.steps.items()
        }
        self.by_kind = {step["kind"]: step for step in report["steps"]}

    @property
    def archive(self):
        """The copy in the local storage."""
        paths = [copy["path"] for copy in self.report["copies"]]
        return Path(next(path for path in paths if path.startswith("/")))

    @property
    def manifest(self):
        stem = self.archive.name.removesuffix(".age").removesuffix(".zip")
        return json.loads(self.archive.with_name(f"{stem}.json").read_text())


def _databases(query):
    settings = _settings()
    with contextlib.closing(
        psycopg2.connect(
            dbname="postgres",
            host=settings["db_host"],
            port=settings["db_port"],
            user=settings["db_user"],
            password=settings["db_password"],
        )
    ) as session:
        session.autocommit = True
        with session.cursor() as cr:
            cr.execute(query)


def drop_database(name):
    """Drop a database with whatever of ours is connected to it. Not WITH (FORCE),
    which may not end an autovacuum: the plain statement does."""
    _databases(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND usename = current_user"
    )
    _databases(f'DROP DATABASE IF EXISTS "{name}"')


def made_once(name, tmp_path_factory, make):
    """Return the instance that the first worker makes; the others wait for it."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        instance = Instance(name, folder)
        if not (folder / "made").exists():
            drop_database(name)
            make(instance)
            (folder / "made").touch()
    return instance


def pytest_sessionfinish(session):
    # a worker that is done may not drop what another still clones
    if "PYTEST_XDIST_WORKER" not in os.environ:
        for name in (f"{TEMPLATE}_web", f"{TEMPLATE}_plain", TEMPLATE):
            drop_database(name)


def install(instance, *arguments):
    """Let Odoo install modules."""
    done = instance.odoo("-d", instance.database, *arguments, "--stop-after-init")
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def plain_template(tmp_path_factory):
    """A database with all that the addon depends on, and without the addon."""
    name = f"{TEMPLATE}_plain"
    modules = ("-i", "base,web,mail")
    return made_once(name, tmp_path_factory, lambda made: install(made, *modules))


@pytest.fixture(scope="session")
def template(plain_template, tmp_path_factory):
    """A database with the addon and some attachments, from which each test gets a
    clone."""

    def make(instance):
        copy_database(plain_template, instance)
        install(instance, "-i", "dfr_backup")
        instance.shell(SEED)
        instance.sql(OTHER_CRONS_LATER)

    return made_once(TEMPLATE, tmp_path_factory, make)


@pytest.fixture(scope="session")
def web_template(template, tmp_path_factory):
    """The same with what a browser loads first, which takes a server its time."""

    def make(instance):
        fill_clone(template, instance)
        instance.shell(BUNDLES)

    return made_once(f"{TEMPLATE}_web", tmp_path_factory, make)


def copy_database(template, copy):
    """Give an instance the database of another, and its files."""
    _databases(f'CREATE DATABASE "{copy.database}" TEMPLATE "{template.database}"')
    shutil.copytree(template.filestore, copy.filestore)


def fill_clone(template, clone):
    """Give an instance what another has, and a storage of its own."""
    copy_database(template, clone)
    clone.is_clone = True
    clone.storage.mkdir(parents=True, mode=0o700)
    clone.sql(
        "UPDATE backup_storage SET local_path = %s, place_id = NULL", str(clone.storage)
    )
    clone.be_original()


@contextlib.contextmanager
def clone_of(template, name, folder):
    """Yield a clone of the template: one database, one data directory, one
    configuration."""
    try:
        clone = Instance(name, folder)
        fill_clone(template, clone)
        yield clone
    finally:
        drop_database(name)


@pytest.fixture
def instance(tmp_path, request):
    """A clone of the template for this test."""
    name = f"dfr_e2e_{os.getpid()}_{abs(hash(request.node.nodeid)) % 10**8}"
    wanted = "web_template" if "page" in request.fixturenames else "template"
    with clone_of(request.getfixturevalue(wanted), name, tmp_path) as clone:
        yield clone


@pytest.fixture
def copy(instance):
    """The name of the database that a test restores; it is dropped at the end."""
    name = f"{instance.database}_r"
    yield name
    with contextlib.suppress(Exception):
        instance.sql(f'ALTER DATABASE "{name}" IS_TEMPLATE false', database="postgres")
    drop_database(name)
    shutil.rmtree(instance.data / "filestore" / name, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_instance(web_template, tmp_path_factory, request):
    """A clone of the template for the tests of one file, which only look."""
    name = f"dfr_e2e_{os.getpid()}_{request.module.__name__}"
    with clone_of(web_template, name, tmp_path_factory.mktemp("shared")) as clone:
        yield clone


def restored(instance, archive):
    """Restore with Odoo's own command; return the name of the copy, and check it."""
    copy = f"{instance.database}_r"
    drop_database(copy)
    try:
        done = instance.odoo("db", "load", copy, str(archive))
        assert done.returncode == 0, done.stderr[-3000:]
        done = subprocess.run(
            [
                sys.executable,
                REPO / "setup/dev/compare.py",
                copy,
                instance.data,
                archive.with_suffix(".json"),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    finally:
        drop_database(copy)
        shutil.rmtree(instance.data / "filestore" / copy, ignore_errors=True)


@pytest.fixture
def restore():
    return restored


@pytest.fixture(scope="session")
def browser():
    """One for all pages of a worker: each has cookies and a cache of its own."""
    with launched_browser() as browser:
        yield browser


@pytest.fixture
def page(browser):
    """A browser's page; ``page.problems`` has what its console complained about."""
    with new_page(browser) as page:
        yield page
