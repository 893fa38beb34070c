"""Packs that no backup needs any more, deleted from the storages."""

from ..engine.errors.packs import CopyNotListed
from ..engine.messages import Message, Size, _
from ..engine.packs.prune import Prune, Pruned, Unneeded
from ..engine.progress import Progress
from .base import Run
from .records import StorageRecord
from .registry import register
from .steps import PRUNE


@register("prune")
class PruneRun(Run):
    """One step for each storage."""

    label = "Prune"
    STEPS = (PRUNE,)

    def again(self) -> object:
        return self.job.step_ids.storage_id.action_prune()

    def prune(self, progress: Progress, storage: StorageRecord) -> None:
        """Condemn what no backup needs, and delete what was condemned for long
        enough."""
        packs = self.context.packs
        packs.require_prunable(storage)
        place, pruned = packs.place(storage), Pruned()
        prune = Prune(place, packs.owner(storage), packs.known(storage))
        try:
            place.storage.with_retries(lambda: prune.prune(progress, pruned), progress)
        except CopyNotListed:
            catalogue = self.context.catalogue
            listing = catalogue.listing(storage, progress)
            catalogue.note_listed(storage, progress, listing)
            raise
        packs.note_unneeded(storage, pruned.left)
        progress.log(
            Message(
                _(
                    "Packs that no backup needs: %(deleted)s deleted (%(freed)s), "
                    "%(condemned)s marked for deletion now; %(left)s still there "
                    "(%(size)s)"
                ),
                deleted=len(pruned.deleted),
                freed=_size_of(pruned.deleted),
                condemned=len(pruned.condemned),
                left=len(pruned.left),
                size=_size_of(pruned.left),
            )
        )
        _tell_locked(pruned.locked, progress)


def _tell_locked(packs: list[Unneeded], progress: Progress) -> None:
    ends = [pack.locked_until for pack in packs if pack.locked_until]
    if ends:
        progress.log(
            Message(
                _(
                    "%(count)s of these are still locked (%(size)s), the last one "
                    "until %(until)s UTC; they are deleted later"
                ),
                count=len(packs),
                size=_size_of(packs),
                until=f"{max(ends):%Y-%m-%d %H:%M}",
            )
        )


def _size_of(packs: list[Unneeded]) -> Size:
    return Size(sum(pack.size for pack in packs))
