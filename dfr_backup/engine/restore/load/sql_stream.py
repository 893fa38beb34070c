"""A plain dump of pg_dump, taken apart while it streams: statements, and the rows
between them.

It follows the rules of psql's own scanner (strings, dollar quotes, nested comments,
bodies of ``BEGIN ATOMIC``), because psql is what such a dump is written for. Commands
of psql itself are not followed but refused: a dump of one database has none but
``\\restrict``, and one that came from elsewhere must not start programs.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ...errors.restore import (
    CutInStatement,
    CutInTable,
    EndlessStatement,
    LastLineMissing,
    PsqlCommands,
    TooMuchText,
    WholeServer,
)
from .dump_lines import DumpPosition, RowTally, lines_in
from .kinds import COPY
from .statement_scanner import Scanner

ROWS_CHUNK = 4 << 20  # bytes of rows that are handed on together
END_OF_ROWS = b"\\.\n"
LAST_LINE = b"-- PostgreSQL database dump complete"
TAIL = 256  # bytes in which the last line must be
CONNECT = (b"\\connect ", b"\\c ")
HARMLESS = (b"\\restrict ", b"\\unrestrict ")
LEADING = re.compile(rb"(?:\s+|--[^\n]*\n){0,9999}")
ESCAPES = re.compile(rb"SET\s+standard_conforming_strings\s*=\s*off", re.I)
SHORT_ENOUGH = 8 << 20  # bytes of a statement that are held before its end is known
HEAD = 64 << 10  # bytes that are left of a longer one
LONG_ROW = 16 << 20  # bytes of a row from which on it is handed on in parts
MOST_INFLATED = 1032  # times: more than that no deflated member can become
HEAD_OF_LINE = 200  # bytes of a line that tell what it is


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its semicolon; ``position`` is where it begins. One that
    is ``optional`` is ours, and may fail. Of one that is not ``whole``, ``text`` is the
    beginning."""

    text: bytes
    position: DumpPosition
    optional: bool = False
    whole: bool = True

    @property
    def is_copy(self) -> bool:
        return bool(COPY.match(self.text))


@dataclass(frozen=True)
class Rows:
    """Some whole rows of the COPY before, in ``parts``; ``position`` is where they
    begin, and they are the chunk ``number`` of its tally. ``size`` is their bytes.

    A single row that ``is_long`` is read while its ``parts`` are taken, which is
    possible once and before the next item; ``size`` is what has been read of it.
    """

    copy: Statement
    parts: Iterable[bytes]
    position: DumpPosition
    number: int
    size: int
    is_long: bool = False

    def loaded(self, rows: int) -> None:
        """Note that they were loaded, and how many there were: -1 for who knows."""
        self.position.tally.loaded(self.number, rows)


class Longest(NamedTuple):
    """What a statement may have at most, and all of them. One flipped quote makes all
    that follows look like a statement, and a small archive must not cost much: a few
    signs that are repeated for ever are no data.

    ``tokens`` are those that are looked at one by one, and what takes as long: a string
    of an INSERT is none, a row has two to four. ``statements``, ``comments`` with what
    is blank between them, and the bytes of ``rows`` are those of the whole dump.
    """

    size: int = 256 << 20  # bytes
    tokens: int = 300_000
    statements: int = 100_000
    comments: int = 32 << 20  # bytes
    rows: int = 256 << 20  # bytes

    @classmethod
    def of_archive(cls, size: int) -> "Longest":
        """Return what is right for an archive of ``size`` bytes: PostgreSQL takes up to
        1 GiB."""
        least = cls()
        longest = min(max(least.size, 64 * size), 1 << 30)
        more = max(size - (1 << 20), 0)  # bytes
        return cls(
            longest,
            least.tokens + more,
            least.statements + more,
            least.comments + 16 * more,
            least.rows + MOST_INFLATED * more,
        )


USUAL = Longest()  # of a small archive


def split(
    pieces: Iterator[bytes], longest: Longest = USUAL, held: int = SHORT_ENOUGH
) -> Iterator[Statement | Rows]:
    """Yield the statements of a dump and, after each COPY, its rows in chunks of about
    4 MiB.

    No more is held in memory than the chunks, and twice ``held`` bytes of a statement:
    a longer one is not ``whole``.
    Raise CutInStatement, CutInTable, LastLineMissing, EndlessStatement, TooMuchText,
    PsqlCommands, WholeServer.
    """
    return _Splitter(pieces, longest, held).items()


