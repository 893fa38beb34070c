"""Attachment files that are stored already, read all the same: nothing else would
notice that one has been damaged since."""

import hashlib
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..errors import reason_of
from ..fileio.page_cache import Passage
from ..messages import Message
from ..progress import Progress
from .filestore import ABSENT, IRREGULAR, LINE, OTHER_CONTENT
from .filestore_directory import FilestoreDirectory

PIECE = 1 << 20  # bytes


class ReadAgain:
    """The files of the filestore ``root`` whose names ``is_due`` takes. ``files`` and
    ``bytes`` were read."""

    def __init__(self, root: Path, is_due: Callable[[str], bool]):
        self._store = FilestoreDirectory(root)
        self._is_due = is_due
        self.files = self.bytes = 0

    def problem(self, name: str, size: int, progress: Progress) -> Message | None:
        """Return what is wrong with a file that should have so many bytes; None when it
        is not due, or is what its name says, or it was seen already that it is missing
        or has another size. Raise Cancelled."""
        if not self._is_due(name):
            return None
        try:
            with ExitStack() as files:
                file, present = self._store.open(name, files)
                if present != size:
                    return None
                found = self._sha1(file, progress)
        except OSError as error:
            if error.errno in (*ABSENT, *IRREGULAR):
                return None
            return Message(LINE, file=name, reason=reason_of(error))
        self.files += 1
        same = found == name.rpartition("/")[2]
        return None if same else Message(OTHER_CONTENT, file=name)

    def _sha1(self, file: int, progress: Progress) -> str:
        sha1 = hashlib.sha1(usedforsecurity=False)
        with Passage(file) as passage:
            position = 0
            while piece := os.read(file, PIECE):
                sha1.update(piece)
                position += len(piece)
                passage.passed(position)
                progress.tick()
        self.bytes += position
        return sha1.hexdigest()
