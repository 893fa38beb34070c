"""Where one statement of a dump ends, by the rules of psql's own scanner."""

import re
from collections.abc import Callable
from functools import partial

from .kinds import WORD

# What ends or hides something. Each kind begins with a plain character: that lets “re”
# skip all others at once. A dollar quote, and a word, must not begin inside another
# word.
INSIDE_WORD = rb"(?<![" + WORD + rb"].)"
MARKS = (
    rb"'|\"|;|\([()]*|\)[()]*|--|/\*|\$" + INSIDE_WORD
    + rb"(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$"
)  # fmt: skip
# Bodies are not nested, and of these words only “begin” may be a name without quotes.
WORDS = b"".join(
    rb"|" + bytes([first]) + INSIDE_WORD + rest + rb"(?![" + WORD + rb"])"
    for firsts, rest in (
        (b"bB", rb"(?i:egin)(?=\s+(?i:atomic))"),
        (b"cC", rb"(?i:ase)"),
        (b"eE", rb"(?i:nd)"),
    )
    for first in firsts
)
TOKEN = re.compile(MARKS, re.S)
TOKEN_OF_ROUTINE = re.compile(MARKS + WORDS, re.S)
# what needs no look, as the rows of an INSERT: plain text, names, and strings that
# begin with no E; in the second kind, a backslash may escape
SIMPLE, SIMPLE_ESCAPED = (
    re.compile(
        rb"(?:[^'\"$();/-]+|(?<![eE])'[^'"
        + backslash
        + rb"]*'(?=[^'])|\"[^\"]*\"|-(?=[^-])|/(?=[^*])){1,9999}"
    )
    for backslash in (b"", rb"\\")
)
ESCAPING = re.compile(rb"(?<![" + WORD + rb"])[eE]\Z")  # before a string
# of a string, what does not end it; not too much at once, “re” remembers each step
STRING = re.compile(rb"(?:[^']+|''){1,9999}")
ESCAPED_STRING = re.compile(rb"(?:[^'\\]+|\\.|''){1,9999}", re.S)
COMMENT_BORDER = re.compile(rb"/\*|\*/")
ROUTINE = re.compile(rb"CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\s", re.I)
LONGEST_TOKEN = 130  # bytes: "$", a name of 63 characters, "$"
SIGNS_OF_TOKEN = 64  # signs that take as long as a token
BYTES_OF_TOKEN = 1 << 10
BYTES_IN_ROUTINE = 64


class _NeedMore(Exception):
    """What is open does not end in what has been read."""


