"""What deleting backups frees, where they share packs: known without asking a storage,
from what this server remembers of each backup and of each pack."""

import json
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..fileio.durable import write_private
from ..manifest.pack_use import PackUse, uses_of
from ..untrusted import MAX_BESIDE, parse_json
from .index import known_pack

SUFFIX = ".needs"


@dataclass(frozen=True)
class Freed:
    """Bytes in a storage: in packs that no backup needs any more (``pruned``: the next
    prunes delete them), and of what no backup wants in packs that others need
    (``rewritten``: they are freed when what is wanted has been stored again)."""

    pruned: int = 0
    rewritten: int = 0


# === WHAT EACH BACKUP NEEDS === #


def remember(index: Path, key: str, uses: Sequence[PackUse]) -> None:
    """Note in the folder of a location which packs the backup ``key`` needs. Raise
    OSError."""
    data = json.dumps([use.to_json() for use in uses]).encode()
    write_private(_path(index, key), data, over=True)


def remembered(index: Path, key: str) -> tuple[PackUse, ...] | None:
    """Return which packs a backup needs, None when nobody has noted it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return uses_of(parse_json(_path(index, key).read_bytes(), MAX_BESIDE))
    return None


def forget_others(index: Path, keys: Collection[str]) -> None:
    """Forget the backups that are gone. Raise OSError."""
    with suppress(FileNotFoundError):
        for path in list(index.iterdir()):
            gone = path.name.removesuffix(SUFFIX) not in keys
            if path.name.endswith(SUFFIX) and gone:
                path.unlink(missing_ok=True)


def _path(index: Path, key: str) -> Path:
    return index / f"{key}{SUFFIX}"


# === WHAT IS FREED === #


def freed(
    index: Path,
    going: Iterable[Sequence[PackUse]],
    staying: Iterable[Sequence[PackUse]],
) -> Freed:
    """Return what the deletion of some backups frees, given what they need, and what
    the others do."""
    wanted: dict[str, list[PackUse]] = {}
    for uses in staying:
        for use in uses:
            wanted.setdefault(use.key, []).append(use)
    gone = {u.key: u.size for uses in going for u in uses if u.key not in wanted}
    rest = sum(_unwanted(index, uses) for uses in wanted.values())
    return Freed(sum(gone.values()), rest)


def _unwanted(index: Path, uses: Sequence[PackUse]) -> int:
    """Return about how many bytes of a pack nobody wants, all that do being known."""
    bits = 0
    for use in uses:
        if use.wanted is None:
            return 0
        bits |= int.from_bytes(use.wanted, "little")
    size, pack = uses[0].size, known_pack(index, uses[0].key)
    if pack is None:  # files are much alike, where nobody knows more
        most = max(8 * len(use.wanted or b"") for use in uses)
        return size - size * bits.bit_count() // most
    union = replace(uses[0], wanted=bits.to_bytes(len(uses[0].wanted or b""), "little"))
    kept = sum(h.size for n, h in enumerate(pack.held()) if union.wants(n))
    return size - size * kept // max(pack.about.total, 1)
