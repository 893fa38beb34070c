"""Who may run, and who is next: with real processes and real locks."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dfr_backup.engine.errors.runs import SlotsUnusable
from dfr_backup.engine.queue import folder as folders
from dfr_backup.engine.queue.estimate import Holder, expected_start
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.tickets import FIRST, LAST, USUAL, Ticket, read_ticket
from dfr_backup.engine.queue.turns import ABANDONED, FRESH, GATE, TEST, Queue

REPO = Path(__file__).parents[2]
SCRIPT = """
import os, resource, subprocess, sys, time, types
from pathlib import Path
package = types.ModuleType("dfr_backup")
package.__path__ = ["dfr_backup"]
sys.modules["dfr_backup"] = package
from dfr_backup.engine.errors.runs import SlotsUnusable
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.tickets import Ticket
from dfr_backup.engine.queue.turns import Queue

folder = Path(sys.argv[1])

def queue(slots=1):
    return Queue(Folder(folder), slots, "here")

def ticket(number, **values):
    who = ("here", f"db{number}", number, f"run{number}")
    return Ticket(*who, float(number), **values)
"""
HOLD = """
turn = queue().next(ticket(1))
print(bool(turn), flush=True)
time.sleep(600)
"""
WITH_CHILD = """
turn = queue().next(ticket(1))
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""
PASS_ON = """
turn = queue().next(ticket(1))
child = subprocess.Popen(["sleep", "600"], pass_fds=turn.files)
turn.close()
print(child.pid, flush=True)
"""
AS_NOBODY = """
if os.geteuid() == 0:
    os.setuid(65534)
try:
    queue().next(ticket(2))
except SlotsUnusable as error:
    print(error, flush=True)
"""
NO_ROOM = """
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can be written to
try:
    queue().enter(ticket(2))
except SlotsUnusable:
    print("refused", end=" ")
turn = queue().next(ticket(2))
print(bool(turn), flush=True)
time.sleep(600)
"""
RUSH = """
slots, many = int(sys.argv[2]), int(sys.argv[3])
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def work(number):
    mine = queue(slots)
    mine.enter(ticket(number))
    while turn := mine.next():
        os.write(log, f"+{turn.ticket.run}\\n".encode())
        time.sleep(0.01)
        os.write(log, f"-{turn.ticket.run}\\n".encode())
        turn.close()

children = []
for number in range(many):
    pid = os.fork()
    if not pid:
        try:
            work(number)
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))
"""


def ticket(number, **values):
    return Ticket(
        "here", f"db{number}", number, f"run{number}", float(number), **values
    )


def queue_in(path, slots=1, server="here", **values):
    return Queue(Folder(path), slots, server, **values)


