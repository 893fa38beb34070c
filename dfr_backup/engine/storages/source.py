"""The file that is to be stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from ..errors import reason_of
from ..errors.fetch import FileUnreadable


@contextmanager
def _explained(source: Path) -> Iterator[None]:
    """Let what the system refuses about a file that is to be stored leave as
    FileUnreadable."""
    try:
        yield
    except OSError as error:
        raise FileUnreadable(
            file=source.name,
            reason=reason_of(error),
            remedy=FileUnreadable.remedy_source,
        ) from error


def open_source(source: Path) -> FileIO:
    """Open a file that is to be stored, without a buffer. Raise FileUnreadable."""
    with _explained(source):
        return open(source, "rb", buffering=0)


def size_of(source: Path) -> int:
    """Return the bytes of a file that is to be stored. Raise FileUnreadable."""
    with _explained(source):
        return source.stat().st_size
