"""Where a storage is, and whose that location is: on this server, on the very disk of
the data, or off-site."""

import os
import posixpath

from odoo import api, fields, models

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.errors import EngineError
from ..engine.errors.places import (
    BadOperatorValue,
    PlaceNotEmpty,
    PlaceOfAnother,
    PlaceRaced,
    SamePlace,
    SecretOfOthers,
    SecretWithoutAddress,
)
from ..engine.fileio.mounts import current_mounts, mount_of
from ..engine.outbound import OutboundRules
from ..engine.ownership.locations import Door, GuardedStorage, Guest, Stored, open_to
from ..engine.storages.registry import kinds

NEWEST = 5  # backups, one of which must be there for a location to be recognised


class BackupStorage(models.Model):
    _inherit = "backup.storage"

    caution = fields.Text(
        compute="_compute_caution", help="What this storage cannot protect from."
    )

    place_id = fields.Char(
        readonly=True, copy=False, help="The random id that its location was given."
    )
    operator_fields = fields.Char(
        compute="_compute_operator_fields",
        help="The fields that the server's administrator has set beside a secret.",
    )
    is_shared = fields.Boolean(
        compute="_compute_is_shared",
        help="Several databases keep their backups in its location.",
    )
    was_there = fields.Boolean(
        readonly=True,
        copy=False,
        help="Made before locations had owners; it has not been used since.",
    )

    # === WHOSE THE LOCATION IS === #

    def _register_hook(self):
        """Refuse a kind that the engine does not know, and one with a secret that is
        not in the registry: nothing says where it may be sent."""
        known = {kind.name: kind.fields("secrets") for kind in kinds()}
        for name, _label in self._fields["provider"].selection:
            if name not in known:
                raise TypeError(f"The storage kind {name} is not in the registry")
            for secret in self._secret_names():
                if secret.partition("_")[0] == name and secret not in known[name]:
                    raise TypeError(f"{secret} is no secret of the storage kind {name}")
        return super()._register_hook()

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
        self.sudo().write(values)
        here = [("storage_id", "in", self.ids), ("state", "!=", "deleted")]
        copies = self.env["backup.copy"].sudo().search(here)
        copies.write({"state": "unknown", "verified_at": False})

    def _canonical_address(self):
        """Return what is the same for two storages that are surely in one folder."""
        kind = self._kind()
        host = [
            str(self[name] or "").strip().rstrip("/").lower()
            for name in kind.fields("host")
        ]
        folder = [self._canonical_folder(name) for name in kind.fields("folder")]
        return (*host, *folder)

    def _canonical_folder(self, name):
        folder = str(self[name] or "").strip()
        if name == self._directory_field():
            return os.path.realpath(folder)
        return posixpath.normpath(folder.rstrip("/") or ".")

    def _others(self):
        return (
            self.sudo().with_context(active_test=False).search([("id", "!=", self.id)])
        )

    def _refuse_same_address(self):
        """Raise SamePlace when another storage has this address: an early hint, since
        one folder may have several."""
        mine = self._canonical_address()
        for other in self._others().filtered(lambda one: one.provider == self.provider):
            if other._canonical_address() == mine:
                raise SamePlace(location=self._where(), storage=other.name)

    def _claim(self):
        """Own a new location. Whose it is instead is told by the test."""
        try:
            self._guarded(may_write=True).admit()
        except (PlaceNotEmpty, PlaceOfAnother, PlaceRaced):
            return

    def _guarded(self, may_write):
        storage = self._prepare_storage()

        def enter(purpose):
            return Door(storage, odoo_config.owners(), self._guest()).enter(purpose)

        def is_own(uuid):
            mine = self.env["backup.job"]._current_database_uuid()
            return uuid == mine or uuid in (self.sudo().former_uuids or [])

        return GuardedStorage(storage, enter, is_own, may_write)

    def _guest(self):
        """Return who this database is to a location."""
        storage = self.sudo()
        return Guest(
            identity=self.env["backup.job"]._current_identity(),
            lent=storage._is_lent(),
            known_id=storage.place_id or "",
            newest=storage._newest_here,
            was_there=storage.was_there,
            former=frozenset(storage.former_uuids or []),
            welcome=storage._welcome,
        )

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

    def _sharing_in_words(self):
        return self.env._(
            "Other databases keep backups in the same location. Each of them sees and "
            "deletes only its own. Create a storage with a location of its own for "
            "this database, select it in the plan instead of this one, and keep this "
            "one until its last backup has expired."
        )

    def _is_lent(self):
        """Tell whether the server lends the access, so that its operator decides who
        may use it: it is not by a secret that was typed into this database."""
        secrets, typed = self._own_secret_names(), self.sudo().sealed_secrets or {}
        return any(map(self._has_external_secret, secrets)) or not {*secrets} & {*typed}

    # === SECRETS OF THE OPERATOR === #

    def _own_secret_names(self):
        return self._kind().fields("secrets")

    def _operator_value(self, name):
        external = self.sudo().external_name
        return odoo_config.operator_value(external, name) if external else ""

    def _operator_address(self):
        """Return the values of the address that go with a secret which the server's
        operator keeps for this storage, {} when he keeps none. Where it is sent is
        all his; of the rest, what he gives. Raise PermanentError when he does not say
        where it may be sent, or by which databases."""
        if not any(map(self._has_external_secret, self._own_secret_names())):
            return {}
        self._require_bound()
        kind = self._kind()
        names = kind.fields("host", "folder", "more")
        given = {name: self._operator_value(name) for name in names}
        return {
            name: self._converted(name, value)
            for name, value in given.items()
            if value or name in kind.fields("host")
        }

    def _require_bound(self):
        kind = self._kind()
        needed = kind.field(kind.needed or kind.host[0])
        database, name = self.env.cr.dbname, self.sudo().external_name
        allowed = self._operator_value("databases")
        if not allowed or not self._operator_value(needed):
            names = kind.fields("host", "folder")
            values = {n: self[n] for n in names if self[n]}
            values["databases"] = allowed or database
            lines = odoo_config.operator_lines(name, values)
            raise SecretWithoutAddress(name=name, lines=lines)
        databases = [one.strip() for one in allowed.split(",")]
        if database not in databases:
            both = {"databases": ",".join([*databases, database])}
            lines = odoo_config.operator_lines(name, both)
            raise SecretOfOthers(name=name, database=database, lines=lines)

    def _converted(self, name, value):
        field = self._fields[name]
        if field.type != "integer":
            return value
        try:
            return int(value) if value else field.default(self)
        except ValueError:
            variable = f"DFR_BACKUP_{self.sudo().external_name}_{name}".upper()
            raise BadOperatorValue(variable=variable) from None

    def _at(self, name):
        """Return the value of an address field: the operator's beside his secret."""
        return self._operator_address().get(name, self[name])

    def _outbound_rules(self):
        """Return which addresses the storage may lead to. An address of the operator's
        is allowed by that."""
        if self._operator_address():
            return OutboundRules()
        return odoo_config.outbound_rules()

    def _adopt_operator_address(self):
        """Show what is used."""
        found = self._operator_address()
        vals = {name: value for name, value in found.items() if value != self[name]}
        vals = {name: value for name, value in vals.items() if value or self[name]}
        if vals:
            self.sudo().write(vals)

    @api.depends("provider", "external_name")
    def _compute_operator_fields(self):
        for storage in self:
            try:
                names = storage._operator_address()
            except EngineError:
                names = {}
            storage.operator_fields = ",".join(names)

    def _newest_here(self):
        copies = self.env["backup.copy"].search(
            [
                ("storage_id", "=", self.id),
                ("state", "!=", "deleted"),
                ("sha256", "!=", False),
            ]
        )
        own = copies.filtered("is_ours")[:NEWEST]
        return [Stored(copy.key, copy.sha256) for copy in own]

    def _welcome(self, place_id):
        """Note the id of the location, at the first time."""
        if self.place_id == place_id:
            return
        twin = self._others().filtered(lambda other: other.place_id == place_id)
        if twin:
            raise SamePlace(location=self._where(), storage=twin[0].name)
        values = {"place_id": place_id, "was_there": False}
        self.env["backup.job"]._persist(self, values)

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
        return self._notify_test(*self._test())

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
        mount = mount_of(self._near_directory(), current_mounts())
        return bool(mount and mount.is_network)

    def _directory_field(self):
        """Return the field that is a directory of this server, "" for none."""
        kind = self._kind()
        return kind.field(kind.directory)

    def _is_near(self):
        """Tell whether it is a directory of this server, perhaps a share."""
        return bool(self._kind().directory)

    def _near_directory(self):
        return self[self._directory_field()] or "/"

    def _is_beside_the_data(self):
        """Tell whether it is on the disk of Odoo's data directory."""
        if not self._is_near():
            return False
        mounts = current_mounts()
        paths = self._near_directory(), str(odoo_config.data_root())
        mine, data = (mount_of(path, mounts) for path in paths)
        return bool(mine and data and mine.device == data.device)

    def _depends_on_directories(self):
        folders = {kind.field(kind.directory) for kind in kinds()}
        return ["provider", "is_shared", *sorted(folders & set(self._fields))]

    @api.depends(_depends_on_directories)
    def _compute_caution(self):
        for storage in self:
            shared = storage.is_shared and storage._sharing_in_words()
            found = filter(None, [shared, storage._caution()])
            storage.caution = "\n".join(found) or False

    def _caution(self):
        if self._is_off_site():
            return False
        if self._is_beside_the_data():
            return self.env._(
                "This directory is on the same disk as Odoo's data: when the disk "
                "breaks, both are gone. It helps against a mistake, and is quick to "
                "restore from. Add a storage in another place."
            )
        return self.env._(
            "This directory is on this server: it survives a broken disk, and neither "
            "fire, nor theft, nor an intruder. Add a storage in another place."
        )
