"""Whether backups of a plan share their attachment files, and which keys these have."""

import uuid

from ...engine.errors.packs import NothingToShare
from ..packs_obstacle import obstacle_in


def obstacle_of(plan):
    """Return why a plan stores complete zips although they shall be incremental, an
    EngineError; None when nothing is in the way. One storage that takes no packs is
    enough: a run has one archive."""
    if not plan.include_filestore:
        return NothingToShare()
    storages = plan.storage_ids._origin.sudo()
    obstacles = (obstacle_in(storage) for storage in storages)
    return next(filter(None, obstacles), None)


def passphrase_mark(plan):
    """Return the name of the plan's present passphrase, a new one when it has none."""
    if not plan.passphrase_mark:
        mark = {"passphrase_mark": uuid.uuid4().hex}
        plan.env["backup.job"]._persist(plan.sudo(), mark)
    return plan.passphrase_mark
