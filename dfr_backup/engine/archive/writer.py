"""The zip under construction: append-only, hashed as it grows, with a journal beside
it.

Nothing that was written is changed later, so the SHA-256 of the whole is ready together
with its last byte, and a run that is interrupted goes on after the last complete
member. The journal has one line per complete member; the central directory is written
from it, so memory does not grow with the number of members.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from ..checkpoints import checkpoint
from ..errors import is_out_of_memory
from ..fileio.append_file import BUFFER, AppendFile, Bytes
from ..fileio.durable import open_private, sync_descriptor, sync_directory
from ..fileio.page_cache import Passage, advise
from ..manifest.names import CHECKSUMS
from ..progress import Progress
from .deflate import TRIAL, Codec, default_codec
from .disk import explain, lost, read_up_to, write_all
from .journal import journal_line, journal_path, read_journal, read_stamp
from .member_reader import State, find_intact
from .member_stream import MemberStream, Target, Threads
from .prepared import Prepared, prepare
from .zip_format import (
    LOCAL_HEADER,
    Member,
    central_entry,
    dos_time,
    end_records,
    local_header,
)

CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class FinalizedArchive:
    """A complete archive: its size in bytes, its SHA-256 in hexadecimal, its
    members."""

    size: int
    sha256: str
    members: int


class ArchiveWriter:
    """Make one with ``create`` or ``resume``; end it with ``close``, or let go of it
    with ``release`` to resume it later. Only one thread may use it.

    Every method that writes may raise PermanentError: no space, for example. The
    archive is then as it was before, or up to 4 MiB of small members shorter, and can
    be used on.
    """

    def __init__(self, path: Path, codec: Codec | None = None):
        self.codec = codec or default_codec()
        self._path = path
        self._journal_path = journal_path(path)
        self._archive: AppendFile | None = None
        self._journal = -1  # a file descriptor
        self._digest = hashlib.sha256()
        self._journal_size = 0
        self._count = 0
        self._lines: list[str] = []
        self._stamp = (0, 0)
        self._threads = Threads()
        self._safe = State(0, 0, 0, self._digest.copy())

    @classmethod
    def create(
        cls, path: Path, *, codec: Codec | None = None, moment: datetime | None = None
    ) -> "ArchiveWriter":
        """Begin an archive at ``path``, replacing what is there. Its members are of
        this ``moment`` (aware), or of now."""
        writer = cls(path, codec)
        with writer._explained(), writer._released_on_error():
            writer._open_new(moment or datetime.now(timezone.utc))
        return writer

    @classmethod
    def resume(
        cls,
        path: Path,
        *,
        codec: Codec | None = None,
        progress: Progress | None = None,
        at_least: int = 0,
    ) -> "ArchiveWriter":
        """Go on with an archive after its last member that is complete.

        Every member is read again and must decode to what the journal says; what
        follows the last good one is cut off, and so are checksums and manifest.
        ``progress`` only ticks. Raise PermanentError when the journal is gone or when
        what is good has less than ``at_least`` bytes, which is what an earlier ``save``
        returned: then something that was finished is lost. Nothing is changed in that
        case. Raise Cancelled.
        """
        writer = cls(path, codec)
        with writer._explained(), writer._released_on_error():
            writer._reopen(progress or Progress(), at_least)
        return writer

    def _open_new(self, moment: datetime) -> None:
        self._path.unlink(missing_ok=True)
        self._journal_path.unlink(missing_ok=True)
        self._stamp = dos_time(moment.astimezone())
        self._lines.append(json.dumps(self._stamp) + "\n")
        # first the journal: an archive without one would be an archive that lost it
        self._journal = open_private(
            self._journal_path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
        )
        self._write_lines()
        self._archive = AppendFile(self._path, os.O_CREAT | os.O_EXCL, self._hash)
        self._mark_safe()

    # === MEMBERS === #

    @contextmanager
    def stream_member(
        self, name: str, *, compress: bool = True, digests: Sequence[Any] = ()
    ) -> Iterator["MemberStream"]:
        """Yield a stream whose ``write`` adds to the member ``name``, of any size.

        ``digests`` are hash objects that get all of it, too: complete after the body.
        When the body raises, the member has never been there.
        """
        self._commit()
        checkpoint("archive.member.begin")
        target = Target(self._write, self.codec, self._threads)
        stream = MemberStream(
            target, name, self._position, compress=compress, digests=digests
        )
        try:
            self._write(local_header(stream.head, self._stamp))
            yield stream
            member = stream.finish()
            self._record(replace(member, end=self._position), stream.note())
            self._commit()
        except BaseException:
            with self._released_on_error():
                stream.drop()
            self._roll_back()
            raise

    def add_prepared(self, prepared: Prepared) -> None:
        """Add a small member."""
        size = LOCAL_HEADER.size + len(prepared.name.encode()) + len(prepared.payload)
        member = Member(
            prepared.name,
            prepared.method,
            prepared.size,
            len(prepared.payload),
            prepared.crc,
            prepared.sha256,
            self._position,
            self._position + size,
        )
        try:
            self._write(local_header(member, self._stamp))
            self._write(prepared.payload)
            self._record(member, prepared.note)
            if self._position - self._safe.position >= BUFFER:
                self._commit()
        except BaseException:
            self._roll_back()
            raise

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small member."""
        self.add_prepared(prepare(name, data, self.codec))

    def add_file(
        self,
        name: str,
        file: int,
        size: int,
        *,
        digests: Sequence[Any] = (),
        note: Callable[[], str] = str,
        advance: Callable[[int], object] = lambda count: None,
    ) -> int:
        """Add the first ``size`` bytes of an open file, from where it stands, whatever
        happens to it meanwhile; return how many there were. ``advance`` gets the bytes
        of each piece; ``note`` is called when ``digests`` are complete, and says what
        to note.

        Raise OSError when the file cannot be read: the member has then never been
        there.
        """
        with Passage(file) as passage:
            advise(file, "SEQUENTIAL")
            head = read_up_to(file, min(size, TRIAL))
            compress = self.codec.shrinks(head)
            with self.stream_member(name, compress=compress, digests=digests) as stream:
                stream.note = note
                while head:
                    stream.write(head)
                    advance(len(head))
                    passage.passed(stream.size)
                    head = os.read(file, min(CHUNK, size - stream.size))
        return stream.size

    def members(self) -> Iterator[Member]:
        """Return the complete members of now, in their order in the archive."""
        return (member for member, _note in self.noted())

    def noted(self) -> Iterator[tuple[Member, str]]:
        """Return the complete members of now, each with what was noted about it."""
        self._commit()
        entries = read_journal(self._journal_path)
        return islice(((member, note) for _end, member, note in entries), self._count)

    def save(self, look: Callable[[], object] = lambda: None) -> int:
        """Let all members reach the disk; return the size of the archive in bytes,
        which is what a later ``resume`` may insist on. ``look`` is called meanwhile,
        and may raise Cancelled."""
        self._commit()
        with self._explained():
            self._file.sync(look)
            sync_descriptor(self._journal)
            sync_directory(self._path.parent)
        return self._position

    # === THE END === #

    def write_checksums(self) -> tuple[int, str]:
        """Add SHA256SUMS, as ``sha256sum -c`` wants it; return the number of its
        lines, and its own SHA-256 in hexadecimal."""
        count, members = self._count, self.members()
        with self.stream_member(CHECKSUMS) as stream:
            for member in members:
                stream.write(checksum_line(member))
        checkpoint("archive.checksums.written")
        return count, stream.sha256

    def close(self, look: Callable[[], object] = lambda: None) -> FinalizedArchive:
        """Write the central directory and let everything reach the disk; ``look`` is
        called meanwhile, and may raise Cancelled.

        The journal stays, and with it the archive can be resumed and closed again,
        until the caller has noted that it is complete: whoever moves the archive
        removes the journal.
        """
        members, start = self.members(), self._position
        try:
            for member in members:
                self._write(central_entry(member, self._stamp))
            self._write(end_records(self._count, start, self._position - start))
            self._flush()
            checkpoint("archive.directory.written")
            with self._explained():
                self._file.sync(look)
                sync_directory(self._path.parent)
        except BaseException:
            self._roll_back()
            raise
        checkpoint("archive.fsync")
        finalized = FinalizedArchive(
            self._position, self._digest.hexdigest(), self._count
        )
        self.release()
        checkpoint("archive.finalized")
        return finalized

    def release(self) -> None:
        """Let go of the files, as they are, and of the threads."""
        self._threads.end()
        archive, self._archive = self._archive, None
        journal, self._journal = self._journal, -1
        try:
            if archive:
                archive.close()
        finally:
            if journal >= 0:
                os.close(journal)

    def abandon(self) -> None:
        """Remove the archive and its journal."""
        self.release()
        with self._explained():
            self._path.unlink(missing_ok=True)
            self._journal_path.unlink(missing_ok=True)

    # === BYTES === #

    @property
    def _file(self) -> AppendFile:
        if self._archive is None:
            raise lost(self._path, "it was closed, or an error could not be undone")
        return self._archive

    @property
    def _position(self) -> int:
        return self._file.position

    def _write(self, data: Bytes) -> None:
        try:  # a context for each of them would cost more than the copy
            self._file.write(data)
        except OSError as error:
            raise explain(self._path.parent, error) from error

    def _flush(self) -> None:
        with self._explained():
            self._file.flush()

    def _hash(self, view: memoryview) -> None:
        self._digest.update(view)

    def _record(self, member: Member, note: str) -> None:
        """Note a complete member; ``_commit`` puts it into the journal."""
        self._lines.append(journal_line(member, note))
        self._count += 1

    def _commit(self) -> None:
        """Write what is complete: first the bytes, then their lines in the journal."""
        if not self._lines:
            return
        self._flush()
        checkpoint("archive.member.written")
        self._write_lines()
        checkpoint("archive.journal.written")
        self._mark_safe()

    def _write_lines(self) -> None:
        text = "".join(self._lines).encode()
        with self._explained():
            write_all(self._journal, memoryview(text))
        self._lines.clear()
        self._journal_size += len(text)

    def _mark_safe(self) -> None:
        position, digest = self._position, self._digest.copy()
        self._safe = State(position, self._journal_size, self._count, digest)

    def _roll_back(self) -> None:
        """Forget everything since the last commit. When that fails, nobody knows
        what the files hold now: they are let go, and not written any more."""
        safe = self._safe
        self._lines.clear()
        self._count = safe.count
        self._digest, self._journal_size = safe.digest.copy(), safe.journal
        with self._explained(), self._released_on_error():
            self._file.return_to(safe.position)
            os.ftruncate(self._journal, safe.journal)
        checkpoint("archive.rollback")

    # === RESUME === #

    def _reopen(self, progress: Progress, at_least: int) -> None:
        try:
            self._archive = AppendFile(self._path, 0, self._hash)
            self._journal = open_private(self._journal_path, os.O_RDWR | os.O_APPEND)
            self._stamp = read_stamp(self._journal_path)
        except (OSError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise lost(self._path, f"it or its journal: {error}") from error
        self._safe = find_intact(self._path, self._stamp, self.codec, progress)
        if self._safe.position < at_least:
            raise lost(
                self._path, f"{self._safe.position} of {at_least} bytes are intact"
            )
        self._roll_back()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain(self._path.parent, error) from error

    @contextmanager
    def _released_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.release()
            raise


def checksum_line(member: Member) -> bytes:
    """Return the line of ``sha256sum -c``, which starts with a backslash when the
    name is escaped."""
    name = member.name.replace("\\", "\\\\").replace("\n", "\\n")
    escaped = "\\" if name != member.name else ""
    return f"{escaped}{member.sha256}  {name}\n".encode()
