"""What a restore is about to make, written down first, by a process that can be seen
to live."""

import json
import os
from pathlib import Path
from typing import Any

from ..fileio.durable import (
    make_directory,
    open_private,
    sync_descriptor,
    sync_directory,
)
from ..fileio.locking import lock, try_lock
from ..untrusted import parse_json


class Marker:
    """A locked file: one JSON object per line, the later ones add to the earlier
    ones."""

    def __init__(self, path: Path, file: int):
        self._path = path
        self._file = file
        self.facts: dict[str, Any] = {}

    @classmethod
    def create(cls, path: Path, facts: dict[str, Any]) -> "Marker":
        make_directory(path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        marker = cls(path, open_private(path, flags))
        lock(marker._file)
        marker.add(**facts)
        sync_directory(path.parent)
        return marker

    @classmethod
    def take_over(cls, path: Path) -> "Marker | None":
        """Return the marker of a process that is gone, or None."""
        try:
            marker = cls(path, os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC))
        except FileNotFoundError:
            return None
        if not try_lock(marker._file):
            marker.close()
            return None
        marker._read()
        return marker

    def add(self, **facts: Any) -> None:
        """Write down more, and let it reach the disk before anything is done."""
        self.facts.update(facts)
        os.write(self._file, json.dumps(facts).encode() + b"\n")
        sync_descriptor(self._file)

    def _read(self) -> None:
        for line in self._path.read_bytes().splitlines():
            try:
                self.facts.update(parse_json(line))
            except (ValueError, TypeError):
                return  # killed while writing: then what it announces has not been done

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._file)
