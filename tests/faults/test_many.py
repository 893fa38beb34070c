"""Many databases of one server that are due in the same minute: never more runs at a
time than it may have, each told its place, all backed up."""

import contextlib
import fcntl
import json
import os
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from instances import be_another, e2e
from waits import until

AT_ONCE = 2
WAKE_SECONDS = 10.0
MIB = 1 << 20
SLOT_CODE, TEST_CODE = "RUN-21", "RUN-22"
DUE = """
UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC' - interval '1 second'
"""
RUNS = """
SELECT kind, state, spawn_count, error_code,
       error_values->'error'->'values'->>'before',
       error_values->'hint'->'values'->>'expected'
  FROM backup_job ORDER BY id
"""

FAILED = """
SELECT kind, error_code, error FROM backup_step WHERE state = 'failure'
 UNION SELECT kind, error_code, error FROM backup_job
        WHERE state IN ('failure', 'partial', 'cancelled')
"""


class Server:
    """One Odoo with many databases."""

    def __init__(self, template, folder, count):
        self._template = template
        self._sessions = []
        self._looking = threading.Lock()
        self.instances = []
        for number in range(count):
            name = f"{e2e.TEMPLATE.replace('template', 'many')}_{number}"
            place = folder / str(number)
            place.mkdir()
            self.instances.append(e2e.Instance(name, place))
        self.first = self.instances[0]
        self.slots = self.first.data / "dfr_backup/slots"

    def __enter__(self):
        names = ",".join(one.database for one in self.instances)
        for one in self.instances:
            one.data = self.first.data
            one.write_conf(data_dir=str(one.data), dfr_backup_max_running=str(AT_ONCE))
            e2e.fill_clone(self._template, one)
            be_another(one)
            one.be_original()
            one.sql("UPDATE backup_plan SET retention = 'none'")
            one.write_conf(http_port=self.first.options["http_port"])
        self.first.write_conf(db_name=names)
        # to connect takes longer than to look, and all are looked at all the time
        for one in self.instances:
            self._sessions.append(one.connect())
            self._sessions[-1].autocommit = True
        return self

    def __exit__(self, *exc_info):
        for session in self._sessions:
            session.close()
        for one in self.instances:
            e2e.drop_database(one.database)

    def be_due(self):
        for one in self.instances:
            one.sql(DUE)
        self.wake()

    def wake(self):
        for one in self.instances:
            one.wake_scheduled_action()

    def until(self, condition, seconds):
        """Return when a condition is true. Odoo does not hear who wakes it while it is
        at work in that database, and looks by itself only once a minute."""
        woken = 0.0

        def look():
            nonlocal woken
            if found := condition():
                return found
            if time.monotonic() - woken > WAKE_SECONDS:
                self.wake()
                woken = time.monotonic()
            return None

        until(look, seconds, pause=0.5)

    def asked(self, query):
        """Return what all databases answer, each row with the name of its database."""
        found = []
        with self._looking:
            for one, session in zip(self.instances, self._sessions, strict=True):
                with session.cursor() as cr:
                    cr.execute(query)
                    found += [(one.database, *row) for row in cr.fetchall()]
        return found

    def runs(self):
        """Return all runs of all databases: see RUNS."""
        return self.asked(RUNS)

    def failed(self):
        """Return what has gone wrong in any step."""
        return self.asked(FAILED)

    def waiting(self):
        """Return the place and the expected moment of each run that waits."""
        return sorted(
            (int(before), expected)
            for _db, _kind, state, _spawned, code, before, expected in self.runs()
            if state == "pending" and code == SLOT_CODE
        )

    @contextlib.contextmanager
    def full(self, seconds):
        """Let all slots be held, by runs that take so long."""
        self.slots.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            for number in range(1, AT_ONCE + 1):
                slot = self.slots / f"slot-{number}"
                file = stack.enter_context(open(slot, "w"))
                os.chmod(slot, 0o600)
                fcntl.flock(file, fcntl.LOCK_EX)
                about = {"database": "other", "run": "other", "since": time.time()}
                file.write(json.dumps({**about, "seconds": seconds}))
                file.flush()
            yield


