"""What an incremental backup does not read is read a part each night, so that no damage
stays hidden: packs of a storage after its backup was verified, files of the filestore
while the others are packed."""

from datetime import datetime, timezone
from pathlib import Path

from ..engine.errors.packs import PackDamaged, PackUnread
from ..engine.messages import Message, Size, Text
from ..engine.packs.maker import Making
from ..engine.packs.nightly import Night, Nightly
from ..engine.packs.readings import Readings
from ..engine.packs.terms import TERMS
from ..engine.progress import Progress
from ..engine.sources.filestore_again import ReadAgain
from . import words
from .context import RunContext
from .damage import condemn
from .records import StorageRecord


def read_packs(
    context: RunContext, storage: StorageRecord, night: Night, progress: Progress
) -> None:
    """Read the packs of a storage that are due tonight, and say what was found, which
    is in ``night`` also when this raises an EngineError."""
    now = _now()
    if not Readings.of(context.packs.index(storage)).is_night(now):
        return  # and the storage is not even asked
    place, owner = context.packs.place(storage), context.packs.owner(storage)
    nightly = Nightly(
        place, owner, lambda use: condemn(context, storage, use, progress)
    )
    try:
        nightly.read(now, night, progress)
    finally:
        _tell(night, place.storage.location(""), progress)
        if night.nights:
            context.catalogue.note_unread_packs(len(night.nights))


def _tell(night: Night, location: str, progress: Progress) -> None:
    for key, damage in night.damaged.items():
        found = PackDamaged(pack=key, location=location, problem=damage)
        progress.warn(found.in_full)
    for key, error in night.unread.items():
        told: Text = Message(words.PROBLEM_AT, where=key, problem=error.in_full)
        if nights := night.nights.get(key):
            where = {"pack": key, "location": location}
            told = PackUnread(nights=nights, problem=error, **where).in_full
        progress.warn(told)
    if night.read:
        about = {"count": night.read, "size": Size(night.size), "packs": night.packs}
        progress.log(Message(words.PACKS_READ, days=night.days, **about))


class FilestoreNight:
    """The part of the filestore ``root`` that is due tonight, and whatever was found
    damaged before. What was read when stands beside what is known of the packs."""

    def __init__(self, context: RunContext, root: Path):
        self._root = root
        self._now = _now()
        self._damaged = context.plan.damaged_files()

    def begin(self, making: Making) -> ReadAgain:
        """Return what is read, where packs are made."""
        self._index = making.place.index
        self._folders = Readings.of(self._index).folders(self._now, making.terms)
        self._again = ReadAgain(self._root, self._is_due)
        return self._again

    def _is_due(self, store_fname: str) -> bool:
        return store_fname[:2] in self._folders or store_fname in self._damaged

    def end(self, progress: Progress) -> None:
        """Write down that the part was read, and say it. Raise PermanentError."""
        if self._folders:
            Readings.of(self._index).note_folders(self._folders, self._now)
        if self._folders and self._again.files:
            size, days = Size(self._again.bytes), TERMS.read_within
            about = {"count": self._again.files, "size": size, "days": days}
            progress.log(Message(words.FILES_READ, **about))


def _now() -> datetime:
    return datetime.now(timezone.utc)
