"""Which attachment files a backup has in packs, as one digest: the manifest in its
archive names it, so that no list of packs can take any away."""

import hashlib
import heapq
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..fileio.durable import open_private, sync, sync_directory
from ..manifest.pack_use import PackUse
from ..sources.filestore import Attachment
from .index import AT_ONCE, RECORD, Held, KnownPack
from .names import store_fname_of


@dataclass(frozen=True)
class Content:
    """The number of files, their bytes, and the SHA-256 (hexadecimal) of their list: a
    line ``NAME SIZE`` for each, in the order of the names."""

    files: int
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {"files": self.files, "bytes": self.bytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, data: Any) -> "Content":
        """Return what ``to_json`` has made JSON of."""
        return cls(data["files"], data["bytes"], data["sha256"])


def summed(held: Iterable[Held]) -> Content:
    """Return the content that attachment files make, in the order of their names."""
    digest, files, size = hashlib.sha256(), 0, 0
    for each in held:
        digest.update(f"{store_fname_of(each.digest)} {each.size}\n".encode())
        files += 1
        size += each.size
    return Content(files, size, digest.hexdigest())


def held_in(used: Iterable[tuple[KnownPack, PackUse]]) -> Iterator[Held]:
    """Yield what is wanted of some packs, in the order of the names."""
    return heapq.merge(*(_wanted(pack.held(), use) for pack, use in used))


def save(path: Path, held: Iterable[Held]) -> Content:
    """Keep a list of attachment files, in the order of their names, for other storages;
    return the content that they make. The file appears when it is complete. Raise
    OSError."""
    partial = path.with_name(f"{path.name}.part")
    with open(partial, "wb", opener=open_private) as stream:
        content = summed(_written(held, stream))
        sync(stream)
    os.replace(partial, path)
    sync_directory(path.parent)
    return content


def load(path: Path) -> Iterator[Attachment]:
    """Yield the attachment files of such a list. Raise OSError."""
    with open(path, "rb") as stream:
        while data := stream.read(AT_ONCE * RECORD.size):
            for digest, size in RECORD.iter_unpack(data):
                name = store_fname_of(digest)
                yield Attachment(name, digest.hex(), size, name)


def _written(held: Iterable[Held], stream: IO[bytes]) -> Iterator[Held]:
    for each in held:
        stream.write(RECORD.pack(*each))
        yield each


def _wanted(held: Iterable[Held], use: PackUse) -> Iterator[Held]:
    return (each for number, each in enumerate(held) if use.wants(number))
