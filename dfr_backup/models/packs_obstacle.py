"""Whether backups in a storage can share their attachment files."""

from ..engine.errors.packs import (
    KeepsEverything,
    LockNotExtended,
    SharedByDatabases,
    TakesAway,
)


def obstacle_in(storage):
    """Return why a storage gets complete zips only, an EngineError; None when it takes
    packs."""
    if storage.lock_refused:
        return LockNotExtended(storage=storage.name)
    return prune_obstacle_in(storage)


def prune_obstacle_in(storage):
    """Return why no packs can be deleted in a storage, an EngineError; None when
    nothing is in the way."""
    if not storage.can_delete:
        return KeepsEverything(storage=storage.name)
    if storage.takes_away:
        return TakesAway(storage=storage.name)
    if storage.is_shared:
        return SharedByDatabases(storage=storage.name)
    return None
