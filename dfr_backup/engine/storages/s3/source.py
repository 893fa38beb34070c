"""The file that is uploaded, in slices that several threads send."""

import base64
import hashlib
import os
import threading
from dataclasses import dataclass

from ...errors import EngineError, reason_of
from ...errors.s3 import SourceShrunk, SourceUnreadable
from ...fileio.streams import SeekableStream
from ..rate_limit import RateLimit

# What a read returns, whatever was asked for. urllib3 asks for 16 KiB at a time, and
# botocore's chunked encoding copies the rest of its chunk for each of those: a chunk
# may not be large
BLOCK = 128 << 10  # bytes


class Interrupt(BaseException):
    """Ends a request from within its body. No Exception: botocore would try again.

    ``cause`` is what the caller shall hear, if it does not know yet.
    """

    def __init__(self, cause: EngineError | None = None):
        super().__init__()
        self.cause = cause


class Gate:
    """Lets the bytes of a transfer pass as fast as they may, until it is stopped."""

    def __init__(self, rate: RateLimit, stopped: threading.Event):
        self._rate = rate
        self._stopped = stopped
        bandwidth = rate.bandwidth
        self.block = min(BLOCK, max(1 << 12, bandwidth // 4)) if bandwidth else BLOCK

    def spend(self, count: int) -> None:
        """Wait until ``count`` bytes may pass. Raise Interrupt when all is stopped."""
        self.check()
        self._rate.spend(count, self._pause)

    def check(self) -> None:
        """Raise Interrupt when all is stopped."""
        if self._stopped.is_set():
            raise Interrupt()

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Interrupt()


@dataclass(frozen=True)
class Md5:
    """An MD5 in the two forms in which S3 has it."""

    digest: bytes

    @property
    def base64(self) -> str:
        return base64.b64encode(self.digest).decode()

    @property
    def hex(self) -> str:
        return self.digest.hex()


def composite_etag(digests: list[Md5]) -> str:
    """Return the ETag of an object that was uploaded in parts with these MD5s."""
    whole = hashlib.md5(b"".join(one.digest for one in digests), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(digests)}"


class Slice(SeekableStream):
    """``size`` bytes of an open file from ``offset`` on, as the body of a request.

    ``sent`` is how many of them the attempt under way has sent. Slices of a file may be
    read by several threads at a time. Reading raises Interrupt when the file cannot be
    read, has become shorter, or the transfer is stopped.
    """

    def __init__(self, file: int, offset: int, size: int, gate: Gate):
        super().__init__()
        self._file = file
        self._offset = offset
        self._size = size
        self._gate = gate
        self._position = 0
        self._sending = False
        self.sent = 0

    def __len__(self) -> int:
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._sending = False
        return super().seek(offset, whence)

    def begin(self) -> None:
        """Count what is read from now on as sent."""
        self._sending = True

    def read(self, amount: int | None = -1) -> bytes:
        left = self._size - self._position
        if self._sending:
            amount = self._gate.block
        elif amount is None or amount < 0:
            amount = left
        data = self._read_at(self._position, min(left, amount))
        self._position += len(data)
        if self._sending:
            self._gate.spend(len(data))
            self.sent = self._position
        return data

    def md5(self) -> Md5:
        """Return the MD5 of the whole slice."""
        digest = hashlib.md5(usedforsecurity=False)
        for start in range(0, self._size, 1 << 20):
            digest.update(self._read_at(start, min(1 << 20, self._size - start)))
        return Md5(digest.digest())

    def _read_at(self, position: int, count: int) -> bytes:
        self._gate.check()  # the caller closes the file once all is stopped
        try:
            data = os.pread(self._file, count, self._offset + position)
        except OSError as error:
            raise Interrupt(SourceUnreadable(reason=reason_of(error))) from error
        if len(data) < count:
            raise Interrupt(SourceShrunk())
        return data