class Scanner:
    """Finds the end of one statement, as psql would. What it has seen it does not look
    at again when more is there."""

    def __init__(self, backslash_escapes: bool, most_tokens: int):
        self.tokens = 0
        self._most_tokens = most_tokens
        self._data = b""
        self._complete = False
        self._at = 0  # after where the statement begins
        self._string = ESCAPED_STRING if backslash_escapes else STRING
        self._simple = SIMPLE_ESCAPED if backslash_escapes else SIMPLE
        self._inside: Callable[[], None] | None = None  # of what it looks for the end
        self._parentheses = 0
        self._is_routine: bool | None = None
        self._blocks = 0  # BEGIN ATOMIC and CASE that are open in the body of a routine
        self._depth = 0  # of comments

    def end(self, data: bytes, begin: int, complete: bool) -> int | None:
        """Return the place after the semicolon of the statement that begins at
        ``begin``, in ``data`` that is ``complete`` or not. None when it is not there:
        then call again, with more of the same, unless there were too many tokens."""
        self._data, self._complete = data, complete
        if not self._is_routine and self._at < LONGEST_TOKEN:
            self._is_routine = bool(ROUTINE.match(data, begin))
        self._at += begin
        try:
            while not self._next():
                pass
            return self._at
        except _NeedMore:
            return None
        finally:
            self._at -= begin

    def forget(self) -> int:
        """Return how many bytes at the beginning are not needed any more, and let the
        next call begin after them."""
        unneeded = max(self._at - LONGEST_TOKEN, 0)
        self._at -= unneeded
        return unneeded

    def _next(self) -> bool:
        """Step over the next token and what it begins; tell whether it has ended the
        statement."""
        if self._inside:
            self._inside()
            self._inside = None
        if self.tokens >= self._most_tokens:
            raise _NeedMore
        self.tokens += 1
        found = self._find()
        if not found:
            self._at = max(self._at, len(self._data) - LONGEST_TOKEN)
            raise _NeedMore
        if self._may_go_on(found):
            self._at = found.start()
            raise _NeedMore
        self._at = found.end()
        return self._follow(found)

    def _find(self) -> "re.Match[bytes] | None":
        begin = self._at
        if self._is_routine:
            found = TOKEN_OF_ROUTINE.search(self._data, begin)
        else:
            while simple := self._simple.match(self._data, self._at):
                self._count(*simple.span(), b"'", b'"')
                self._at = simple.end()
            found = TOKEN.search(self._data, self._at)
        end = found.start() if found else len(self._data)
        self._count(begin, end, b"$", b"-", b"/")
        if self._is_routine:
            self.tokens += (end - begin) // BYTES_IN_ROUTINE
        return found

    def _may_go_on(self, found: "re.Match[bytes]") -> bool:
        """Tell whether the token is only the part of one that has been read."""
        near_end = found.end() + LONGEST_TOKEN > len(self._data)
        return near_end and not self._complete and found[0][:1] not in b";()"

    def _follow(self, found: "re.Match[bytes]") -> bool:
        """Begin what a token begins; tell whether it ends the statement."""
        token = found[0]
        first = token[:1]
        if first == b";":
            return self._parentheses <= 0 and not self._blocks
        if first in b"()":
            self._parentheses += token.count(b"(") - token.count(b")")
        elif first == b"'":
            before = self._data[max(found.start() - 2, 0) : found.start()]
            escaped = ESCAPING.search(before)
            string = ESCAPED_STRING if escaped else self._string
            self._inside = partial(self._up_to_quote, string)
        elif first == b'"':
            self._inside = partial(self._up_to, b'"')
        elif first == b"$":
            self._inside = partial(self._up_to, token)
        elif token == b"--":
            self._inside = partial(self._up_to, b"\n")
        elif token == b"/*":
            self._depth = 1
            self._inside = self._comment
        else:
            self._count_block(token.lower())
        return False

    def _count_block(self, word: bytes) -> None:
        if self._parentheses:
            return
        if word == b"begin" or (word == b"case" and self._blocks):
            self._blocks += 1
        elif word == b"end" and self._blocks:
            self._blocks -= 1

    # === UP TO THE END OF WHAT IS OPEN, OR AS FAR AS IT IS CLEAR === #

    def _up_to_quote(self, string: "re.Pattern[bytes]") -> None:
        """Two quotes are one that belongs to the string."""
        while found := string.match(self._data, self._at):
            self._count(*found.span(), b"'", b"\\")
            self._at = found.end()
        quote = self._data[self._at : self._at + 2]
        if quote[:1] != b"'" or (quote == b"'" and not self._complete):
            raise _NeedMore
        self._at += 1

    def _count(self, begin: int, end: int, *signs: bytes) -> None:
        """Many bytes or signs that are passed at once take time, too."""
        if end - begin < SIGNS_OF_TOKEN:
            return
        count = sum(self._data.count(sign, begin, end) for sign in signs)
        self.tokens += count // SIGNS_OF_TOKEN + (end - begin) // BYTES_OF_TOKEN

    def _up_to(self, end: bytes) -> None:
        found = self._data.find(end, self._at)
        if found < 0:
            self._at = max(self._at, len(self._data) - len(end) + 1)
            raise _NeedMore
        self._at = found + len(end)

    def _comment(self) -> None:
        depth = self._depth
        for found in COMMENT_BORDER.finditer(self._data, self._at):
            self.tokens += 1
            depth += 1 if found[0] == b"/*" else -1
            if not depth:
                self._at = found.end()
                return
            self._at = found.end()
        self._count(self._at, len(self._data))
        self._depth, self._at = depth, max(self._at, len(self._data) - 1)
        raise _NeedMore
