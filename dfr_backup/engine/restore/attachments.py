"""Attachments whose files are not in the archive, counted before a restore.

Odoo's database manager, and what uses it, archives the files that it finds and counts
nothing: only the rows of the dump tell what should be there.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from ..archive.reader import Archive, is_attachment
from ..errors import EngineError
from ..errors.restore import AttachmentsMissing, NoAttachments
from ..manifest.names import FILESTORE
from ..progress import Progress
from .load.kinds import COPIED, copied_columns, table_of
from .load.sql_stream import Longest, Rows, Statement, split

TABLES = (b"public.ir_attachment", b"ir_attachment")
FILE_COLUMN = b"store_fname"
NULL = b"\\N"
LONGEST_NAME = 1024  # bytes


@dataclass(frozen=True)
class Lost:
    """Of ``total`` attachments with a file, how many have none in the archive, and how
    many files that are: several may share one. ``files`` is what the archive has."""

    total: int
    missing: int
    missing_files: int
    files: int

    @property
    def error(self) -> EngineError | None:
        """What somebody has to accept, None when nothing is lost."""
        if not self.missing:
            return None
        if not self.files:
            return NoAttachments(total=self.total)
        return AttachmentsMissing(missing=self.missing, total=self.total)


def lost_attachments(archive: Archive, progress: Progress) -> Lost | None:
    """Compare the attachments of the dump with the files of the archive; None where
    the dump has no such table, or its rows in another form than pg_dump's usual one.

    The dump is read up to those rows. A file in the archive takes 8 bytes of memory.
    Raise what ``split`` raises, PermanentError when the archive is damaged, Cancelled.
    """
    longest = Longest.of_archive(archive.reader.size)
    items = split(_ticking(archive.sql(), progress), longest)
    column = _find_column(items)
    if column is None:
        return None
    held = _held(archive)
    total = missing = 0
    absent: set[int] = set()
    for name in _names(items, column):
        total += 1
        mark = hash(name)
        at = bisect_left(held, mark)
        if at == len(held) or held[at] != mark:
            missing += 1
            absent.add(mark)
    return Lost(total, missing, len(absent), len(held))


def _find_column(items: Iterator[Statement | Rows]) -> int | None:
    """Go on to the rows of the attachments; return which of their columns has the name
    of the file, None when there are no such rows."""
    for item in items:
        if isinstance(item, Rows):
            item.loaded(-1)
        elif item.is_copy and table_of(COPIED, item.text) in TABLES:
            columns = copied_columns(item.text)
            return columns.index(FILE_COLUMN) if FILE_COLUMN in columns else None
    return None


def _held(archive: Archive) -> "array[int]":
    names = (
        entry.name.removeprefix(FILESTORE).encode()
        for entry in archive.reader.entries()
        if is_attachment(entry)
    )
    return array("q", sorted(map(hash, names)))


def _names(items: Iterator[Statement | Rows], column: int) -> Iterator[bytes]:
    """Yield the file of each row up to the next statement; a row may have none."""
    for item in items:
        if not isinstance(item, Rows):
            return
        if item.is_long:
            names = [_field(item, column)]
        else:
            rows = b"".join(item.parts).splitlines()
            fields = (row.split(b"\t", column + 1) for row in rows)
            names = [row[column] for row in fields if len(row) > column]
        yield from (name for name in names if name != NULL)
        item.loaded(-1)


def _field(row: Rows, column: int) -> bytes:
    """Return one field of a long row, of which nobody holds more than a part."""
    before, found = 0, b""
    for part in row.parts:
        wanted = column - before
        fields = part.split(b"\t", wanted + 1)
        if len(fields) <= wanted:
            before += len(fields) - 1
            continue
        found = (found + fields[wanted])[:LONGEST_NAME]
        if len(fields) > wanted + 1:
            break
        before = column  # the next part may go on with it
    return found.removesuffix(b"\n")


def _ticking(pieces: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    """Yield the same pieces, and let a cancel end the reading."""
    for piece in pieces:
        progress.tick()
        yield piece
