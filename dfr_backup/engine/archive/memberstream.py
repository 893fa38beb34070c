"""A member of unknown size, while it is written: threads compress and hash it in chunks."""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from .appendfile import Bytes
from .deflate import STREAM_END, Codec
from .zipformat import DEFLATED, STORED, Member, descriptor

CHUNK = 1 << 20  # bytes
MAX_PACKERS = 4
QUEUED = 4  # chunks per packer: whoever writes into the stream does not wait for a slow one


@dataclass(frozen=True)
class Target:
    """Where a stream's bytes go, and what works on them."""

    write: Callable[[Bytes], None]
    codec: Codec
    threads: "Threads"


class MemberStream:
    """What is written into a member of unknown size: cut into chunks that are compressed and
    hashed by threads and written in their order."""

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
        self._pending: deque[_Pending] = deque()

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
        """Write what is left and the descriptor; return the member, complete but for its end."""
        self._dispatch()
        while self._pending:
            self._collect()
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
        """Stop what the threads still do for it."""
        for pending in self._pending:
            pending.cancel()

    def _dispatch(self) -> None:
        if not self._filled:
            return
        view = memoryview(self._chunk)[: self._filled]
        codec, threads = self._target.codec, self._target.threads
        packing = threads.pack(codec.block, view) if self._compress else None
        self._pending.append(_Pending(self._chunk, view, threads.hash(self._hash, view), packing))
        self._crc = codec.crc32(view, self._crc)
        while len(self._pending) > threads.queue:
            self._collect()
        self._chunk = self._free.pop() if self._free else bytearray(CHUNK)
        self._filled = 0

    def _hash(self, view: memoryview) -> None:
        for digest in self._digests:
            digest.update(view)

    def _collect(self) -> None:
        """Write the oldest chunk, once it is packed, and take its memory back."""
        pending = self._pending.popleft()
        self._put(pending.packing.result() if pending.packing else pending.view)
        pending.hashing.result()
        self._free.append(pending.chunk)

    def _put(self, data: Bytes) -> None:
        self._compressed += len(data)
        self._target.write(data)


@dataclass(frozen=True)
class _Pending:
    """A chunk that threads work on."""

    chunk: bytearray
    view: memoryview
    hashing: "Future[None]"
    packing: "Future[bytes] | None"

    def cancel(self) -> None:
        self.hashing.cancel()
        if self.packing:
            self.packing.cancel()


class Threads:
    """The threads of one archive, made when they are first needed: one hashes, because the
    order matters, and the others compress."""

    def __init__(self) -> None:
        self.packers = min(MAX_PACKERS, len(os.sched_getaffinity(0)))
        self.queue = QUEUED * self.packers
        self._hasher: ThreadPoolExecutor | None = None
        self._packers: ThreadPoolExecutor | None = None

    def hash(self, function: Callable[[memoryview], None], view: memoryview) -> "Future[None]":
        if self._hasher is None:
            self._hasher = ThreadPoolExecutor(1, "dfr_backup hash")
        return self._hasher.submit(function, view)

    def pack(self, function: Callable[[memoryview], bytes], view: memoryview) -> "Future[bytes]":
        if self._packers is None:
            self._packers = ThreadPoolExecutor(self.packers, "dfr_backup pack")
        return self._packers.submit(function, view)

    def end(self) -> None:
        for pool in (self._hasher, self._packers):
            if pool:
                pool.shutdown()
        self._hasher = self._packers = None
