"""Where a storage is, and whose that location is: on this server, on the very disk of
the data, or off-site."""

from odoo import api, fields, models

from odoo.addons.base.models.res_users import check_identity

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.fileio.mounts import current_mounts, mount_of
from ...engine.outbound import OutboundRules
from ...engine.ownership.guarded import GuardedStorage
from ...engine.ownership.locations import Door, open_to
from ...engine.storages.registry import kinds
from ..engine_messages import format_error
from .form import show_test
from .location import guest_of, near_directory, sharing_in_words, warning_of
from .operator_values import (
    address_of,
    changes,
    follows_profile,
    make_folder,
    own_secret_names,
    set_fields,
)


def _depends_on_directories(storages):
    folders = {kind.field(kind.directory) for kind in kinds()}
    return ["provider", "is_shared", *sorted(folders & set(storages._fields))]


class BackupLocationMixin(models.AbstractModel):
    """A location may belong to another database, or be lent by the server's operator:
    who may use it is asked before anything is sent there."""

    _name = "backup.location.mixin"
    _description = "Record at a Location That Has an Owner"

    warnings = fields.Text(
        compute="_compute_warnings", help="What this storage cannot protect from."
    )

    place_id = fields.Char(
        readonly=True, copy=False, help="The random id that its location was given."
    )
    operator_fields = fields.Char(
        compute="_compute_operator_fields",
        help="The fields that the server's administrator has set beside a secret.",
    )
    in_profile = fields.Boolean(
        string="Set by the Server",
        readonly=True,
        copy=False,
        help="A file of the server's administrator says where this storage is. "
        "Changes to that file apply automatically.",
    )
    profile_problem = fields.Text(compute="_compute_operator_fields")
    folder_names = fields.Json(
        readonly=True,
        copy=False,
        help="What stands for this database in the name of its folder.",
    )
    is_shared = fields.Boolean(
        compute="_compute_is_shared",
        help="Several databases keep their backups in its location.",
    )
    was_there = fields.Boolean(
        "Created Without an Owner",
        readonly=True,
        copy=False,
        help="Created before storages noted their database, and not used since.",
    )

    # === WHOSE THE LOCATION IS === #

    def _leave_address(self, vals):
        """Prepare for another address in ``vals``: it is another location, the stored
        copies are not known to be there, and whoever may choose where a storage leads
        must not get its stored secrets there."""
        for storage in self:
            both = {storage.provider, vals.get("provider", storage.provider)}
            changed = {n for n in vals if n in self._fields and vals[n] != storage[n]}
            hosts = {name for kind in kinds() for name in kind.fields("host")}
            if changed & hosts:
                storage.sudo().sealed_secrets = False
            known = [kind for kind in kinds() if kind.name in both]
            here = {n for kind in known for n in kind.fields("host", "folder")}
            if changed & {"provider", *here}:
                storage._forget_location()

    def _forget_location(self):
        """Take it for another location, which the next scan looks at."""
        values = {"place_id": False, "was_there": False, "listed_at": False}
        # of another bucket, nobody has confirmed its rules
        self.sudo().write({**values, "rules_confirmed": False})
        here = [("storage_id", "in", self.ids), ("state", "!=", "deleted")]
        copies = self.env["backup.copy"].sudo().search(here)
        copies.write({"state": "unknown", "verified_at": False})

    def _guarded(self, may_write):
        self._adopt_operator_address()
        storage = self._prepare_storage()
        is_new = self.in_profile and not (self.place_id or self._is_near())

        def enter(purpose):
            if is_new and may_write:  # nobody presses a button in each database
                storage.prepare()
            return Door(storage, odoo_config.owners(), guest_of(self)).enter(purpose)

        def is_own(uuid):
            mine = self.env["backup.job"]._current_database_uuid()
            return uuid == mine or uuid in (self.sudo().former_uuids or [])

        return GuardedStorage(storage, enter, is_own, may_write)

    @api.depends("place_id")
    def _compute_is_shared(self):
        mine = self.env["backup.job"]._current_identity()
        owners = odoo_config.owners()
        for storage in self:
            try:
                record = storage.place_id and owners.find(storage.place_id)
            except EngineError:  # what uses the storage says that
                record = None
            storage.is_shared = bool(record and record.is_shared_for(mine))

    def _is_lent(self):
        """Tell whether the server lends the access, so that its operator decides who
        may use it: it is not by a secret that was typed into this database."""
        secrets, typed = own_secret_names(self), self.sudo().sealed_secrets or {}
        if self.in_profile and follows_profile(self):
            return True
        return any(map(self._has_external_secret, secrets)) or not {*secrets} & {*typed}

    # === WHAT THE OPERATOR SAYS === #

    def _operator_address(self):
        """Return what the server's operator says of this storage, by the names of
        fields, {} when nothing: all of it, when his profile has it; else the address
        that goes with a secret of his. Where that is sent is all his; of the rest, what
        he gives. Raise PermanentError when it may not be used."""
        return address_of(self)

    def _at(self, name):
        """Return the value of a field: the operator's where he says one."""
        return self._operator_address().get(name, self[name])

    def _outbound_rules(self):
        """Return which addresses the storage may lead to. An address of the operator's
        is allowed by that."""
        if self._operator_address():
            return OutboundRules()
        return odoo_config.outbound_rules()

    def _adopt_operator_address(self):
        """Take over what the operator has changed since: it is shown, and another
        address is another location. Raise EngineError."""
        storage = self.sudo()
        vals = changes(storage)
        if not vals:
            return
        if set(vals) & set(storage._kind().fields("folder")):
            make_folder(storage)
        storage._leave_address(vals)
        # pylint: disable-next=super-method-mismatch
        super(BackupLocationMixin, storage).write(vals)  # he asks nobody

    @api.depends("provider", "external_name", "in_profile")
    @api.depends_context("lang")
    def _compute_operator_fields(self):
        for storage in self:
            names, problem = {}, False
            try:
                names = storage._operator_address()
            except EngineError as error:
                problem = storage.in_profile and format_error(self.env, error)
            if storage.in_profile:
                names = sorted(set_fields(storage))
            storage.operator_fields = ",".join(names)
            storage.profile_problem = problem

    def _let_in(self):
        """Let this database use the location, as the server's operator wishes."""
        identity = self.env["backup.job"]._current_identity()
        open_to(self._prepare_storage(), odoo_config.owners(), identity)
        self.sudo().write({"place_id": False, "was_there": False})

    @check_identity
    def action_use_location(self):
        """Use what is at the address now, although it is not what was there."""
        self.ensure_one()
        self.check_access("write")
        known = self.sudo().place_id or ""
        self.env["backup.audit"]._note("location", self, known, self._where())
        self._forget_location()
        return show_test(self, *self._test())

    def copy_data(self, default=None):
        """A duplicate is in a folder of its own."""
        found = super().copy_data(default)
        for storage, vals in zip(self, found, strict=True):
            folder = storage._kind().fields("folder")[-1:]
            for name in set(folder) - set(default or {}):
                vals[name] = f"{(storage[name] or '').rstrip('/')}-2".lstrip("-")
        return found

    # === WHAT IT PROTECTS FROM === #

    def _is_off_site(self):
        """Tell whether the storage survives the loss of this server."""
        if not self._is_near():
            return True
        mount = mount_of(near_directory(self), current_mounts())
        return bool(mount and mount.is_network)

    def _is_near(self):
        """Tell whether it is a directory of this server, perhaps a share."""
        return bool(self._kind().directory)

    def _is_beside_the_data(self):
        """Tell whether it is on the disk of Odoo's data directory."""
        if not self._is_near():
            return False
        mounts = current_mounts()
        paths = near_directory(self), str(odoo_config.data_root())
        mine, data = (mount_of(path, mounts) for path in paths)
        return bool(mine and data and mine.device == data.device)

    @api.depends(_depends_on_directories)
    def _compute_warnings(self):
        for storage in self:
            shared = storage.is_shared and sharing_in_words(storage)
            found = filter(None, [shared, warning_of(storage)])
            storage.warnings = "\n".join(found) or False
