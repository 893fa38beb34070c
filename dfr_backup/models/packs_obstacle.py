"""Whether backups in a storage can share their attachment files."""

from ..engine.errors.packs import (
    KeepsEverything,
    LocksForTime,
    SharedByDatabases,
    TakesAway,
)


def obstacle_in(storage):
    """Return why a storage gets complete zips only, an EngineError; None when it takes
    packs."""
    if not storage.can_delete:
        return KeepsEverything(storage=storage.name)
    if storage.takes_away:
        return TakesAway(storage=storage.name)
    if storage._lock_days():
        return LocksForTime(storage=storage.name)
    if storage.is_shared:
        return SharedByDatabases(storage=storage.name)
    return None
