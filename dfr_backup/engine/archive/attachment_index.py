"""``attachments.jsonl``: which attachment is which file, as the database had it.

The files of a filestore are named by their content. Their names are in the dump, where
nobody finds one among a million; this member has a line of JSON for each, of the dump's
own snapshot.
"""

import io
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors.fetch import DamagedArchive
from ..manifest.names import ADDONS, FILESTORE, INDEX
from ..untrusted import parse_json
from .zip_directory import Entry
from .zip_reader import Members

LONGEST_LINE = 1 << 20  # bytes
# each line has a number and a checksum of its own: that many times it never shrinks
MOST_RATIO = 50
SMALL = 1 << 20  # bytes, which may be anything
STORE_FNAME = re.compile(r'"store_fname":"([^"\\]+)"')
COLUMNS = (
    "id",
    "name",
    "res_model",
    "res_field",
    "res_id",
    "store_fname",
    "file_size",
    "mimetype",
)


@dataclass(frozen=True)
class IndexedAttachment:
    """An attachment with a file, as a backup knows it; ``size`` in bytes, 0 when
    unknown."""

    id: int
    name: str
    model: str
    field: str
    record: int
    store_fname: str
    size: int
    mimetype: str

    @property
    def member(self) -> str:
        """The name of its file in the archive."""
        return FILESTORE + self.store_fname


@dataclass(frozen=True)
class AttachmentQuery:
    """What is looked for: ``text`` in the name or in the file's name, without regard
    to case; an exact ``model``; a ``record``. Empty: any."""

    text: str = ""
    model: str = ""
    record: int = 0

    def prefilter(self) -> list[str]:
        """Return what every line that fits has in it, without regard to case: to
        look for that in a text is many times faster than to read a million lines of
        JSON."""
        found = [json.dumps(self.text, ensure_ascii=False)[1:-1]] if self.text else []
        found += [f'"res_model":{json.dumps(self.model)}'] if self.model else []
        found += [f'"res_id":{self.record},'] if self.record else []
        return [piece.casefold() for piece in found]

    def fits(self, found: IndexedAttachment) -> bool:
        return (
            (not self.model or found.model == self.model)
            and (not self.record or found.record == self.record)
            and (not self.text or self._names(found))
        )

    def _names(self, found: IndexedAttachment) -> bool:
        text = self.text.casefold()
        return text in found.name.casefold() or text in found.store_fname


@dataclass(frozen=True)
class SearchResult:
    """The first attachments that fit, and how many there are in all."""

    first: list[IndexedAttachment]
    total: int


class IndexWriter(io.RawIOBase):
    """What a COPY writes into, in pieces that are worth passing on."""

    def __init__(self, write: Callable[[bytes], object]):
        self._write = write

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._write(bytes(data))  # the buffer before us uses its memory again
        return len(data)


def find_index(reader: Members) -> Entry | None:
    """Return the member with the names, None in an older archive or in one without a
    database.

    It comes before the files: of a large directory only the beginning is read.
    """
    for entry in reader.entries():
        if entry.name == INDEX:
            return entry
        if entry.name.startswith((FILESTORE, ADDONS)):
            break
    return None


def search_index(
    reader: Members, entry: Entry, wanted: AttachmentQuery, most: int
) -> SearchResult:
    """Look for attachments; return at most so many of them. Memory does not grow
    with the index. Raise DamagedArchive."""
    needed = wanted.prefilter()
    first: list[IndexedAttachment] = []
    total = 0
    for text in _texts(reader, entry):
        if not needed and len(first) >= most:
            total += text.count("\n") + 1
            continue
        for line in _lines_with(needed, text):
            found = parse_line(line)
            if wanted.fits(found):
                total += 1
                first += [found] if len(first) < most else []
    return SearchResult(first, total)


def _lines_with(needed: list[str], text: str) -> list[str]:
    """Return the lines of a text that have every one of the needed pieces in them."""
    lines, folded = text.split("\n"), text.casefold()
    if not all(piece in folded for piece in needed):
        return []
    alike = folded.split("\n")
    numbers: Iterable[int] = range(len(lines))
    for piece in needed:
        numbers = [number for number in numbers if piece in alike[number]]
    return [lines[number] for number in numbers]


def name_files(
    reader: Members, entry: Entry, names: Container[str]
) -> Iterator[IndexedAttachment]:
    """Yield the attachments whose files (``store_fname``) are among ``names``."""
    for text in _texts(reader, entry):
        for line in text.split("\n"):
            found = STORE_FNAME.search(line)
            if found and found[1] in names:
                yield parse_line(line)


def stored_names(reader: Members, entry: Entry) -> Iterator[str]:
    """Yield the file (``store_fname``) of each attachment."""
    for text in _texts(reader, entry):
        yield from STORE_FNAME.findall(text)


def _texts(reader: Members, entry: Entry) -> Iterator[str]:
    """Yield the index in texts of whole lines, without the last line feed."""
    if entry.size > SMALL + MOST_RATIO * entry.compressed_size:
        raise DamagedArchive(log=f"{INDEX} grows more than names can")
    rest = b""
    for piece in reader.pieces(entry):
        whole, feed, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DamagedArchive(log=f"{INDEX} has a line without an end")
        if feed:
            yield _decoded(whole)
    if rest:
        yield _decoded(rest)


def _decoded(lines: bytes) -> str:
    try:
        return lines.decode()
    except UnicodeDecodeError as error:
        raise DamagedArchive(log=f"{INDEX} is not UTF-8") from error


NOT_ONE = (ValueError, TypeError, KeyError)


def parse_line(line: str) -> IndexedAttachment:
    """Return what a line says. Raise DamagedArchive when it is none of ours."""
    try:
        values = parse_json(line.encode())
        number, name, model, field, record, store_fname, size, mimetype = (
            values[column] for column in COLUMNS
        )
        return IndexedAttachment(
            int(number),
            str(name or ""),
            str(model or ""),
            str(field or ""),
            int(record or 0),
            str(store_fname),
            int(size or 0),
            str(mimetype or ""),
        )
    except NOT_ONE as error:
        raise DamagedArchive(log=f"a line of {INDEX} is not one: {error}") from error
