"""An object read from a bucket: ranges of it, some of them ahead of the reader."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ...concurrency.background import in_thread
from ...errors import RetryableError
from ...errors.s3 import AnswerCutOff, NoRanges
from ...fileio.streams import SeekableStream
from ...progress import POLL_INTERVAL
from ..rate_limit import RateLimit
from .errors import explain
from .link import Link
from .source import Gate, Interrupt

PIECE = 16 << 20  # bytes per request, which some providers charge for
FIRST = 1 << 20  # bytes in the first request: a reader may want no more than that
AHEAD = 3  # pieces
READ = 256 << 10  # bytes per look at whether to go on
ATTEMPTS = (
    4  # to get on with a piece: botocore does not repeat what breaks in its middle
)
PAUSE = 0.5  # seconds before the second attempt, doubled for each one more


class Reader(SeekableStream):
    """Reads ``size`` bytes of the object ``name`` from ``offset`` on, and may seek.

    ``etag`` is that of the object when it was opened (blank where there is none):
    another object in its place is an error, never a mixture. ``tick`` is called while
    it waits.
    """

    def __init__(
        self,
        link: Link,
        name: str,
        size: int,
        etag: str,
        offset: int,
        rate: RateLimit,
        tick: Callable[[], object],
    ):
        super().__init__()
        self._link = link
        self._name = name
        self._size = size
        self._etag = etag
        self._tick = tick
        self._stopped = threading.Event()
        self._gate = Gate(rate, self._stopped)
        self._position = offset
        self._pieces: deque[_Piece] = deque()
        self._spare: list[bytearray] = []  # a new buffer costs its page faults
        self._start_over()

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``, all of it unless the object ends before. Raise
        EngineError."""
        filled = 0
        while filled < len(buffer):
            self._ask_ahead()
            if not self._pieces:
                break
            piece = self._pieces[0]
            data = piece.wait(self._position, self._tick)
            count = min(len(buffer) - filled, len(data))
            buffer[filled : filled + count] = data[:count]
            filled += count
            self._position += count
            if self._position == piece.end:
                self._spare.append(self._pieces.popleft().buffer)
        return filled

    def close(self) -> None:
        self._stopped.set()
        self._drop()
        return super().close()

    def _start_over(self) -> None:
        self._drop()
        self._next = self._position
        self._length = FIRST
        self._depth = 1
        self._asked = False

    def _drop(self) -> None:
        for piece in self._pieces:
            piece.unwanted.set()
        self._pieces.clear()

    def _ask_ahead(self) -> None:
        # a reader that jumps wants little from each place: only one that stays is read
        # ahead for
        while len(self._pieces) < self._depth and self._next < self._size:
            end = min(self._size, self._next + self._length)
            piece = _Piece(self._fetch, self._next, end, self._buffer(end - self._next))
            self._pieces.append(piece)
            self._next = end
            if self._asked:
                self._depth = AHEAD
            self._length, self._asked = PIECE, True

    def _buffer(self, size: int) -> bytearray:
        if self._spare and len(self._spare[-1]) >= size:
            return self._spare.pop()
        self._spare.clear()
        return bytearray(size)

    def _fetch(self, piece: "_Piece") -> None:
        """Fill a piece, however often the connection breaks, as long as it gets on."""
        failures = 0
        while piece.ready < piece.end:
            before = piece.ready
            try:
                self._fetch_on(piece)
            except RetryableError:
                failures = 1 if piece.ready > before else failures + 1
                if failures == ATTEMPTS or piece.unwanted.wait(
                    PAUSE * 2 ** (failures - 1)
                ):
                    raise

    def _fetch_on(self, piece: "_Piece") -> None:
        start = piece.ready
        condition = {"IfMatch": self._etag} if self._etag else {}
        answer = self._link.call(
            "get_object",
            Key=self._name,
            Range=f"bytes={start}-{piece.end - 1}",
            **condition,
        )
        with contextlib.closing(answer["Body"]) as body:
            self._require_range(answer, start)
            try:
                self._drain(body, piece)
            except Exception as error:
                raise explain(error, self._link.config) from error
        if piece.ready < piece.end:
            raise AnswerCutOff(name=self._name)

    def _require_range(self, answer: dict[str, Any], start: int) -> None:
        if start and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
            raise NoRanges()

    def _drain(self, body: Any, piece: "_Piece") -> None:
        while not piece.unwanted.is_set():
            count = body.readinto(piece.rest(READ))
            if not count:
                return
            self._gate.spend(count)
            piece.add(count)


class _Piece:
    """The bytes from ``start`` to ``end`` of an object, that a thread of its own
    fetches.

    ``ready`` is the end of what is there. ``buffer`` has room for all of it, and is
    free for another piece once that has been read.
    """

    def __init__(
        self, fetch: Callable[["_Piece"], None], start: int, end: int, buffer: bytearray
    ):
        self.buffer = buffer
        self.start = start
        self.end = end
        self.ready = start
        self.unwanted = threading.Event()
        self._fetch = fetch
        self._view = memoryview(buffer)[: end - start]
        self._failure: Exception | None = None
        self._changed = threading.Condition()
        in_thread(self._run, "dfr_backup S3 read")

    def wait(self, position: int, tick: Callable[[], object]) -> memoryview:
        """Return what is there from ``position`` on, at least a byte. Raise
        EngineError."""
        with self._changed:
            while self.ready <= position:
                if self._failure:
                    raise self._failure
                self._changed.wait(POLL_INTERVAL)
                tick()
            return self._view[position - self.start : self.ready - self.start]

    def rest(self, most: int) -> memoryview:
        """Return where the next bytes belong, at most so many."""
        begin = self.ready - self.start
        return self._view[begin : begin + most]

    def add(self, count: int) -> None:
        with self._changed:
            self.ready += count
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._fetch(self)
        except Interrupt:
            return  # nobody waits for it any more
        except Exception as error:  # noqa: BLE001 (somebody waits for it, whatever it is)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()
