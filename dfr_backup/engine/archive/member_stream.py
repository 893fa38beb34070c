"""A member of unknown size, while it is made: threads compress, hash and write it in
chunks."""

import contextlib
import hashlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from ..concurrency.cores import usable_cores
from ..concurrency.pipeline import Lane
from ..fileio.append_file import Bytes
from .deflate import STREAM_END, Codec
from .zip_format import DEFLATED, STORED, Member, descriptor

CHUNK = 1 << 20  # bytes
MAX_PACKERS = 4
NICER = 5  # levels of niceness
QUEUED = (
    4  # chunks per packer: whoever writes into the stream does not wait for a slow one
)


@dataclass(frozen=True)
class Target:
    """Where a stream's bytes go, and what works on them."""

    write: Callable[[Bytes], None]
    codec: Codec
    threads: "Threads"


class MemberStream:
    """What is written into a member of unknown size: cut into chunks that are
    compressed and hashed by threads, and written in their order by one more. So whoever
    fills the stream waits for no disk, and need not let pg_dump wait, until too many
    chunks are on their way.

    Every method but ``drop`` may raise what writing has raised, one or more chunks
    later.
    """

    def __init__(
        self,
        target: "Target",
        name: str,
        start: int,
        *,
        compress: bool,
        digests: Sequence[Any] = (),
    ):
        method = DEFLATED if compress else STORED
        self.head = Member(name, method, 0, 0, 0, "", start, start, streamed=True)
        self.size = 0  # bytes written into it so far
        self.note: Callable[[], str] = str  # asked when the digests are complete
        self._target = target
        self._compress = compress
        self._digest = hashlib.sha256()
        self._digests = (self._digest, *digests)
        self._crc = 0
        self._compressed = 0
        self._chunk = bytearray(CHUNK)
        self._filled = 0
        self._free: list[bytearray] = []
        self._writing: deque[Future[None]] = deque()
        self._lock = threading.Lock()  # held by a thread while it writes
        self._ended = False  # by an error, or dropped: nothing more is written

    @property
    def sha256(self) -> str:
        """The SHA-256 of a complete member, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: Bytes) -> None:
        """Add ``data``, which may be changed afterwards."""
        view = memoryview(data)
        self.size += len(view)
        while view:
            part = view[: CHUNK - self._filled]
            self._chunk[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]
            if self._filled == CHUNK:
                self._dispatch()

    def finish(self) -> Member:
        """Write what is left and the descriptor; return the member, complete but for
        its end."""
        self._dispatch()
        while self._writing:
            self._writing.popleft().result()
        if self._compress:
            self._put(STREAM_END)
        self._target.write(descriptor(self._crc, self._compressed, self.size))
        return replace(
            self.head,
            size=self.size,
            compressed_size=self._compressed,
            crc=self._crc,
            sha256=self.sha256,
        )

    def drop(self) -> None:
        """Write nothing more: when this returns, no thread does."""
        with self._lock:
            self._ended = True

    def _dispatch(self) -> None:
        if not self._filled:
            return
        view = memoryview(self._chunk)[: self._filled]
        codec, threads = self._target.codec, self._target.threads
        packing = threads.pack(codec.block, view) if self._compress else None
        hashing = threads.hash(self._hash, view)
        self._writing.append(
            threads.write(self._write, self._chunk, view, hashing, packing)
        )
        self._crc = codec.crc32(view, self._crc)
        while len(self._writing) > threads.queue:
            self._writing.popleft().result()
        self._chunk = self._free.pop() if self._free else bytearray(CHUNK)
        self._filled = 0

    def _hash(self, view: memoryview) -> None:
        for digest in self._digests:
            digest.update(view)

    def _write(
        self,
        chunk: bytearray,
        view: memoryview,
        hashing: "Future[None]",
        packing: "Future[bytes] | None",
    ) -> None:
        """Write a chunk, once it is packed, and take its memory back. Runs in a
        thread."""
        try:
            data = packing.result() if packing else view
            hashing.result()
            with self._lock:
                if self._ended:  # dropped, or one before it is not there
                    return
                self._put(data)
            self._free.append(chunk)
        except BaseException:
            self._ended = True
            raise

    def _put(self, data: Bytes) -> None:
        self._compressed += len(data)
        self._target.write(data)


class Threads:
    """The threads of one archive, made when they are first needed: one hashes and one
    writes, because the order matters, and the others compress.

    They give way to whoever fills the archive: where PostgreSQL and pg_dump need not
    wait for a processor, a dump is 4 % faster (measured on two).
    """

    def __init__(self) -> None:
        self.packers = min(MAX_PACKERS, usable_cores())
        self.queue = QUEUED * self.packers
        self._pools: dict[str, Lane] = {}

    def hash(self, function: Callable[..., None], *args: object) -> "Future[None]":
        return self._pool("hash", 1).submit(function, *args)

    def write(self, function: Callable[..., None], *args: object) -> "Future[None]":
        return self._pool("write", 1).submit(function, *args)

    def pack(
        self, function: Callable[[memoryview], bytes], view: memoryview
    ) -> "Future[bytes]":
        return self._pool("pack", self.packers).submit(function, view)

    def end(self) -> None:
        while self._pools:
            self._pools.popitem()[1].end()

    def _pool(self, name: str, threads: int) -> Lane:
        if name not in self._pools:
            self._pools[name] = Lane(name, threads, _give_way)
        return self._pools[name]


def _give_way() -> None:
    """Make this thread nicer than the others of the process."""
    if sys.platform == "linux":  # where a thread has a niceness of its own
        with contextlib.suppress(OSError):
            os.nice(NICER)
