"""A pack that is not what a backup names: no later backup counts on it, and none that
needs it counts as good."""

from contextlib import suppress

from ..engine.manifest.pack_use import PackUse
from ..engine.packs.index import Index
from ..engine.packs.prune import condemn_damaged
from ..engine.progress import Progress
from .context import RunContext
from .records import StorageRecord


def condemn(
    context: RunContext, storage: StorageRecord, use: PackUse, progress: Progress
) -> None:
    """Condemn a damaged pack, if it is this database's; in any case note which backups
    need it as it should be. Raise EngineError, after that was noted."""
    try:
        place, owner = context.packs.place(storage), context.packs.owner(storage)
        with suppress(OSError):  # then it is read again before it is used
            Index(place, owner).forget_damaged(use)
        inner = Progress(lambda _inner: progress.tick())
        target = place.storage
        target.with_retries(lambda: condemn_damaged(target, owner, use), inner)
    finally:
        context.catalogue.note_bad_pack(storage, use)
