"""The list of attachment files of one snapshot, kept on disk: it may have a million
lines."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..fileio.durable import open_private
from .filestore import Attachment


def save(path: Path, attachments: Iterable[Attachment]) -> tuple[int, int]:
    """Write the list to ``path``; return the number of files and the sum of their
    bytes.

    The file appears under its name only when it is complete.
    """
    files = size = 0
    partial = path.with_name(path.name + ".part")
    encode = json.JSONEncoder(check_circular=False).encode
    with open(partial, "w", encoding="utf-8", opener=open_private) as stream:
        for one in attachments:
            stream.write(f"{encode(one)}\n")
            files += 1
            size += one.size
    os.replace(partial, path)
    return files, size


def load(path: Path) -> Iterator[Attachment]:
    """Yield the attachments of a saved list, in the same order."""
    decode = json.JSONDecoder().raw_decode  # loads looks for blanks: twice the time
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            yield Attachment._make(decode(line)[0])
