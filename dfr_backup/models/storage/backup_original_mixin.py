"""Who says that this database is the original: the server's operator, for what his
server lends; for a storage whose credentials were typed in here, an administrator with
the right “Settings”, about that storage alone.

What is said of a storage stands in the database, and names the identity that it was
said for: in a copy of the database it says nothing.
"""

from odoo import api, fields, models
from odoo.exceptions import AccessError

from odoo.addons.base.models.res_users import check_identity

from ... import odoo_config
from ...engine.errors.identity import (
    AlreadyOriginal,
    NotOriginal,
    OperatorDecides,
    TwoWriters,
)
from ..engine_messages import format_error, translate_engine_errors
from ..moments import from_odoo_datetime


class BackupOriginalMixin(models.AbstractModel):
    """A location in which backups are stored in the name of a database, of which there
    may be copies."""

    _name = "backup.original.mixin"
    _description = "Record Where One Database Is the Original"

    stranger_key = fields.Char(
        "Unknown Backup",
        readonly=True,
        copy=False,
        help="A backup stored here in the name of this database, by a run that it "
        "does not know.",
    )
    stranger_at = fields.Datetime("Unknown Backup Seen", readonly=True, copy=False)
    last_look = fields.Datetime(readonly=True, copy=False)
    original_key = fields.Char(
        "Identity of the Original",
        readonly=True,
        copy=False,
        help="The identity of the database that was said to be the original here.",
    )
    original_at = fields.Datetime(readonly=True, copy=False)
    identity_problem = fields.Text(compute="_compute_identity_problem")
    may_say_original = fields.Boolean(
        "May Name the Original", compute="_compute_identity_problem"
    )

    def _has_stranger(self, settled):
        """Tell whether somebody else stores here in our name, and nobody has said
        since (``settled``, aware) which database is the original."""
        if not self.stranger_at:
            return False
        return not settled or from_odoo_datetime(self.stranger_at) > settled

    def _was_looked_at(self, since):
        """Tell whether somebody has looked for strangers here after ``since``."""
        return bool(self.last_look) and since <= self.last_look <= fields.Datetime.now()

    def _said_original(self, present):
        """Return when it was said (aware) that the database ``present`` is the
        original here, None when nobody has, or when the server lends the access by
        now."""
        if self.original_key != present.key or self._is_lent():
            return None
        return from_odoo_datetime(self.original_at)

    @api.depends("provider", "stranger_at", "original_key", "original_at")
    @api.depends_context("lang")
    def _compute_identity_problem(self):
        storages = self.sudo()
        errors = {
            storage: storage.id and identity_error(storage) for storage in storages
        }
        stuck = storages.filtered(errors.get)
        full_in = self.env["backup.overview"]._full_in(stuck)
        for storage, error in errors.items():
            told = _identity_in_words(storage, error, full_in.get(storage))
            storage.identity_problem = told
            storage.may_say_original = bool(error) and not storage._is_lent()

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
            _require_to_say(storage)
            present = self.env["backup.identity"]._standing().present
        note = self.env["backup.audit"]._note
        note("original", self, self.original_key or "", present.key)
        now = fields.Datetime.now()
        storage.write({"original_key": present.key, "original_at": now})


def _identity_in_words(storage, error, days):
    if not error:
        return False
    full = days is not None and storage.env._(
        "Nothing is deleted meanwhile: at the current rate, the storage will be full "
        "in %s days.",
        days,
    )
    return "\n".join(filter(None, [format_error(storage.env, error), full]))


def _require_to_say(storage):
    """Raise the EngineError of why nobody may say in this database that it is the
    original here."""
    command = odoo_config.moved_command(storage.env.cr.dbname)
    if storage._is_lent():
        raise OperatorDecides(storage=storage.name, command=command)
    if not identity_error(storage):
        raise AlreadyOriginal(storage=storage.name)
    storage.env["backup.identity"]._require_original_gone()


def identity_error(storage):
    """Return why nothing is deleted here because of who this database is."""
    error = not storage.is_foreign and storage.env["backup.identity"]._objection(
        storage
    )
    return error if isinstance(error, (NotOriginal, TwoWriters)) else None
