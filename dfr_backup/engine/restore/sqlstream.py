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

from ..errors.restore import (
    CutInStatement,
    CutInTable,
    EndlessStatement,
    LastLineMissing,
    PsqlCommands,
    WholeServer,
)
from .dumplines import Place, RowTally, lines_in
from .kinds import COPY, WORD

ROWS_CHUNK = 4 << 20  # bytes of rows that are handed on together
END_OF_ROWS = b"\\.\n"
END_AFTER_ROWS = re.compile(rb"\n\\\.\n")
LAST_LINE = b"-- PostgreSQL database dump complete"
TAIL = 256  # bytes in which the last line must be
CONNECT = (b"\\connect ", b"\\c ")
HARMLESS = (b"\\restrict ", b"\\unrestrict ")
# what ends or hides something; a word of these two kinds must not begin inside another
# word. Bodies are not nested, and of these words only “begin” may be a name without
# quotes.
TOKEN = re.compile(
    rb"(?<![" + WORD + rb"])(?:[eE]'|\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$"
    rb"|(?:begin(?=\s+atomic)|case|end)(?![" + WORD + rb"]))|['\";()]|--|/\*",
    re.I,
)
STRING = re.compile(rb"[^']*'")
ESCAPED_STRING = re.compile(rb"(?:[^'\\]|\\.|'')*'(?!')", re.S)
COMMENT_BORDER = re.compile(rb"/\*|\*/")
LEADING = re.compile(rb"(?:\s+|--[^\n]*\n)*")
ROUTINE = re.compile(rb"CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\s", re.I)
LONGEST_TOKEN = 130  # bytes: "$", a name of 63 characters, "$"
# bytes: no dump has such a statement, but one flipped quote makes all that follows look
# like one
LONGEST_STATEMENT = 64 << 20


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its semicolon; ``place`` is where it begins. One that is
    ``optional`` is ours, and may fail."""

    text: bytes
    place: Place
    optional: bool = False

    @property
    def is_copy(self) -> bool:
        return bool(COPY.match(self.text))


@dataclass(frozen=True)
class Rows:
    """Some whole rows of the COPY before, in ``parts``; ``place`` is where they
    begin, and they are the chunk ``number`` of its tally."""

    copy: Statement
    parts: tuple[bytes, ...]
    place: Place
    number: int

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.parts))

    def loaded(self, rows: int) -> None:
        """Note that they were loaded, and how many there were: -1 for who knows."""
        self.place.tally.loaded(self.number, rows)


class _NeedMore(Exception):
    """The statement does not end in what has been read."""


def split(pieces: Iterator[bytes]) -> Iterator[Statement | Rows]:
    """Yield the statements of a dump and, after each COPY, its rows in chunks of about
    4 MiB.

    Raise CutInStatement, CutInTable, LastLineMissing, EndlessStatement, PsqlCommands,
    WholeServer.
    """
    return _Splitter(pieces).items()


class _Splitter:
    def __init__(self, pieces: Iterator[bytes]):
        self._pieces = pieces
        self._buffer = b""
        self._at = 0  # what is before has been handed on
        self._lines = 0  # besides rows
        self._tally = RowTally()
        self._tail = b""
        self._ended = False
        self._backslash_escapes = False

    def items(self) -> Iterator[Statement | Rows]:
        while (statement := self._next_statement()) is not None:
            if re.match(
                rb"SET\s+standard_conforming_strings\s*=\s*off", statement.text, re.I
            ):
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

    def _place(self) -> Place:
        return Place(self._lines, len(self._tally), self._tally)

    # === STATEMENTS === #

    def _next_statement(self) -> Statement | None:
        while True:
            try:
                if not self._skip_blank():
                    return None
                end = _Scanner(
                    self._buffer, self._at, self._ended, self._backslash_escapes
                ).end()
            except _NeedMore:
                self._read_more()
                continue
            place = self._place()
            return Statement(self._take_lines(end), place)

    def _read_more(self) -> None:
        """Double what is in the buffer: a long statement must not be scanned again
        and again."""
        if self._ended:
            raise CutInStatement(log=self._where())
        size = len(self._buffer) - self._at
        if size >= LONGEST_STATEMENT:
            raise EndlessStatement(log=self._where())
        self._read(size)

    def _skip_blank(self) -> bool:
        """Go on to the next statement, over comments and ``\\restrict``; tell if
        there is one."""
        while True:
            found = LEADING.match(self._buffer, self._at)
            self._take_lines(found.end() if found else self._at)
            left = self._buffer[self._at : self._at + 16]
            if not left:
                if not self._read():
                    return False
            elif left.startswith((b"--", b"\\")) or (left == b"-" and not self._ended):
                self._skip_line(left)
            else:
                return True

    def _skip_line(self, start: bytes) -> None:
        """Skip a line of which the buffer may hold only the beginning."""
        end = self._buffer.find(b"\n", self._at)
        if end < 0 and not self._ended:
            self._read()
            return
        line = self._buffer[self._at : end if end >= 0 else len(self._buffer)]
        if start.startswith(b"\\") and not line.startswith(HARMLESS):
            if line.startswith(CONNECT):
                raise WholeServer(log=self._where())
            shown = line[:200].decode("utf-8", "replace")
            raise PsqlCommands(log=f"{self._where()}: {shown}")
        self._take_lines(self._at + len(line))

    def _where(self, parts: Iterable[bytes] = ()) -> str:
        """Name the line where we are, after ``parts`` that were not handed on."""
        return f"dump.sql, line {self._place().line + lines_in(parts)}"

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
                text = copy.text.decode("utf-8", "replace")
                raise CutInTable(log=f"{self._where(parts)}: {text}")
        if part := self._take(end):
            parts.append(part)
        if parts:
            yield self._chunk(copy, parts)
        self._take_lines(end + len(END_OF_ROWS))

    def _chunk(self, copy: Statement, parts: list[bytes]) -> Rows:
        place, rows = self._place(), tuple(parts)
        return Rows(copy, rows, place, self._tally.add(rows))

    def _end_of_rows(self, starts_line: bool) -> int:
        """Return where the line is that ends the rows, -1 when it has not been read
        yet."""
        if starts_line and self._buffer.startswith(END_OF_ROWS, self._at):
            return self._at
        found = END_AFTER_ROWS.search(self._buffer, self._at)  # faster than bytes.find
        return found.start() + 1 if found else -1

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


class _Scanner:
    """Finds the end of the statement that begins at ``at``, as psql would."""

    def __init__(self, data: bytes, at: int, complete: bool, backslash_escapes: bool):
        self._data = data
        self._at = at
        self._complete = complete
        self._plain_string = ESCAPED_STRING if backslash_escapes else STRING
        self._parentheses = 0
        self._is_routine = bool(ROUTINE.match(data, at))
        self._blocks = 0  # BEGIN ATOMIC and CASE that are open in the body of a routine

    def end(self) -> int:
        """Return the place after the semicolon. Raise _NeedMore."""
        while True:
            found = TOKEN.search(self._data, self._at)
            if not found or self._may_go_on(found):
                raise _NeedMore
            self._at = found.end()
            if self._follow(found[0]):
                return self._at

    def _may_go_on(self, found: "re.Match[bytes]") -> bool:
        """Tell whether the token is only the part of one that has been read."""
        near_end = found.end() + LONGEST_TOKEN > len(self._data)
        return near_end and not self._complete and found[0] != b";"

    def _follow(self, token: bytes) -> bool:
        """Step over what ``token`` begins; tell whether it ends the statement."""
        first = token[:1]
        if first == b";":
            return self._parentheses <= 0 and not self._blocks
        if first in b"()":
            self._parentheses += 1 if first == b"(" else -1
        elif first == b"'":
            self._skip(self._plain_string)
        elif token.endswith(b"'"):
            self._skip(ESCAPED_STRING)
        elif first == b'"':
            self._skip_to(b'"')
        elif first == b"$":
            self._skip_to(token)
        elif token == b"--":
            self._skip_to(b"\n")
        elif token == b"/*":
            self._skip_comment()
        elif first.isalpha():
            self._count_block(token.lower())
        return False

    def _count_block(self, word: bytes) -> None:
        if not self._is_routine or self._parentheses:
            return
        if word == b"begin" or (word == b"case" and self._blocks):
            self._blocks += 1
        elif word == b"end" and self._blocks:
            self._blocks -= 1

    def _skip(self, pattern: "re.Pattern[bytes]") -> None:
        found = pattern.match(self._data, self._at)
        if not found or (found.end() == len(self._data) and not self._complete):
            # another quote may follow, and would be a part of the string
            raise _NeedMore
        self._at = found.end()

    def _skip_to(self, end: bytes) -> None:
        found = self._data.find(end, self._at)
        if found < 0:
            raise _NeedMore
        self._at = found + len(end)

    def _skip_comment(self) -> None:
        depth = 1
        while depth:
            found = COMMENT_BORDER.search(self._data, self._at)
            if not found:
                raise _NeedMore
            depth += 1 if found[0] == b"/*" else -1
            self._at = found.end()
