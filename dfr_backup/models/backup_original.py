"""Who says that this database is the original: the server's operator, for what his
server lends; for a storage whose credentials were typed in here, an administrator with
the right “Settings”, about that storage alone.

What is said of a storage stands in the database, and names the identity that it was
said for: in a copy of the database it says nothing.
"""

from dataclasses import replace
from datetime import timedelta, timezone

from odoo import api, fields, models
from odoo.exceptions import AccessError

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.errors.identity import (
    AlreadyOriginal,
    NotOriginal,
    OperatorDecides,
    OriginalStillThere,
    TwoWriters,
)
from ..engine.ownership.originals import Original, is_living
from .backup_identity import APPLICATION
from .copy.states import PRESENT_STATES
from .engine_messages import format_error, translate_engine_errors

PACE_DAYS = 30  # of which the backups say how quickly a storage fills up


class BackupIdentity(models.AbstractModel):
    _inherit = "backup.identity"

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


def _is_later(said, standing):
    settled = standing.known.settled
    return settled is None or said > settled


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    original_key = fields.Char(
        readonly=True,
        copy=False,
        help="The identity of the database that was said to be the original here.",
    )
    original_at = fields.Datetime(readonly=True, copy=False)
    identity_problem = fields.Text(compute="_compute_identity_problem")
    may_say_original = fields.Boolean(compute="_compute_identity_problem")

    def _said_original(self, present):
        """Return when it was said (aware) that the database ``present`` is the
        original here, None when nobody has, or when the server lends the access by
        now."""
        if self.original_key != present.key or self._is_lent():
            return None
        return self.original_at.replace(tzinfo=timezone.utc)

    @api.depends("provider", "stranger_at", "original_key", "original_at")
    @api.depends_context("lang")
    def _compute_identity_problem(self):
        for storage in self.sudo():
            error = storage.id and storage._identity_error()
            storage.identity_problem = storage._identity_in_words(error)
            storage.may_say_original = bool(error) and not storage._is_lent()

    def _identity_error(self):
        """Return why nothing is deleted here because of who this database is."""
        error = not self.is_foreign and self.env["backup.identity"]._objection(self)
        return error if isinstance(error, (NotOriginal, TwoWriters)) else None

    def _identity_in_words(self, error):
        if not error:
            return False
        days = self._days_until_full()
        full = days is not None and self.env._(
            "Nothing is deleted meanwhile: at the pace of the last days, the storage "
            "is full in %s days.",
            days,
        )
        return "\n".join(filter(None, [format_error(self.env, error), full]))

    def _days_until_full(self):
        """Return for how many days its free space lasts while nothing is deleted;
        None when nobody knows."""
        since = fields.Datetime.now() - timedelta(days=PACE_DAYS)
        mine = [("storage_id", "=", self.id), ("state", "in", PRESENT_STATES)]
        copies = self.env["backup.copy"].search([*mine, ("date", ">=", since)])
        if not (self.free_space and copies):
            return None
        days = max((fields.Datetime.now() - min(copies.mapped("date"))).days, 1)
        return int(self.free_space * days // max(sum(copies.mapped("size")), 1))

    @check_identity
    def action_say_original(self):
        """Let this database be the original here."""
        self.ensure_one()
        self._say_original()
        return True

    def _say_original(self):
        """Write down that this user says so. Raise AccessError without the right
        “Settings”, UserError when it is not his to say."""
        self.check_access("write")
        if not self.env.user.has_group("base.group_system"):
            raise AccessError(
                self.env._(
                    "Only an administrator with the right “Settings” may say which "
                    "database is the original."
                )
            )
        storage = self.sudo()
        with translate_engine_errors(self.env):
            storage._require_to_say()
            present = self.env["backup.identity"]._standing().present
        note = self.env["backup.audit"]._note
        note("original", self, self.original_key or "", present.key)
        now = fields.Datetime.now()
        storage.write({"original_key": present.key, "original_at": now})

    def _require_to_say(self):
        """Raise the EngineError of why nobody may say in this database that it is the
        original here."""
        command = odoo_config.moved_command(self.env.cr.dbname)
        if self._is_lent():
            raise OperatorDecides(storage=self.name, command=command)
        if not self._identity_error():
            raise AlreadyOriginal(storage=self.name)
        self.env["backup.identity"]._require_original_gone()
