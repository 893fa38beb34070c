"""Whether backups in a storage can share their attachment files."""

from ..engine.errors import EngineError
from ..engine.errors.packs import (
    KeepsEverything,
    LockNotExtended,
    LocksByDefault,
    MayNotList,
    RulesUnknown,
    SharedByDatabases,
    TakesAway,
)


def obstacle_in(storage):
    """Return why a storage gets complete zips only, an EngineError; None when it takes
    packs."""
    obstacle = prune_obstacle_in(storage)
    if obstacle:
        return obstacle
    if storage.rules_unknown and not storage.rules_confirmed:
        return RulesUnknown(storage=storage.name)
    if storage.lock_refused and _locks(storage):
        return LockNotExtended(storage=storage.name)
    return None


def prune_obstacle_in(storage):
    """Return why no packs can be deleted in a storage, an EngineError; None when
    nothing is in the way."""
    if not storage.can_list:
        return MayNotList(storage=storage.name)
    if storage.locks_by_default:
        return LocksByDefault(storage=storage.name)
    if not storage.can_delete:
        return KeepsEverything(storage=storage.name)
    if storage.takes_away:
        return TakesAway(storage=storage.name)
    if storage.is_shared:
        return SharedByDatabases(storage=storage.name)
    return None


def _locks(storage):
    """Tell whether a storage locks what it gets."""
    try:
        return bool(storage._lock_days())
    except EngineError:  # its own form says what the operator has to mend
        return True
