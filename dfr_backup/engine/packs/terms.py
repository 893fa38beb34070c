"""The numbers of packs: how large they are, when they are made anew, how long they are
kept."""

from dataclasses import dataclass, replace
from datetime import timedelta


@dataclass(frozen=True)
class Terms:
    """``pack_bytes`` and ``pack_files`` end a pack. A pack of which less than
    ``thin_part`` is wanted is thin, and so are those smaller than ``small_bytes`` when
    there are more than ``most_small``; of what is stored, ``rewrite_part`` at most is
    stored anew in a run because of that. What says which files of packs are wanted has
    at most ``bitmap_bytes``, a bit for each: of more packs, those of which least is
    wanted are stored anew as well.

    A pack that no backup needs is condemned when it is older than ``young``, and
    deleted when it has been condemned for ``grace`` and so many ``backups`` were
    stored since.

    Every pack is read again within so many days (``read_within``), so a part of them
    each night, for ``read_seconds`` at most.
    """

    pack_bytes: int = 256 << 20
    pack_files: int = 100_000
    thin_part: float = 0.5
    small_bytes: int = 32 << 20
    most_small: int = 50
    rewrite_part: float = 0.1
    bitmap_bytes: int = 8 << 20
    young: timedelta = timedelta(hours=24)
    grace: timedelta = timedelta(hours=48)
    backups: int = 2
    read_within: int = 30
    read_seconds: float = 3600.0


TERMS = Terms()
# of a run that rewrites packs: it stores anew what it needs of each of which a part is
# not needed, and of small ones, so that its packs are those that would be made today
REWRITE = replace(TERMS, thin_part=1.0, most_small=1, rewrite_part=1.0)
