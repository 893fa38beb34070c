"""The disk space of this host that a backup will take, reserved before it writes."""

import contextlib
import shutil
from collections.abc import Iterator
from itertools import chain

from ..engine.errors import EngineError
from ..engine.errors.archive import ArchiveNeedsSpace
from ..engine.errors.local import LocalNoRoom
from ..engine.messages import Message, Size, _
from ..engine.packs.terms import TERMS
from ..engine.progress import Progress
from ..engine.queue.reservations import Need, is_one_disk
from . import words
from .context import RunContext
from .records import StorageRecord

GROWTH = 1.25  # of an archive since the one before it, at most
# bytes of packs in the clear: while one is stored, the next one is made
TWO_PACKS = 2 * TERMS.pack_bytes


class ArchiveSpace:
    """What the archive of a run takes in its working directory, and its copies in the
    storages that are directories of this host."""

    def __init__(self, context: RunContext):
        self._context = context
        self._job = context.job
        self._work = context.files.work_path()
        self._reservations = context.files.reservations()

    def reserve(self, size: int, files: int, progress: Progress) -> None:
        """Reserve all that an archive of about ``size`` bytes will take, and the packs
        of ``files`` bytes. A storage that has no room for its copy is a warning, as
        long as another one has. Raise an EngineError when it does not fit."""
        needs = [self._need_of_work(size, files)]
        self._tell(needs[0].bytes, progress)
        short = self._reservations.take(needs)
        if short:
            raise short.explained(ArchiveNeedsSpace)
        without = []
        for storage, copy in self._copies(self._expected(size), files):
            short = self._reservations.take([*needs, *copy])
            if short:
                without.append((storage, short.explained(LocalNoRoom)))
            else:
                needs += copy
        if len(without) == len(list(self._job._storages())):
            raise without[0][1]
        for storage, problem in without:
            about = {"where": storage.name, "problem": problem.in_full}
            progress.warn(Message(words.PROBLEM_AT, **about))

    def _expected(self, size: int) -> int:
        """Return about how many bytes the archive will have, where the one before it
        says more than the database: nothing is refused that would fit."""
        last = self._context.plan.last_size()
        return min(size, int(last * GROWTH)) if last else size

    def keep(self, size: int, files: int) -> None:
        """Reserve the same of an archive that has been written in part."""
        copies = [copy for _at, copy in self._copies(self._expected(size), files)]
        needs = [self._need_of_work(size, files), *chain.from_iterable(copies)]
        self._reservations.keep(needs)

    def reserve_copies(self, storage: StorageRecord) -> None:
        """Reserve what the copies take that are still to be made, of an archive whose
        size is known: that of ``storage`` at least. Raise SpaceReserved; what lacks
        space anyway is refused by the storage."""
        copies = list(self._copies(int(self._job.archive_size)))
        every = [need for _storage, copy in copies for need in copy]
        mine = [n for other, copy in copies if other.id == storage.id for n in copy]
        short = self._reservations.take(every) and self._reservations.take(mine)
        if short and short.by_others:
            raise short.explained(LocalNoRoom)

    def release(self) -> None:
        self._reservations.release()

    def _tell(self, needed: int, progress: Progress) -> None:
        progress.log(
            Message(
                _("About %(needed)s needed, %(free)s free in %(folder)s"),
                needed=Size(needed),
                free=Size(shutil.disk_usage(self._work).free),
                folder=self._work,
            )
        )

    def _need_of_work(self, size: int, files: int) -> Need:
        """Return what the archive and two packs take, each beside itself encrypted, in
        a folder that is all their own."""
        size += min(files, TWO_PACKS)
        encrypted = self._context.plan.is_encrypted()
        return Need(self._work, 2 * size if encrypted else size, mark="")

    def _copies(
        self, size: int, files: int = 0
    ) -> Iterator[tuple[StorageRecord, list[Need]]]:
        """Yield what a copy takes, with its storage, where that is on this host. The
        first one on the disk of the archive is another name of it: it takes nothing.
        Its packs do."""
        is_linked = False
        for storage in self._job._storages():
            with contextlib.suppress(EngineError):  # the upload will say it
                folder = storage._get_own_storage().folder()
                if folder is None:
                    continue
                links = not is_linked and is_one_disk(folder, self._work)
                is_linked = is_linked or links
                mark = self._job.uuid[:8]  # in the name of this archive alone
                needs = [Need(folder, 0 if links else size, mark)]
                if files:
                    new = self._context.packs.new_bytes(storage, files)
                    needs.append(Need(folder, new))
                yield storage, needs
