"""A pack that is not what a backup names: no later backup counts on it, and none that
needs it counts as good."""

from ..engine.manifest.pack_use import PackUse
from ..engine.packs.prune import condemn_damaged
from .context import RunContext
from .records import StorageRecord


def condemn(context: RunContext, storage: StorageRecord, use: PackUse) -> None:
    """Condemn a damaged pack of this database, and note which backups need it. Raise
    EngineError."""
    owner = context.packs.owner(storage)
    if condemn_damaged(storage._get_own_storage(), owner, use):
        context.catalogue.note_bad_pack(storage, use.key)
