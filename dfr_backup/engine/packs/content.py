"""Which attachment files a backup has in packs, as one digest: the manifest in its
archive names it, so that no list of packs can take any away."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..manifest.pack_use import PackUse
from .index import Held, KnownPack
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


def summed(held: Iterable[Held]) -> Content:
    """Return the content that attachment files make, in the order of their names."""
    digest, files, size = hashlib.sha256(), 0, 0
    for each in held:
        digest.update(f"{store_fname_of(each.digest)} {each.size}\n".encode())
        files += 1
        size += each.size
    return Content(files, size, digest.hexdigest())


def content_of(used: Iterable[tuple[KnownPack, PackUse]]) -> Content:
    """Return what is wanted of some packs."""
    return summed(heapq.merge(*(_wanted(pack.held(), use) for pack, use in used)))


def _wanted(held: Iterable[Held], use: PackUse) -> Iterator[Held]:
    return (each for number, each in enumerate(held) if use.wants(number))