class _Splitter:
    def __init__(self, pieces: Iterator[bytes], longest: Longest, held: int):
        self._pieces = pieces
        self._longest = longest
        self._held = held
        self._buffer = b""
        self._at = 0  # what is before has been handed on
        self._lines = 0  # besides rows
        self._statements = 0
        self._comments = 0  # bytes, with those that are blank
        self._rows_read = 0  # bytes
        self._tally = RowTally()
        self._tail = b""
        self._ended = False
        self._backslash_escapes = False

    def items(self) -> Iterator[Statement | Rows]:
        while (statement := self._next_statement()) is not None:
            self._statements += 1
            if self._statements > self._longest.statements:
                raise TooMuchText(log=self._where())
            if ESCAPES.match(statement.text):
                self._backslash_escapes = True
            yield statement
            if statement.is_copy:
                yield from self._rows(statement)
        if LAST_LINE not in self._tail:
            raise LastLineMissing

    # === BYTES === #

    def _read(self, wanted: int = 1) -> bool:
        """Append ``wanted`` bytes to the buffer, or what there is; tell if that was
        anything."""
        rest = self._buffer[self._at :]
        parts = [rest] if rest else []
        while wanted > 0 and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                parts.append(piece)
                wanted -= len(piece)
                self._tail = (self._tail + piece[-TAIL:])[-TAIL:]
        self._buffer, self._at = b"".join(parts), 0  # one part alone is not copied
        return len(self._buffer) > len(rest)

    def _take(self, end: int) -> bytes:
        """Return what is up to ``end``, as handed on."""
        data = self._buffer[self._at : end]
        self._at = end
        return data

    def _take_lines(self, end: int) -> bytes:
        data = self._take(end)
        self._lines += data.count(b"\n")
        return data

    def _position(self) -> DumpPosition:
        return DumpPosition(self._lines, len(self._tally), self._tally)

    # === STATEMENTS === #

    def _next_statement(self) -> Statement | None:
        if not self._skip_blank():
            return None
        position, head, dropped = self._position(), b"", 0
        longest = self._longest
        scanner = Scanner(self._backslash_escapes, longest.tokens)
        while (end := scanner.end(self._buffer, self._at, self._ended)) is None:
            size = len(self._buffer) - self._at
            if head or size >= self._held:
                head = head or self._buffer[self._at : self._at + HEAD]
                dropped += len(self._take_lines(self._at + scanner.forget()))
            if dropped + size >= longest.size or scanner.tokens >= longest.tokens:
                raise EndlessStatement(log=f"dump.sql, line {position.line}")
            if self._ended:
                raise CutInStatement(log=f"dump.sql, line {position.line}")
            # to join the bytes of a long one again and again would take long, and more
            # than a part is long to scan without hearing a cancel
            self._read((len(self._buffer) - self._at) // 8 + 1)
        text = self._take_lines(end)
        return Statement(head or text, position, whole=not head)

    def _skip_blank(self) -> bool:
        """Go on to the next statement, over comments and ``\\restrict``; tell if
        there is one."""
        while True:
            found = LEADING.match(self._buffer, self._at)
            self._comments += len(self._take_lines(found.end() if found else self._at))
            if self._comments > self._longest.comments:
                raise TooMuchText(log=self._where())
            left = self._buffer[self._at : self._at + 16]
            if not left:
                if not self._read():
                    return False
            elif left.startswith((b"--", b"\\")) or (left == b"-" and not self._ended):
                self._skip_line(left)
            else:
                return True

    def _skip_line(self, start: bytes) -> None:
        """Skip a line, of which the buffer may hold only the beginning."""
        if start == b"-":  # of a comment, perhaps
            self._read()
            return
        if start.startswith(b"\\"):
            self._require_harmless()
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            self._comments += len(self._take(len(self._buffer)))
            if not self._read():
                return
        self._take_lines(end)

    def _require_harmless(self) -> None:
        while (
            b"\n" not in (head := self._buffer[self._at : self._at + HEAD_OF_LINE])
            and len(head) < HEAD_OF_LINE
            and self._read()
        ):
            pass
        line = head.partition(b"\n")[0]
        if line.startswith(CONNECT):
            raise WholeServer(log=self._where())
        if not line.startswith(HARMLESS):
            shown = line.decode("utf-8", "replace")
            raise PsqlCommands(log=f"{self._where()}: {shown}")

    def _where(self, parts: Iterable[bytes] = ()) -> str:
        """Name the line where we are, after ``parts`` that were not handed on."""
        return f"dump.sql, line {self._position().line + lines_in(parts)}"

    # === ROWS === #

    def _rows(self, copy: Statement) -> Iterator[Rows]:
        """Yield the rows after a COPY. What was read is handed on as it is: to join
        megabytes would cost more than to look for the end in them."""
        self._skip_rest_of_line()
        parts: list[bytes] = []
        size = 0
        while (end := self._end_of_rows(not parts or parts[-1].endswith(b"\n"))) < 0:
            border = self._buffer.rfind(b"\n", self._at) + 1
            if size + border - self._at >= ROWS_CHUNK and border > self._at:
                yield self._chunk(copy, [*parts, self._take(border)])
                parts, size = [], 0
            if part := self._take(self._decided()):
                parts.append(part)
                size += len(part)
            if not self._read():
                raise self._cut_in(copy, parts)
            if size >= LONG_ROW and not parts[-1].endswith(b"\n"):
                yield from self._long_row(copy, parts)
                parts, size = [], 0
        if part := self._take(end):
            parts.append(part)
        if parts:
            yield self._chunk(copy, parts)
        self._take_lines(end + len(END_OF_ROWS))

    def _count(self, size: int) -> None:
        self._rows_read += size
        if self._rows_read > self._longest.rows:
            raise TooMuchText(log=self._where())

    def _chunk(self, copy: Statement, parts: list[bytes]) -> Rows:
        position, rows = self._position(), tuple(parts)
        size = sum(map(len, rows))
        self._count(size)
        return Rows(copy, rows, position, self._tally.add(rows), size)

    def _long_row(self, copy: Statement, parts: list[bytes]) -> Iterator[Rows]:
        """Yield the whole rows in ``parts``, and then the long one that begins in
        them: PostgreSQL takes a row of up to 1 GiB, and nobody else needs to hold
        it."""
        begun = b"".join(parts)
        border = begun.rfind(b"\n") + 1
        if border:
            yield self._chunk(copy, [begun[:border]])
        begun = begun[border:]
        rest = self._rest_of_row(copy)
        position, number = self._position(), self._tally.add((b"\n",))
        yield Rows(
            copy, chain((begun,), rest), position, number, len(begun), is_long=True
        )
        for _part in rest:  # of which nobody wanted anything
            pass

    def _rest_of_row(self, copy: Statement) -> Iterator[bytes]:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if part := self._take(len(self._buffer)):
                self._count(len(part))
                yield part
            if not self._read():
                raise self._cut_in(copy, ())
        yield self._take(end + 1)

    def _cut_in(self, copy: Statement, parts: Iterable[bytes]) -> CutInTable:
        text = copy.text.decode("utf-8", "replace")
        return CutInTable(log=f"{self._where(parts)}: {text}")

    def _end_of_rows(self, starts_line: bool) -> int:
        """Return where the line is that ends the rows, -1 when it has not been read
        yet."""
        if starts_line and self._buffer.startswith(END_OF_ROWS, self._at):
            return self._at
        # “re” takes four times as long where nearly each byte ends a line
        found = self._buffer.find(b"\n" + END_OF_ROWS, self._at)
        return found + 1 if found >= 0 else -1

    def _decided(self) -> int:
        """Return up to where the buffer is rows, whatever comes: the line that ends
        them may be cut in two."""
        for start in (b"\\.", b"\\"):
            if self._buffer.endswith(start, self._at):
                return len(self._buffer) - len(start)
        return len(self._buffer)

    def _skip_rest_of_line(self) -> None:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if not self._read():
                return
        self._take_lines(end + 1)
