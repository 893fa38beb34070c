"""Who this database is, and what a copy of another one may not do."""

import logging
from dataclasses import replace

from odoo import api, fields, models

from .. import odoo_config
from ..engine.errors import EngineError
from ..engine.errors.identity import (
    NotOriginal,
    OriginalAlive,
    OriginalStillThere,
    TwoWriters,
)
from ..engine.errors.runs import SwitchedOff
from ..engine.identity import Identity
from ..engine.ownership.originals import Original, find_standing, is_living
from ..engine.ownership.strangers import find_stranger
from ..engine.packs.listing import Listing
from ..engine.progress import Progress
from .moments import to_odoo_datetime

_logger = logging.getLogger(__name__)

REMEMBERED = "dfr_backup.known_as"
APPLICATION = "dfr_backup identity"


class BackupIdentity(models.AbstractModel):
    """The server's word about this database: what is in it is copied with it."""

    _name = "backup.identity"
    _description = "Identity of the Database"

    @api.model
    def _standing(self):
        """Return the ``Standing`` of this database. Raise EngineError."""
        present = self.env["backup.job"]._current_identity()
        text = self.env["ir.config_parameter"].sudo().get_param(REMEMBERED)
        remembered = Identity.from_key(text) if text else None
        connection = odoo_config.connection(self.env.cr.dbname, APPLICATION)
        return find_standing(present, remembered, odoo_config.originals(), connection)

    @api.model
    def _standing_in(self, storage, standing=None):
        """Return the ``Standing`` of this database in a storage, if any: there, an
        administrator may have said more than the server knows. Raise EngineError."""
        standing = standing or self._standing()
        said = storage and storage.sudo()._said_original(standing.present)
        if not said or (standing.is_original and not _is_later(said, standing)):
            return standing
        before = standing.known.keys if standing.known else frozenset()
        if standing.remembered and not standing.known:
            before = frozenset((standing.remembered.key,))
        former = tuple(sorted(before - {standing.present.key}))
        return replace(standing, known=Original(standing.present, former, said))

    @api.model
    def _is_own(self, uuid, key, storage=None):
        """Tell whether something belongs to this database, given the uuid and the
        identity (its key) that it carries, and the storage where it is, if any. What
        has no identity, because it is from an older release, belongs to the
        original."""
        if uuid != self.env["backup.job"]._current_database_uuid():
            return False
        try:
            standing = self._standing_in(storage)
        except EngineError:  # then at least nothing is deleted
            return not key or key == self.env["backup.job"]._current_identity().key
        return key in standing.keys if key else standing.is_original

    @api.model
    def _remember(self):
        """Let the database remember who it is, for a server that does not know it."""
        params = self.env["ir.config_parameter"].sudo()
        try:
            standing = self._standing()
        except EngineError:  # whoever needs to know it will say so
            return
        key = standing.present.key
        if standing.is_original and params.get_param(REMEMBERED) != key:
            params.set_param(REMEMBERED, key)

    @api.model
    def _objection(self, storages=None):
        """Return why this database deletes nothing and pings nobody, None when it may:
        an EngineError. ``storages``: those that it is about, else all."""
        if not odoo_config.is_enabled():
            return SwitchedOff()
        try:
            standing = self._standing()
        except EngineError as error:
            return error
        if storages is None:
            storages = self.env["backup.storage"].sudo().search([])
        if not storages and not standing.is_original:
            return NotOriginal(command=odoo_config.moved_command(self.env.cr.dbname))
        problems = (self._objection_in(storage, standing) for storage in storages)
        return next(filter(None, problems), None)

    @api.model
    def _objection_in(self, storage, standing):
        """Return the same of one storage, whose remedy is what its access needs."""
        here = self._standing_in(storage, standing)
        remedy = None if storage._is_lent() else "remedy_typed"
        command = odoo_config.moved_command(self.env.cr.dbname)
        if not here.is_original:
            return NotOriginal(
                command=command, remedy=remedy and NotOriginal.remedy_typed
            )
        if storage._has_stranger(here.known.settled):
            return TwoWriters(
                key=storage.stranger_key,
                storage=storage.name,
                command=command,
                remedy=remedy and TwoWriters.remedy_typed,
            )
        return None

    @api.model
    def _since(self):
        """Return for how many days this database, which may delete nothing, has made
        backups."""
        key = self.env["backup.job"]._current_identity().key
        first = self.env["backup.job"].search([("identity", "=", key)], order="id")[:1]
        return (fields.Datetime.now() - first.create_date).days if first else 0

    @api.model
    def _require_may_delete(self, storage):
        """Raise the EngineError of why nothing may be deleted in ``storage``."""
        error = self._objection(storage.sudo())
        if error:
            raise error

    @api.model
    def _require_still_ours(self, storage, listing=None, progress=None):
        """Look whether nobody else stores in our name, before anything is deleted in
        ``storage``, in its ``listing`` if somebody has it. Raise EngineError, also what
        ``progress`` does."""
        self._require_may_delete(storage)
        self._look_for_strangers(storage, listing, progress)
        self._require_may_delete(storage)

    @api.model
    def _objection_after_a_look(self, storages, since=None):
        """Return what ``_objection`` does, after a look whether somebody else stores
        in our name in ``storages``; of one that cannot be listed, what was known
        counts. One at which somebody has looked after ``since`` is not listed again."""
        for storage in storages.sudo():
            if since and storage._was_looked_at(since):
                continue
            try:
                self._look_for_strangers(storage)
            except EngineError as error:
                _logger.info("%s was not looked at: %s", storage.name, error.message)
        return self._objection()

    @api.model
    def _require_gone(self, storage):
        """Raise OriginalAlive when the database that a storage belongs to is in use on
        this server."""
        known = odoo_config.originals().of(storage.owner_uuid)
        connection = odoo_config.connection(self.env.cr.dbname, APPLICATION)
        if known and is_living(connection, known.identity):
            name = known.identity.name
            raise OriginalAlive(storage=storage.name, database=name)

    @api.model
    def _require_original_gone(self):
        """Raise OriginalStillThere when the original is in use on this server."""
        standing = self._standing()
        if standing.is_original or not standing.known:
            return
        connection = odoo_config.connection(self.env.cr.dbname, APPLICATION)
        if is_living(connection, standing.known.identity):
            raise OriginalStillThere(
                database=standing.known.identity.name,
                command=odoo_config.moved_command(self.env.cr.dbname),
            )

    @api.model
    def _look_for_strangers(self, storage, listing=None, progress=None):
        """Look whether a storage holds a backup that was stored in our name by a run
        that our history does not know, and note that. Raise EngineError."""
        now = fields.Datetime.now()  # what is stored from here on may not be seen
        self.env.cr.execute("SELECT uuid FROM backup_job")
        runs = {uuid for (uuid,) in self.env.cr.fetchall()}
        here = self._standing_in(storage)
        target = storage._get_storage()
        progress = progress or Progress()
        with target.reporting_to(progress):
            if listing is None:
                listing = list(Listing.of(target, progress).objects)
            found = find_stranger(target, listing, runs, here)
        values = {"stranger_key": False, "stranger_at": False, "last_look": now}
        if found:
            taken = to_odoo_datetime(found.taken_at)
            values |= {"stranger_key": found.key, "stranger_at": taken}
        self.env["backup.job"]._persist(storage.sudo(), values)


def _is_later(said, standing):
    settled = standing.known.settled
    return settled is None or said > settled