@contextmanager
def process(script, *arguments):
    """Yield a process that runs the script, once it has said its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT + script, *map(str, arguments)],
        cwd=REPO,
        stdout=subprocess.PIPE,
    ) as started:
        try:
            yield started, started.stdout.readline().decode().strip()
        finally:
            started.kill()


def run_of(turn):
    """Return the run whose turn it is, and let others have the slot."""
    if turn is None:
        return None
    turn.close()
    return turn.ticket.run


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# === SLOTS === #


def test_who_comes_second_waits_until_the_first_is_killed(tmp_path):
    mine = queue_in(tmp_path)
    with process(HOLD, tmp_path) as (first, took):
        assert took == "True"
        assert mine.next(ticket(2)) is None
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert run_of(mine.next(ticket(2))) == "run2"


def test_a_child_of_its_holder_does_not_keep_a_slot(tmp_path):
    mine = queue_in(tmp_path)
    with process(WITH_CHILD, tmp_path) as (holder, child):
        try:
            assert mine.next(ticket(2)) is None
            holder.kill()
            holder.wait()
            os.kill(int(child), 0)
            assert run_of(mine.next(ticket(2))) == "run2"
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_slot_that_was_passed_on_is_held_by_who_has_it_now(tmp_path):
    mine = queue_in(tmp_path)
    with process(PASS_ON, tmp_path) as (starter, child):
        try:
            starter.wait()
            assert mine.next(ticket(2)) is None
        finally:
            os.kill(int(child), signal.SIGKILL)
        until(lambda: run_of(mine.next(ticket(2))))


def test_a_rush_of_many_is_never_more_than_there_are_slots(tmp_path):
    slots, many = 3, 50
    subprocess.run(
        [sys.executable, "-c", SCRIPT + RUSH, tmp_path, str(slots), str(many)],
        cwd=REPO,
        check=True,
        timeout=120,
    )
    running, most, seen = set(), 0, []
    for line in (tmp_path / "log").read_text().splitlines():
        if line[0] == "+":
            running.add(line[1:])
            seen.append(line[1:])
        else:
            running.remove(line[1:])
        most = max(most, len(running))
    assert most <= slots
    assert sorted(seen) == sorted(f"run{number}" for number in range(many))
    assert queue_in(tmp_path).waiting() == []


def test_a_limit_that_was_lowered_counts_those_above_it(tmp_path):
    wide = queue_in(tmp_path, 3)
    turns = [wide.next(ticket(number)) for number in (1, 2, 3)]
    narrow = queue_in(tmp_path, 2)
    assert len(narrow.holders()) == 3
    turns.pop(0).close()
    assert narrow.next(ticket(4)) is None
    turns.pop(0).close()
    turn = narrow.next(ticket(4))
    assert turn
    assert narrow.next(ticket(5)) is None


# === TICKETS === #


def test_the_oldest_is_next_and_a_person_goes_first(tmp_path):
    mine = queue_in(tmp_path)
    tickets = [
        ticket(1, priority=LAST),
        ticket(2),
        ticket(3),
        ticket(4, priority=FIRST),
    ]
    for one in reversed(tickets):
        mine.enter(one)
    assert [run_of(mine.next()) for _each in range(5)] == [
        "run4",
        "run2",
        "run3",
        "run1",
        None,
    ]


def test_nobody_overtakes_who_waits(tmp_path):
    mine = queue_in(tmp_path)
    mine.enter(ticket(1))
    assert run_of(mine.next(ticket(2))) == "run1"
    mine.enter(ticket(1))
    assert mine.place(ticket(2)).has_to_wait
    assert not mine.place(ticket(1)).has_to_wait
    assert not mine.place(ticket(2, priority=FIRST)).has_to_wait


def test_one_restore_test_at_a_time_keeps_nobody_else_waiting(tmp_path):
    mine = queue_in(tmp_path, 3)
    for number in (1, 2):
        mine.enter(ticket(number, priority=LAST))
    first = mine.next()
    assert mine.next() is None
    assert mine.place(ticket(2, priority=LAST)).is_test_running
    backup = mine.next(ticket(3))
    assert backup.ticket.run == "run3"
    first.close()
    assert run_of(mine.next()) == "run2"
    backup.close()


def test_a_run_that_was_cancelled_is_not_next(tmp_path):
    mine = queue_in(tmp_path)
    mine.enter(ticket(1))
    mine.leave(ticket(1).name)
    mine.leave(ticket(1).name)
    assert not mine.is_waiting(ticket(1).name)
    assert mine.next() is None


def test_a_ticket_says_once_that_it_waits(tmp_path):
    mine = queue_in(tmp_path)
    mine.enter(ticket(1, seconds=5))
    os.utime(tmp_path / ticket(1).name, (1, 1))
    assert not mine.is_waiting(ticket(1).name)
    mine.enter(ticket(1, seconds=5))
    assert mine.is_waiting(ticket(1).name)
    assert mine.waiting() == [ticket(1, seconds=5)]


def test_another_server_keeps_its_place_and_starts_its_own(tmp_path):
    here, there = queue_in(tmp_path), queue_in(tmp_path, server="there")
    theirs = replace(ticket(1), server="there")
    there.enter(theirs)
    here.enter(ticket(2))
    assert here.next() is None
    turn = there.next()
    assert turn.ticket == theirs
    assert here.next() is None
    turn.close()
    assert run_of(here.next()) == "run2"


def test_another_server_that_is_gone_keeps_nobody_waiting(tmp_path):
    now = time.time()
    theirs = replace(ticket(1), server="there")
    queue_in(tmp_path, server="there").enter(theirs)
    later = queue_in(tmp_path, clock=lambda: now + FRESH + 1)
    assert run_of(later.next(ticket(2))) == "run2"
    assert (tmp_path / theirs.name).exists()
    (tmp_path / "x.part").touch()
    much_later = queue_in(tmp_path, clock=lambda: now + ABANDONED + 1)
    assert much_later.waiting() == []
    assert not (tmp_path / theirs.name).exists()
    assert not (tmp_path / "x.part").exists()


def test_no_name_of_a_database_is_a_path(tmp_path):
    folder = tmp_path / "slots"
    mine = queue_in(folder)
    bad = Ticket("here", "../../etc", 1, "/tmp/x", 1.0)
    mine.enter(bad)
    assert [path.parent for path in folder.iterdir()] == [folder]
    assert not list(tmp_path.glob("[!s]*"))
    assert mine.waiting() == [bad]


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-5],
        lambda data: data.replace(b'"db1"', b'"db2"'),
        lambda data: data.replace(b'"priority": 1', b'"priority": "1"'),
        lambda data: data.replace(b'"since": 1.0', b'"since": "x"'),
        lambda data: data.replace(b'"job": 1', b'"job": true'),
        lambda data: data.replace(b'"job": 1, ', b""),
        lambda data: b"[1]",
        lambda data: data + b" " * 5000,
    ],
)
def test_what_is_no_ticket_keeps_nobody_waiting(tmp_path, change):
    mine = queue_in(tmp_path)
    mine.enter(ticket(1))
    path = tmp_path / ticket(1).name
    changed = change(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    assert mine.waiting() == []
    assert run_of(mine.next(ticket(2))) == "run2"
    assert read_ticket(ticket(1).name, ticket(1).to_json()) == ticket(1)


def test_a_link_in_the_folder_leads_nowhere(tmp_path):
    folder, victim = tmp_path / "slots", tmp_path / "victim"
    victim.write_text("as it was")
    mine = queue_in(folder)
    mine.enter(ticket(2))
    (folder / "slot-1").symlink_to(victim)
    with pytest.raises(SlotsUnusable):
        mine.next()
    assert victim.read_text() == "as it was"


# === WHAT MAY BE WRONG === #


def test_a_folder_that_cannot_be_used_says_which(tmp_path):
    (tmp_path / "file").touch()
    mine = queue_in(tmp_path / "file/slots")
    calls = (lambda: mine.enter(ticket(1)), mine.next, mine.holders, mine.line)
    for call in (*calls, Folder(tmp_path / "file/slots").require_writable):
        with pytest.raises(SlotsUnusable) as caught:
            call()
        assert str(tmp_path / "file") in str(caught.value)
        assert str(caught.value.hint)


def test_a_folder_of_somebody_else(tmp_path):
    folder = tmp_path / "slots"
    queue_in(folder).enter(ticket(1))
    folder.chmod(0o500)
    with process(AS_NOBODY, folder) as (_process, refused):
        assert str(folder) in refused
    folder.chmod(0o700)


def test_a_full_disk_keeps_no_run_from_its_slot(tmp_path):
    run_of(queue_in(tmp_path).next(ticket(1)))  # the files are there
    with process(NO_ROOM, tmp_path) as (_process, took):
        assert took == "refused True"
        assert queue_in(tmp_path).holders() == [Holder(1)]
    assert queue_in(tmp_path).waiting() == []


def test_whoever_stands_in_the_gate_keeps_nobody_waiting_for_ever(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(folders, "PATIENCE", 0.1)
    mine = queue_in(tmp_path)
    run_of(mine.next(ticket(1)))
    with Folder(tmp_path).alone(GATE), pytest.raises(SlotsUnusable):
        mine.next(ticket(2))


def test_a_shared_folder_is_open_to_its_group(tmp_path):
    before = os.umask(0o077)
    try:
        mine = Queue(Folder(tmp_path, shared=True), 1, "here")
        mine.enter(ticket(1))
        mine.enter(ticket(2, priority=LAST))
        turns = [mine.next()]
        run_of(turns[0])
        run_of(mine.next())
        mine.enter(ticket(1))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes) == {GATE, TEST, "slot-1", ticket(1).name}
    assert set(modes.values()) == {0o660}


def test_a_folder_of_one_server_is_its_own(tmp_path):
    mine = queue_in(tmp_path / "slots")
    mine.enter(ticket(1))
    run_of(mine.next(ticket(2)))
    mine.enter(ticket(1))
    assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "slots").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


# === WHEN === #


def test_a_place_says_what_runs_and_when_the_turn_comes(tmp_path):
    mine = queue_in(tmp_path, clock=lambda: 1000.0)
    turn = mine.next(ticket(1, seconds=60))
    mine.enter(ticket(2, seconds=30))
    place = mine.place(ticket(3))
    assert place.holders == [Holder(1, "db1", "run1", 1000.0, 60)]
    assert (place.slots, place.before, place.expected) == (1, 1, 1090.0)
    assert place.has_to_wait
    turn.close()
    assert mine.place(ticket(3)).expected == 1030.0


def test_a_restore_test_is_told_when_the_one_before_it_ends(tmp_path):
    mine = queue_in(tmp_path, 3, clock=lambda: 1000.0)
    turn = mine.next(ticket(1, priority=LAST, seconds=60))
    mine.enter(ticket(2, priority=LAST, seconds=30))
    place = mine.place(ticket(3, priority=LAST))
    assert (place.is_test_running, place.before, place.expected) == (True, 1, 1090.0)
    mine.enter(ticket(2, priority=LAST))
    assert mine.place(ticket(3, priority=LAST)).expected is None
    turn.close()


def test_the_line_has_everybody_in_order_with_a_place(tmp_path):
    mine = queue_in(tmp_path, clock=lambda: 1000.0)
    turn = mine.next(ticket(1, seconds=60))
    waiting = [
        ticket(4, priority=LAST),
        ticket(3, seconds=30),
        ticket(2, priority=FIRST, seconds=5),
    ]
    for one in waiting:
        mine.enter(one)
    line = mine.line()
    assert (line.slots, [holder.run for holder in line.holders]) == (1, ["run1"])
    assert [one.run for one, _place in line.waiting] == ["run2", "run3", "run4"]
    assert [place for _one, place in line.waiting] == list(map(mine.place, waiting))[
        ::-1
    ]
    assert [place.expected for _one, place in line.waiting] == [1060, 1065, 1095]
    turn.close()


def running(*pairs):
    return [Holder(1, since=since, seconds=seconds) for since, seconds in pairs]


@pytest.mark.parametrize(
    "holders, before, slots, expected",
    [
        ([], [], 1, 100),
        (running((90, 60)), [], 1, 150),
        (running((90, 60)), [], 2, 100),
        (running((90, 5)), [], 1, 100),  # it takes longer than the last time
        (running((90, 60), (95, 100)), [10, 20], 2, 180),
        (running((90, 60), (95, 100), (0, 500)), [], 2, 195),  # the limit was lowered
        (running((90, None)), [], 1, None),
        (running((90, 60)), [None], 1, None),
    ],
)
def test_when_a_turn_comes(holders, before, slots, expected):
    assert expected_start(holders, before, slots, 100) == expected


def test_the_usual_priority_is_between_the_others():
    assert FIRST < USUAL < LAST


# === WHAT OTHERS WRITE THERE === #


@pytest.mark.parametrize(
    "values",
    [
        {"since": -1e308},
        {"since": 1e308},
        {"seconds": 1e300},
        {"seconds": -5},
        {"job": 1 << 31},
        {"job": -1},
        {"priority": -1},
        {"database": "a\0b"},
        {"run": "a\0b"},
    ],
)
def test_a_ticket_of_no_run_is_none(values):
    """Such a database cannot be asked, nor such a time be a date."""
    bad = replace(ticket(1, seconds=5.0), **values)
    assert read_ticket(bad.name, bad.to_json()) is None
    good = ticket(1, seconds=5.0)
    assert read_ticket(good.name, good.to_json()) == good


@pytest.mark.parametrize(
    "about, holder",
    [
        (b'{"database": "\\u001b[2J", "run": "r", "since": 1, "seconds": 2}', {}),
        (b'{"database": ["a"], "run": "r", "since": 1, "seconds": 2}', {}),
        (b'{"database": "a", "run": "r", "since": 1e308, "seconds": 1e308}', {}),
        (
            b'{"database": "a", "run": "r", "since": 1, "seconds": 2}',
            {"database": "a", "run": "r", "since": 1.0, "seconds": 2.0},
        ),
    ],
)
def test_what_a_slot_says_is_not_believed(tmp_path, about, holder):
    mine = queue_in(tmp_path)
    turn = mine.next(ticket(1))
    (tmp_path / "slot-1").write_bytes(about)
    assert mine.holders() == [Holder(1, **holder)]
    turn.close()


def test_what_lies_too_far_ahead_is_not_known():
    far = running((1e11, 1e11))
    assert expected_start(far, [], 1, 100) is None
    assert expected_start(running((90, 60)), [1e11], 1, 100) is None
    assert expected_start([], [1e11] * 1000, 1, 100) is None


def test_a_pipe_that_somebody_keeps_open_keeps_nobody_waiting(tmp_path):
    mine = queue_in(tmp_path)
    mine.enter(ticket(1))
    pipe = tmp_path / ticket(2).name
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    try:
        assert mine.waiting() == [ticket(1)]
        assert run_of(mine.next()) == "run1"
    finally:
        os.close(writer)