class Watch(threading.Thread):
    """Looks at the processes and the runs of a server, until it is told to stop."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self._server = server
        self._stopped = threading.Event()
        self.most = Counter()
        self.memory = []  # of all runners at a time, bytes
        self.silent = []  # runs that wait for others and do not say so
        self.error = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self._stopped.set()
        self.join()
        if self.error:
            raise self.error

    def run(self):
        try:
            while not self._stopped.wait(0.5):
                self._look()
        except Exception as error:  # noqa: BLE001 - raised where the watch ends
            self.error = error

    def _look(self):
        runners = list(_runners(self._server.slots))
        self._note("runners", sum(has_slot for _size, has_slot in runners))
        self._note("processes", len(runners))
        self.memory.append(sum(size for size, _has_slot in runners))
        states = Counter()
        for database, kind, state, spawned, code, *_place in self._server.runs():
            states[state] += 1
            states[f"{kind} {state}"] += 1
            if state == "pending" and not spawned and code is None:
                self.silent.append(database)
            if code == TEST_CODE:
                self._note("told to wait for a test", 1)
        self._note("running", states["running"])
        self._note("waiting", states["pending"])
        self._note("tests", states["drill running"])

    def _note(self, what, count):
        self.most[what] = max(self.most[what], count)


def _runners(slots):
    """Yield the memory of each runner that uses these slots, and whether it has one."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if b"runner" not in argv or b"backup" not in argv:
                continue
            if not any(b"_many_" in word for word in argv):
                continue
            _hurry(process)
            size = 0
            for line in (process / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    size = int(line.split()[1]) << 10
            yield size, any(map(_is_held, _open_slots(process, slots)))


def _hurry(process):
    """Let a run that has stepped back be an ordinary process again, where we may do so:
    beside other work it would get a tenth of a processor, for many minutes. That it
    steps back is shown in tests/e2e/test_e2e_server.py."""
    with contextlib.suppress(OSError):
        (process / "autogroup").write_text("0")
        os.setpriority(os.PRIO_PROCESS, int(process.name), 0)


def _open_slots(process, slots):
    for file in (process / "fd").iterdir():
        if os.readlink(file).startswith(f"{slots}/slot-"):
            yield process / "fdinfo" / file.name


def _is_held(fdinfo):
    """Tell whether an open file has a lock: whoever looks for a slot opens it, too."""
    return "FLOCK" in fdinfo.read_text()


@pytest.fixture
def server(template, tmp_path, request):
    with Server(template, tmp_path, request.param) as made:
        yield made


def backed_up(server, rounds):
    """Return the number of databases that have so many verified backups, all of which
    can be read."""
    count = 0
    for one in server.instances:
        archives = [path for path in one.stored(one.storage) if path.suffix == ".zip"]
        for path in archives:
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
        rows = one.sql("SELECT state, count(*) FROM backup_copy GROUP BY state")
        count += len(archives) == rounds and rows == [("verified", rounds)]
    return count


def begun(server):
    return [db for db, _kind, state, *_rest in server.runs() if state != "pending"]


def all_ended(server, each):
    assert server.failed() == []
    states = Counter(state for _db, _kind, state, *_rest in server.runs())
    return states["success"] == each * len(server.instances)


@pytest.mark.parametrize(
    "server",
    [pytest.param(4, marks=pytest.mark.short), 16, 50],
    indirect=True,
    ids=lambda count: f"{count} databases",
)
def test_due_in_the_same_minute(server, cell):
    count = len(server.instances)
    began = time.monotonic()
    with server.first.serve(), Watch(server) as watch:
        moments = all_wait(server)
        # nobody has a history to guess from, but for those that are held
        assert not any(moments[AT_ONCE:])
        let_go(server, 1)
        moments = all_wait(server, assert_told_on_the_command_line)
        assert all(moments)
        assert moments == sorted(moments)
        let_go(server, 2)
    seconds = time.monotonic() - began
    assert 1 <= watch.most["runners"] <= AT_ONCE, watch.most
    assert watch.most["running"] <= AT_ONCE, watch.most
    # those that have given their slots away may still be ending
    assert watch.most["processes"] <= 2 * AT_ONCE, watch.most
    assert watch.silent == []
    busy = [size for size in watch.memory if size]
    half = len(busy) // 2
    assert max(busy[half:]) < 1.25 * max(busy[:half]), "memory grows"
    assert not list(server.slots.glob("*.ticket"))
    assert not list(server.slots.glob("*.space"))
    cell(
        f"{count} databases due at once",
        "queue",
        f"twice all backed up in {seconds:.0f} s; at most {watch.most['runners']} "
        f"runners with {max(busy) / MIB:.0f} MiB; {watch.most['waiting']} waiting",
    )


def all_wait(server, look=lambda instance: None):
    """Let all databases be due while the server is busy, until each run says its place;
    return when their turns come, in their order."""
    count = len(server.instances)
    with server.full(seconds=60):
        server.be_due()
        server.until(lambda: len(server.waiting()) == count, 600)
        places = list(range(count))
        server.until(lambda: [p for p, _at in server.waiting()] == places, 600)
        look(server.instances[-1])
        return [moment for _place, moment in server.waiting()]


def let_go(server, rounds):
    """Let the runs begin; they have to end well. Nobody is woken once one of them has
    begun: each that ends starts the next."""
    before = (rounds - 1) * len(server.instances)
    server.until(lambda: len(begun(server)) > before, 600)
    until(lambda: all_ended(server, rounds), 3600, pause=0.5)
    assert backed_up(server, rounds) == len(server.instances)


def assert_told_on_the_command_line(instance):
    argv = ("backup", "run", "-d", instance.database, "--no-wait", "--json")
    done = instance.odoo(*argv)
    assert done.returncode == 5, done.stderr
    job = json.loads(done.stdout)["job"]
    assert (job["state"], job["error_code"]) == ("pending", SLOT_CODE)
    assert job["waits"]["before"] >= 1
    assert job["waits"]["expected"]


@pytest.mark.parametrize("server", [3], indirect=True, ids=["3 databases"])
def test_restore_tests_go_on_one_at_a_time(server, cell):
    with server.first.serve(), Watch(server) as watch:
        server.be_due()
        server.until(lambda: all_ended(server, 1), 1800)

        def begin(instance):
            [(copy,)] = instance.sql("SELECT id FROM backup_copy")
            instance.rpc("backup.copy", "action_drill", [copy])

        with ThreadPoolExecutor() as pool:
            list(pool.map(begin, server.instances))
        server.until(lambda: all_ended(server, 2), 1800)
    assert watch.most["tests"] == 1, watch.most
    assert watch.most["told to wait for a test"], watch.most
    left = "SELECT datname FROM pg_database WHERE starts_with(datname, 'dfr_drill')"
    assert server.first.sql(left) == []
    for one in server.instances:
        assert one.sql("SELECT proven_at IS NOT NULL FROM backup_copy") == [(True,)]
    cell("3 restore tests at once", "queue", "one at a time, each of them passed")
