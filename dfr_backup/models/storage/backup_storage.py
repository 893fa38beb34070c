import re
from functools import partial

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.errors.storage import ReadOnlyStorage
from ...engine.retry import RetryPolicy
from ...engine.storages.base import TransferLimits
from ...engine.storages.registry import kind_of, kinds
from ...runs.scan import ScanRun
from ..actions import form_action, notification
from ..backup_audit import asks_password
from ..copy.states import PRESENT_STATES
from ..engine_messages import (
    MessageChar,
    MessageText,
    translate,
    translate_engine_errors,
)
from ..free_space import columns_of_space
from . import audited, pruning, setup
from .form import columns_of_probe, columns_of_test, propose_name, show_test
from .health import STATES, health_of, search_health
from .location import claim, refuse_same_address
from .operator_values import has_secret, refuse_set_fields, secret_of

KIB = 1024


class RecordSettings:
    """The ``Settings`` of a record."""

    server = odoo_config

    def __init__(self, storage):
        self._storage = storage
        self._kind = storage._kind()
        self.limits = limits_of(storage)

    def value(self, name):
        value = self._storage._at(self._kind.field(name))
        return "" if value is False else value

    def secret(self, name):
        return self._storage._read_secret(self._kind.field(name))


class BackupStorage(models.Model):
    _name = "backup.storage"
    _inherit = [
        "backup.empty.mixin",
        "backup.location.mixin",
        "backup.original.mixin",
        "backup.readonly.mixin",
        "backup.secret.mixin",
        "backup.retention.mixin",
        "backup.audit.mixin",
    ]
    _description = "Backup Storage"
    _order = "sequence, id"

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    sequence = fields.Integer(default=10)
    provider = fields.Selection(
        [("local", "Local directory")], required=True, default="local", string="Kind"
    )
    local_path = fields.Char(
        string="Directory",
        help="An absolute path on the Odoo server: a disk of its own, or a mounted "
        "network "
        "share. It must be below dfr_backup/backups in the data directory, "
        "/var/backups, /mnt, "
        "/media, /srv, or a directory that odoo.conf names in dfr_backup_local_roots.",
    )
    local_roots = fields.Char(
        string="Allowed Directories", compute="_compute_local_roots"
    )
    timeout = fields.Integer(
        default=60,
        help="Seconds without a response before the storage counts as unreachable.",
    )
    bandwidth = fields.Integer(help="In KiB per second, for uploads. 0: no limit.")
    retry_minutes = fields.Integer(
        string="Retry for",
        default=15,
        help="Minutes without progress before an upload fails; the pauses between "
        "attempts grow.",
    )
    own_retention = fields.Boolean(
        string="Custom Retention",
        help="How long backups are kept here, instead of what the plan says.",
    )
    external_name = fields.Char(
        string="Environment Variable Prefix",
        copy=False,
        groups="base.group_system",
        help="With “OFFSITE” here, the secrets of this storage are looked for on the "
        "server "
        "first: in environment variables such as DFR_BACKUP_OFFSITE_S3_SECRET_KEY, or "
        "in "
        "odoo.conf as dfr_backup_offsite_s3_secret_key.",
    )
    owner_uuid = fields.Char(
        default=lambda self: self.env["backup.job"]._current_database_uuid(),
        readonly=True,
        copy=False,
        help="The identity of the database that may write and delete here.",
    )
    former_uuids = fields.Json(readonly=True, copy=False)
    is_foreign = fields.Boolean(compute="_compute_is_foreign", string="Read-only")
    copy_ids = fields.One2many("backup.copy", "storage_id", string="Copies")
    copy_count = fields.Integer(compute="_compute_copies")
    lost_count = fields.Integer(
        "Lost Backups",
        compute="_compute_copies",
        help="Backups that are missing from the storage. While they are not given up, "
        "no prune deletes anything.",
    )
    copy_size = fields.Float(compute="_compute_copies", string="Stored Bytes")
    last_test = fields.Datetime(readonly=True, copy=False)
    last_test_error = MessageChar(
        values_field="last_test_values", readonly=True, copy=False
    )
    last_test_error_code = fields.Char(readonly=True, copy=False)
    last_test_notes = MessageText(
        values_field="last_test_values", readonly=True, copy=False
    )
    last_test_values = fields.Json(readonly=True, copy=False)
    prepared_at = fields.Datetime(
        readonly=True,
        copy=False,
        help="Since then its directory is expected to be there: one that is missing "
        "is a disk or a share that is not mounted.",
    )
    can_delete = fields.Boolean(default=True, readonly=True, copy=False)
    can_list = fields.Boolean(default=True, readonly=True, copy=False)
    takes_away = fields.Boolean(
        "Deletes Old Objects",
        readonly=True,
        copy=False,
        help="It deletes by itself what is old, or moves it to an archive.",
    )
    expires_days = fields.Integer(
        readonly=True,
        copy=False,
        help="The storage deletes objects after this many days. 0: never.",
    )
    rules_unknown = fields.Boolean(
        "Lifecycle Rules Unknown",
        readonly=True,
        copy=False,
        help="It does not tell whether it deletes or moves objects by itself.",
    )
    rules_confirmed = fields.Boolean(
        "No lifecycle rule deletes or moves objects",
        copy=False,
        help="The storage does not tell its rules. Look at the bucket: without your "
        "confirmation, backups there are complete.",
    )
    locks_by_default = fields.Boolean(
        "Locks Every Object",
        readonly=True,
        copy=False,
        help="The bucket has a default retention.",
    )
    lock_refused = fields.Boolean(
        readonly=True,
        copy=False,
        help="It did not extend an Object Lock when it was last asked: its backups are "
        "complete until it is tested again.",
    )
    rewrite_packs = fields.Boolean(
        "Rewrite at the Next Backup",
        copy=False,
        help="The next incremental backup stores again what it needs of packs of which "
        "a part is no longer needed, or that are small.",
    )
    free_space = fields.Float(digits=(20, 0), readonly=True, copy=False)
    space_at = fields.Datetime("Free Space As Of", readonly=True, copy=False)
    health = fields.Selection(
        STATES, compute="_compute_health", search=search_health, string="State"
    )
    health_at = fields.Datetime(compute="_compute_health", string="Last Used")
    last_scan = fields.Datetime(readonly=True, copy=False)
    listed_at = fields.Datetime(readonly=True, copy=False)
    pruned_at = fields.Datetime("Last Prune", readonly=True, copy=False)
    packs_size = fields.Float(
        "Attachments",
        digits=(20, 0),
        readonly=True,
        copy=False,
        help="In bytes: the packs of attachments that incremental backups share, as "
        "they were last listed.",
    )
    unneeded_packs = fields.Integer(
        readonly=True,
        copy=False,
        help="Packs of attachments that no backup needed at the last prune. They "
        "are deleted two days and two verified backups after they were "
        "marked for deletion.",
    )
    unneeded_size = fields.Float(
        "No Longer Needed", digits=(20, 0), readonly=True, copy=False, help="In bytes."
    )

    _limits_positive = models.Constraint(
        "CHECK (timeout > 0 AND bandwidth >= 0 AND retry_minutes >= 0)",
        "The timeout must be at least one second, and the other limits cannot be "
        "negative.",
    )

    @api.depends("copy_ids.state", "copy_ids.size")
    def _compute_copies(self):
        groups = self.env["backup.copy"]._read_group(
            [("storage_id", "in", self.ids), ("state", "in", PRESENT_STATES)],
            ["storage_id"],
            ["__count", "size:sum"],
        )
        found = {storage.id: (count, size) for storage, count, size in groups}
        lost = pruning.count_lost(self)
        for storage in self:
            storage.copy_count, storage.copy_size = found.get(storage.id, (0, 0))
            storage.lost_count = lost.get(storage.id, 0)

    @api.depends("copy_ids.state", "last_test", "last_test_error", "owner_uuid")
    def _compute_health(self):
        found = health_of(self)
        for storage in self:
            storage.health = found[storage]["state"]
            storage.health_at = found[storage]["at"]

    @api.depends("owner_uuid")
    def _compute_is_foreign(self):
        mine = self.env["backup.job"]._current_database_uuid()
        for storage in self:
            storage.is_foreign = bool(storage.owner_uuid) and storage.owner_uuid != mine

    @api.depends("provider")
    def _compute_local_roots(self):
        roots = ", ".join(map(str, odoo_config.local_rules().allowed))
        for storage in self:
            storage.local_roots = storage._is_near() and roots

    @api.onchange("local_path")
    def _onchange_local_path(self):
        propose_name(self, self.local_path)

    @api.constrains("external_name")
    def _check_external_name(self):
        for storage in self.filtered("external_name"):
            if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,39}", storage.external_name):
                raise ValidationError(
                    self.env._(
                        "The environment variable prefix may have capital letters, "
                        "digits and “_”."
                    )
                )

    @api.model_create_multi
    def create(self, vals_list):
        storages = super().create(vals_list)
        storages._configured()
        for storage in storages:  # as by a change of one that confirms nothing
            storage._note_weakened({"lifecycle": ""}, {"lifecycle": ""})
        return storages

    def write(self, vals):
        if vals.get("active") is False:
            _refuse_used(self)
        refuse_set_fields(self, vals)
        self._leave_address(vals)
        result = super().write(vals)
        if any(_is_configuration(name) for name in vals):
            self._configured()
        return result

    def _configured(self):
        """Refuse what cannot be right, once all is written: secrets come after the
        rest.

        A directory of this server is made now; what is far away, when it is tested.
        """
        for storage in self:
            _ask(storage, storage._adopt_operator_address)
            target = storage._get_storage(ValidationError)
            _ask(storage, target.require)
            if storage.sudo().place_id:
                continue  # it is where it was
            _ask(storage, partial(refuse_same_address, storage))
            if storage._is_near():
                _ask(storage, target.prepare)
                _ask(storage, partial(claim, storage))
            storage.sudo().prepared_at = False

    @api.ondelete(at_uninstall=False)
    def _unlink_except_used(self):
        if self.copy_ids.filtered(lambda copy: copy.state in PRESENT_STATES):
            raise UserError(
                self.env._(
                    "This storage still holds backups. Archive it instead: the backups "
                    "stay where they are, and the history still shows where."
                )
            )
        _refuse_used(self.with_context(active_test=False))
        steps = self.env["backup.step"].sudo()
        if self.copy_ids or steps.search_count(
            [("storage_id", "in", self.ids)], limit=1
        ):
            raise UserError(
                self.env._(
                    "This storage has a history of runs and backups, although it is "
                    "empty now. Archive it instead: it then disappears from all "
                    "lists, and the history stays as it was."
                )
            )

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

    # === THE ENGINE'S SIDE === #

    def _kind(self):
        """Return what the engine knows of the storage's kind."""
        return kind_of(self.provider or "local")

    def _prepare_storage(self):
        """Return the engine storage of this record. Raise PermanentError."""
        self.ensure_one()
        return self._kind().engine.from_settings(RecordSettings(self))

    def _where(self):
        """Return where the storage is, in words that a person can use."""
        try:
            return self._prepare_storage().location("")
        except EngineError as error:
            return translate(self.env, error.message)

    def _get_storage(self, error_class=None):
        """Return the engine storage, to read in it. Raise ``error_class`` instead of
        an engine error if given. Its first use raises an error of ``errors.places``
        when the location belongs to another database."""
        if error_class is None:
            return self._guarded(may_write=False)
        with translate_engine_errors(self.env, error_class):
            return self._guarded(may_write=False)

    def _get_own_storage(self):
        """Return the engine storage, to write or delete in it. Raise PermanentError
        when it belongs to the database that this one is a copy of."""
        if self.is_foreign:
            raise ReadOnlyStorage(storage=self.name)
        return self._guarded(may_write=True)

    def _lock_days(self):
        """Return for how many days what is stored cannot be deleted."""
        return 0

    def _owns(self, uuid, key):
        """Tell whether a backup here is one of this database, or of one that it has
        taken over this storage from, given the uuid and the identity (its key) that the
        backup carries."""
        identities = self.env["backup.identity"]
        mine = self.env["backup.job"]._current_database_uuid()
        if uuid != mine:
            return uuid in (self.former_uuids or [])
        return identities._is_own(uuid, key, self)

    def _external_secret(self, name):
        secret = secret_of(self, name)
        if secret:
            self._operator_address()  # raises when it may not be sent there
        return secret

    def _has_external_secret(self, name):
        return has_secret(self, name)

    # === BUTTONS === #

    def action_test(self):
        """Write, read back, list and delete a probe, and say in words what fails."""
        self.ensure_one()
        self.check_access("write")
        return show_test(self, *self._test())

    def _test(self):
        """Try the storage, and write down how that went; return the error or None,
        and what the probe found or None."""
        error, found, space = None, None, None
        try:
            storage = self._get_own_storage()
            if not (self.prepared_at or self.copy_ids):
                storage.prepare()
                self.sudo().place_id = False  # nothing is there yet
            found = storage.probe()
            space = storage.free_space()
        except EngineError as failure:
            error = failure
        now = fields.Datetime.now()
        self.sudo().write(
            {
                "last_test": now,
                **columns_of_test(error, found),
                **(columns_of_probe(self, found) if found else {}),
                **columns_of_space(space, now),
                "prepared_at": self.prepared_at or (found and now),
            }
        )
        return error, found

    def _must_answer(self):
        """Tell whether somebody has to trust something before the storage can be
        tried; it is offered then."""
        kind = self._kind()
        if not kind.trusted or self._at(kind.field(kind.trusted)):
            return False
        self._offer_what_to_trust()
        return True

    def _offer_what_to_trust(self):
        """Let a form show what its kind names as ``trusted``."""

    def action_use_in_setup(self):
        """Try this storage, and go on with the set-up when it works."""
        self.ensure_one()
        self.check_access("write")
        return setup.use(self)

    @asks_password
    def _send_backups_to(self):
        """Let the plan of the set-up be the first that sends backups there."""
        return setup.join(self)

    def action_scan(self):
        """Rebuild the catalogue of this storage from what it holds."""
        self.env["backup.job"]._check_manager()
        steps = ScanRun.planned(storages=self)
        jobs = self.env["backup.job"].sudo()
        return form_action(jobs._create_run("scan", steps, "manual")._start())

    def action_prune(self):
        """Delete what no backup needs any more of what incremental backups share."""
        self.env["backup.job"]._check_manager()
        return form_action(pruning.request(self, "manual"))

    def action_ask_prune(self):
        """Show what a prune would delete, before it does."""
        self.env["backup.job"]._check_manager()
        self.ensure_one()
        return self.env["backup.prune.wizard"]._open(self)

    def action_rewrite(self):
        """Let the next incremental backup make packs anew of which a part is no longer
        needed."""
        self.env["backup.job"]._check_manager()
        self.sudo().rewrite_packs = True
        return notification(
            self.env._("The next incremental backup rewrites the packs."),
            self.env._(
                "The old ones are deleted by later prunes, once no backup that is kept "
                "needs them."
            ),
            "success",
        )

    @asks_password
    def action_give_up_lost(self):
        """Let backups that are no longer in the storage, though nobody has deleted
        them, stop no prune any more."""
        self.env["backup.job"]._check_manager()
        gone = self.env["backup.copy"]
        with translate_engine_errors(self.env):
            for storage in self:
                gone += pruning.give_up_lost(storage.sudo())
        self.invalidate_recordset(["lost_count"])
        left, text = sum(self.mapped("lost_count")), ""
        if left:
            text = self.env._(
                "%s other backups still have files in the storage: scan it, or delete "
                "them in Copies.",
                left,
            )
        title = self.env._("Lost backups that were given up: %s", len(gone))
        return notification(title, text, "warning" if left else "success")

    @asks_password
    def action_take_over(self):
        """Let this database write and delete here: it takes the place of the
        original."""
        self.check_access("write")
        mine = self.env["backup.job"]._current_database_uuid()
        for storage in self.filtered("is_foreign"):
            with translate_engine_errors(self.env):
                self.env["backup.identity"]._require_gone(storage.sudo())
            self.env["backup.audit"]._note(
                "takeover", storage, storage.owner_uuid, mine
            )
            former = {*(storage.former_uuids or []), storage.owner_uuid}
            storage.sudo().write({"former_uuids": sorted(former), "owner_uuid": mine})
        return True

    def action_view_copies(self):
        """Open what this storage holds."""
        self.ensure_one()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_copy_action"
        )
        return {**action, "domain": [("storage_id", "=", self.id)]}

    # === AUDIT === #

    def _audited_fields(self):
        return audited.fields()

    def _audited(self):
        return audited.texts(self.sudo())

    def _guarded_values(self):
        return audited.values(self.sudo())

    def _weakens(self, action, before):
        after = self._guarded_values()[action]
        return audited.weakens(action, before, after)


def limits_of(storage):
    """Return the ``TransferLimits`` of a storage."""
    return TransferLimits(
        storage._at("bandwidth") * KIB,
        storage._at("timeout"),
        storage._outbound_rules(),
        RetryPolicy(patience=storage._at("retry_minutes") * 60),
    )


def _ask(storage, method):
    """Call a method of the engine for somebody who looks at a form."""
    with translate_engine_errors(storage.env):
        method()


def _refuse_used(storages):
    plans = storages.env["backup.plan"].search([("storage_ids", "in", storages.ids)])
    if plans:
        raise UserError(
            storages.env._(
                "The plan “%s” stores into it. Choose another storage there first.",
                plans[0].name,
            )
        )


def _is_configuration(name):
    """Tell whether a field says how a storage is reached: its name begins with
    its kind."""
    names = {kind.name for kind in kinds()}
    return name.partition("_")[0] in names or name in ("provider", "external_name")
