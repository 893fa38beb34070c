"""When the packs of a location, and the parts of the filestore, were last read in full:
a file of this server. Where it is lost, nothing of it was ever read.

Whoever's clock was ahead has read nothing: a moment of the future counts as never.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ..errors import reason_of
from ..errors.packs import NotNoted
from ..fileio.durable import write_private
from ..untrusted import parse_json
from .terms import Terms

FILE = "readings.json"
DAY = 86400  # seconds
NIGHT = 20 * 3600  # seconds: a daily plan's runs do not begin on the second
AHEAD = 60  # seconds that a new pack may be, to get a name of its own
MOST_NIGHTS = 7  # that are made up for at once
FOLDERS = 256  # of a filestore: two digits of the names, which are SHA-1


@dataclass
class Readings:
    """``packs`` are the moments (seconds since 1970) by pack; ``left`` the packs of
    the night that began at ``packs_at`` that are still to be read; ``unread`` in how
    many nights one could not be read, since it last was; ``next_folder`` the folder of
    the filestore that comes next, after the night of ``files_at``."""

    path: Path
    packs: dict[str, float] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    packs_at: float = 0
    files_at: float = 0
    next_folder: int = 0
    unread: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, index: Path) -> "Readings":
        """Return what is known of a location, given its folder of this server."""
        path = index / FILE
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            known = parse_json(path.read_bytes())
            return cls(
                path,
                {str(key): float(at) for key, at in known["packs"].items()},
                [str(key) for key in known["left"]],
                float(known["packs_at"]),
                float(known["files_at"]),
                int(known["next_folder"]) % FOLDERS,
                {str(key): int(n) for key, n in known.get("unread", {}).items()},
            )
        return cls(path)

    def save(self) -> None:
        """Raise PermanentError when nothing can be written here."""
        about = {name: value for name, value in vars(self).items() if name != "path"}
        try:
            write_private(self.path, json.dumps(about).encode(), over=True)
        except OSError as error:
            raise NotNoted(file=self.path, reason=reason_of(error)) from error

    def note(self, keys: Iterable[str], now: datetime) -> None:
        """Write down that packs were read in full. Raise PermanentError."""
        for key in keys:
            self.packs[key] = now.timestamp()
            self.unread.pop(key, None)
            self._take(key)
        self.save()

    def note_unread(self, key: str) -> int:
        """Write down that a pack of the present night could not be read; return in how
        many nights that was so. Raise PermanentError."""
        self.unread[key] = self.unread.get(key, 0) + 1
        self._take(key)
        self.save()
        return self.unread[key]

    def _take(self, key: str) -> None:
        if key in self.left:
            self.left.remove(key)

    # === PACKS === #

    def is_night(self, now: datetime) -> bool:
        """Tell whether there is something to read: the last night was a day ago, or is
        not at its end."""
        return bool(self.left) or _is_past(self.packs_at, now, NIGHT)

    def begin_night(self, keys: Collection[str], now: datetime, terms: Terms) -> None:
        """Decide which of these packs are to be read now (``left``): what an
        interrupted night has left, nothing when there was one a short while ago, else
        those that were not read for longest, and behind them what could not be read in
        earlier nights: one of that soon, or slow storages would never come to it. Raise
        PermanentError."""
        if not _is_past(self.packs_at, now, NIGHT):
            return
        self.packs = {key: at for key, at in self.packs.items() if key in keys}
        self.unread = {key: n for key, n in self.unread.items() if key in keys}
        nights = _nights_since(self.packs_at, now)
        readable = [key for key in keys if key not in self.unread]
        due = oldest(readable, self.packs, now, nights, terms)
        again = sorted(self.unread, key=lambda key: (self.unread[key], key))
        self.left = [*due[:1], *again[:1], *due[1:], *again[1:]]
        self.packs_at = now.timestamp()
        self.save()

    def drop_night(self) -> None:
        """Leave what the present night has not read to the next one. Raise
        PermanentError."""
        self.left = []
        self.save()

    # === THE FILESTORE === #

    def folders(self, now: datetime, terms: Terms) -> frozenset[str]:
        """Return which folders of the filestore are to be read now: none when some
        were a short while ago."""
        if not _is_past(self.files_at, now, NIGHT):
            return frozenset()
        count = _part(FOLDERS, _nights_since(self.files_at, now), terms)
        numbers = range(self.next_folder, self.next_folder + count)
        return frozenset(f"{number % FOLDERS:02x}" for number in numbers)

    def note_folders(self, folders: Collection[str], now: datetime) -> None:
        """Write down that these folders were read. Raise PermanentError."""
        self.next_folder = (self.next_folder + len(folders)) % FOLDERS
        self.files_at = now.timestamp()
        self.save()


def oldest(
    keys: Collection[str],
    read: Mapping[str, float],
    now: datetime,
    nights: int,
    terms: Terms,
) -> list[str]:
    """Return which packs are read when that was not done for so many nights: those not
    read for longest, at least one. Where that were too late for some, up to twice as
    many; those that were read a short while ago, not at all."""
    present = now.timestamp()

    def moment(key: str) -> float:
        at = read.get(key, 0)
        return at if at <= present + AHEAD else 0

    ready = [key for key in keys if present - moment(key) >= NIGHT]
    ready.sort(key=lambda key: (moment(key), key))
    usual = _part(len(keys), nights, terms)
    latest = present - (terms.read_within - nights) * DAY
    late = sum(0 < moment(key) < latest for key in ready)
    return ready[: max(usual, min(late, 2 * usual))]


def _part(count: int, nights: int, terms: Terms) -> int:
    """Return how many of ``count`` things are read in so many nights, rounded up."""
    return min(count, -(-count * nights // terms.read_within))


def _is_past(moment: float, now: datetime, seconds: float) -> bool:
    return not 0 <= now.timestamp() - moment < seconds


def _nights_since(moment: float, now: datetime) -> int:
    since = now.timestamp() - moment
    return min(max(round(since / DAY), 1), MOST_NIGHTS) if moment else 1
