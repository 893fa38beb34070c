"""The write path as a state machine: whatever is written, fails, is undone, killed and
taken up again, in whatever order, the archive holds exactly what was completed.

The disk fails for real: no file may grow beyond a limit of the process (EFBIG). A kill
loses what is in memory and leaves the files as they are, with a piece of something at
their ends.
"""

import contextlib
import hashlib
import random
import resource
import shutil
import tempfile
import zipfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dfr_backup.engine.archive.journal import journal_path
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.errors.archive import ArchiveDiskFull
from dfr_backup.engine.fileio.append_file import BUFFER

NOISE = random.Random(11).randbytes(BUFFER + (2 << 20))
TEXT = (b"INSERT INTO res_partner VALUES (%d);\n" * 40_000)[: 1 << 20]
KINDS = {"noise": NOISE, "text": TEXT * 6}
SIZES = (0, 1, 100, 4096, 70_000, (1 << 20) + 1, BUFFER + 7)
contents = st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(SIZES))


def made(content):
    kind, size = content
    return KINDS[kind][:size]


@contextlib.contextmanager
def full_disk(limit):
    """No file of this process grows beyond ``limit`` bytes."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


class WritePath(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "archive.part"
        self.expected = {}  # of complete members, in their order
        self.saved = 0, 0  # members and bytes that a resume insists on
        self.number = 0

    def teardown(self):
        self.finalize()
        self.writer.release()
        shutil.rmtree(self.folder)

    @initialize()
    def create(self):
        self.writer = ArchiveWriter.create(self.path)

    def name(self):
        self.number += 1
        return f"member/{self.number}"

    @rule(content=contents)
    def add_small(self, content):
        name, data = self.name(), made(content)
        self.writer.add_bytes(name, data)
        self.expected[name] = data

    @rule(
        content=contents,
        compress=st.booleans(),
        piece=st.sampled_from((70_000, 1 << 21)),
    )
    def add_stream(self, content, compress, piece):
        name, data = self.name(), made(content)
        with self.writer.stream_member(name, compress=compress) as stream:
            for start in range(0, len(data), piece):
                stream.write(data[start : start + piece])
        self.expected[name] = data

    @rule(content=contents, compress=st.booleans())
    def give_up_a_stream(self, content, compress):
        with (
            contextlib.suppress(KeyError),
            self.writer.stream_member(self.name(), compress=compress) as stream,
        ):
            stream.write(made(content))
            raise KeyError

    @rule(content=contents, room=st.sampled_from((0, 1, 5000, 1 << 20)))
    def fill_the_disk(self, content, room):
        """Small members are complete before a stream begins: only the stream fails,
        or it fits."""
        list(self.writer.members())
        name, data = self.name(), made(content)
        with full_disk(self.path.stat().st_size + room):
            try:
                with self.writer.stream_member(name, compress=False) as stream:
                    stream.write(data)
            except ArchiveDiskFull:
                return
        self.expected[name] = data

    @rule()
    def save(self):
        self.saved = len(self.expected), self.writer.save()

    @rule(
        rest=st.sampled_from((b"", b"PK\x03\x04", bytes(5000))),
        line=st.sampled_from((b"", b"8\t12\t", b"nonsense\n")),
    )
    def kill(self, rest, line):
        self.writer.release()
        for path, more in ((self.path, rest), (journal_path(self.path), line)):
            with open(path, "ab") as file:
                file.write(more)
        self.resume()

    @precondition(lambda self: self.expected)
    @rule(where=st.floats(0, 1, exclude_max=True))
    def lose_what_was_not_saved(self, where):
        """The power fails: of what was not saved the disk has a part."""
        self.writer.release()
        size, least = self.path.stat().st_size, self.saved[1]
        with open(self.path, "rb+") as file:
            file.truncate(least + int(where * (size - least)))
        self.resume()

    @rule()
    def finalize_and_go_on(self):
        """A kill after the last byte, and before anybody noted that it was the last."""
        self.finalize()
        self.resume()

    def resume(self):
        members, least = self.saved
        self.writer = ArchiveWriter.resume(self.path, at_least=least)
        found = [member.name for member in self.writer.members()]
        assert found == list(self.expected)[: len(found)]
        assert len(found) >= members
        self.expected = dict(list(self.expected.items())[: len(found)])

    def finalize(self):
        count, _digest = self.writer.write_checksums()
        assert count == len(self.expected)
        finalized = self.writer.close()
        raw = self.path.read_bytes()
        assert len(raw) == finalized.size
        assert hashlib.sha256(raw).hexdigest() == finalized.sha256
        with zipfile.ZipFile(self.path) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
        sums = found.pop("SHA256SUMS").decode().splitlines()
        assert found == self.expected
        assert sums == [
            f"{hashlib.sha256(data).hexdigest()}  {name}"
            for name, data in self.expected.items()
        ]


def test_every_order_of_writing_failing_and_going_on(request):
    many = request.config.getoption("--slow")
    run_state_machine_as_test(
        WritePath,
        settings=settings(
            max_examples=500 if many else 12,
            stateful_step_count=15,
            deadline=None,
            derandomize=not many,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
