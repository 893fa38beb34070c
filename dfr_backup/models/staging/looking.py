"""How a staging copy is, as the server knows it: nothing in the list decides that a
database may be replaced or dropped."""

import logging

from odoo import fields

from ... import compat, odoo_config
from ...engine.errors import EngineError
from ...engine.errors.staging import (
    CopyOfAnother,
    InProduction,
    NotOurCopy,
    NotThere,
    StagingBusy,
    StagingGone,
    StagingRenamed,
)
from ...engine.restore.leftovers import remove_leftovers
from ...engine.restore.staging import (
    StagingCopy,
    drop_copy,
    drop_replaced,
    is_in_place,
    require_copy,
    size_of_files,
)
from ..engine_messages import error_columns
from ..locks import try_lock
from ..states import OPEN_STATES

_logger = logging.getLogger(__name__)

APPLICATION = "dfr_backup staging"


def server():
    """Return how the database server is reached."""
    return odoo_config.connection("postgres", APPLICATION)


def as_known(staging):
    """Return a copy as the engine knows it."""
    return StagingCopy(
        database=staging.database,
        oid=int(staging.oid or 0),
        run=staging.run_uuid or "",
        owner=staging.identity or "",
        here=staging.env["backup.job"]._current_identity().oid,
    )


def is_own(staging):
    """Tell whether this database has made a copy, and not the one that it is itself a
    copy of."""
    identities = staging.env["backup.identity"]
    return identities._is_own(staging.database_uuid, staging.identity)


def require(staging):
    """Return the size of the database of a copy. Raise EngineError when it is not the
    harmless copy that this database has made."""
    if not is_own(staging):
        raise CopyOfAnother(database=staging.database)
    if not staging.oid:
        raise StagingGone(database=staging.database)
    return require_copy(server(), as_known(staging))


def has_made(staging, job):
    """Tell whether ``job`` has given a copy its name, and the list does not know it
    yet. What this transaction sees may be from before."""
    oid = job.run_state.restored if job else None
    if not oid or job.uuid == staging.run_uuid:
        return False
    try:
        return is_in_place(server(), staging.database, oid)
    except EngineError as error:
        _logger.warning("[%s] %s", error.code, error.in_full)
        return False


def require_replaceable(staging):
    """Raise EngineError when a copy may not be made anew: what has its name is no copy
    of ours. Nothing has its name when it was dropped or renamed."""
    try:
        require(staging)
    except (StagingGone, StagingRenamed):
        return


def found(staging, seconds):
    """Return the values of how a copy is now. Its files are counted for so many
    seconds at most, else what was known of them stays."""
    values, job = {"looked_at": fields.Datetime.now()}, staging.job_id
    if job.state in OPEN_STATES and job.uuid != staging.run_uuid:
        return {**values, "state": "making"}
    if not staging.run_uuid:
        error = ("error", "hint", "error_code", "error_values")
        return {**values, "state": "failed", **{name: job[name] for name in error}}
    try:
        size = require(staging)
    except (NotOurCopy, NotThere) as error:
        values["state"] = "changed" if isinstance(error, NotOurCopy) else "gone"
        if isinstance(error, InProduction):
            values["neutralized"] = "no"
        return {**values, **error_columns(error)}
    except EngineError as error:  # what was known of it still counts
        return {**values, **error_columns(error)}
    values |= {"state": "ready", "database_size": size, "neutralized": "yes"}
    files = size_of_files(odoo_config.filestore_path(staging.database), seconds)
    if files is not None:
        values["filestore_size"] = files
    return {**values, **error_columns(None)}


def sweep(staging):
    """Drop what a copy that was made anew has replaced, and remember when that cannot
    be done yet."""
    oid, place = staging.former_oid, odoo_config.place(staging.database)
    if not oid or oid == staging.oid:
        return
    try:
        drop_replaced(server(), place, int(oid), odoo_config.markers())
    except EngineError as error:
        _logger.warning("[%s] %s", error.code, error.in_full)
    else:
        staging.env["backup.job"]._persist(staging, {"former_oid": False})


def clean_up():
    """Remove what deletions that were killed have left."""
    remove_leftovers(server(), odoo_config.markers())


def delete(staging):
    """Drop the database of a copy and its files. Raise EngineError: then it is still
    there, or nothing of it has its name any more."""
    if not try_lock(staging) or staging.job_id.state in OPEN_STATES:
        raise StagingBusy(database=staging.database)
    require(staging)
    compat.forget_database(staging.database)
    place = odoo_config.place(staging.database)
    drop_copy(server(), as_known(staging), place, odoo_config.markers())
    now = fields.Datetime.now()
    staging.write({"state": "deleted", "deleted_at": now, **error_columns(None)})
