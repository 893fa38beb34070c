"""The backup process gets no more memory: by a limit of its own, and by one of its
group."""

import contextlib
import os
from pathlib import Path

import pytest
from lab import DRILL, Fault

GROUPS = Path("/sys/fs/cgroup/memory")  # version 1: the second one has no such folder
ROOM = 2 << 20  # bytes: less than any step takes
short = pytest.mark.short
OUT_OF_MEMORY = {"OTHER-05", "DUMP-05", "RUN-01"}
INSTANTS = [
    "step.initialize.begin",
    "postgres.dump.first_bytes",
    "step.archive_files.begin",
    "step.compress.begin",
    "step.upload.begin",
    "step.verify.begin",
]


@pytest.fixture(autouse=True)
def impatient(lab):
    """A thread that Python could not begin is waited for without an end: the run
    hangs then."""
    lab.instance.write_conf(dfr_backup_hang_minutes="0.2")


@pytest.mark.parametrize(
    "instant",
    [
        pytest.param(n, marks=short) if n == "step.archive_files.begin" else n
        for n in INSTANTS
    ],
)
def test_limit_of_the_process(lab, tmp_path, cell, instant):
    outcome = lab.run(Fault(tmp_path, "starve", instant, argument=0))
    cell("no more memory (RLIMIT_AS)", instant, outcome)
    codes = {outcome.code, *outcome.codes.values()}
    assert outcome.state == "success" or codes & OUT_OF_MEMORY, outcome.errors
    lab.check(outcome)
    again = lab.run()
    assert (again.state, again.attempt) == ("success", 1), again.errors


@pytest.mark.parametrize("instant", ["step.load.begin", "step.filestore.begin"])
def test_limit_of_a_drill(lab, tmp_path, cell, instant):
    lab.run()
    outcome = lab.run(
        Fault(tmp_path, "starve", instant, argument=0), DRILL.format(count=1)
    )
    cell("no more memory (RLIMIT_AS), drill", instant, outcome)
    codes = {outcome.code, *outcome.codes.values()}
    assert outcome.state == "success" or codes & OUT_OF_MEMORY, outcome.errors
    lab.check(outcome)


@pytest.fixture
def group():
    """A control group in which nothing runs for long."""
    folder = GROUPS / f"dfr_faults_{os.getpid()}"
    try:
        folder.mkdir()
        (folder / "memory.limit_in_bytes").write_text(str(ROOM))
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    yield folder
    with contextlib.suppress(OSError):
        folder.rmdir()


@pytest.mark.parametrize(
    "instant", ["postgres.dump.first_bytes", "step.archive_files.begin"]
)
@pytest.mark.parametrize("often", ["once", "always"])
def test_limit_of_the_group(lab, group, tmp_path, cell, often, instant):
    action = "enter" if often == "once" else "enter_always"
    outcome = lab.run(Fault(tmp_path, action, instant, argument=str(group)))
    cell(f"killed for its memory (cgroup), {often}", instant, outcome)
    kills = (group / "memory.oom_control").read_text()
    assert "oom_kill 0" not in kills, "the group had room enough"
    if often == "once":
        assert (outcome.state, outcome.attempt) == ("success", 2), outcome.errors
    else:
        assert (outcome.state, outcome.code) == ("failure", "RUN-01")
    lab.check(outcome)
