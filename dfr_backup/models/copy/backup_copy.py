import logging
from datetime import timedelta

from babel.dates import format_timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import babel_locale_parse, get_lang

from odoo.addons.base.models.res_users import check_identity

from ... import odoo_config
from ...engine.catalog.catalogued import Catalogued, require_catalogued
from ...engine.catalog.facts import catalogue_facts
from ...engine.errors import EngineError
from ...engine.errors.trust import NotTrusted
from ...engine.identity import Identity
from ...engine.manifest.model import Manifest
from ...engine.manifest.signature import HERE
from ...engine.policy.retention import Copy
from ...engine.progress import Progress
from ...runs.drill import DrillRun
from ...runs.restore import RestoreRun
from ...runs.verify import VerifyRun
from ..actions import form_action
from ..backup_audit import asks_password
from ..engine_messages import format_error, translate, translate_engine_errors
from ..grants import granted, remember_opened
from ..moments import from_odoo_datetime, in_words
from .adoption import adopt_copies
from .backup_backup import FACTS
from .copy_name import name_of
from .counting import last_good_by_plan
from .deleting import delete_stored, note_fates, tell_undeleted
from .downloading import SCOPE, download
from .needs import packs_in_words
from .opening import identities_of, key_of, looked_into
from .states import CLOCK_TOLERANCE, MANIFEST_FACTS, PRESENT_STATES

_logger = logging.getLogger(__name__)

SEEN_DAYS = 7  # after which nobody knows whether a copy still exists


class BackupCopy(models.Model):
    _name = "backup.copy"
    _inherit = ["backup.record.mixin", "backup.empty.mixin"]
    _description = "Backup Copy"
    _order = "date desc, id desc"
    _rec_name = "key"

    backup_id = fields.Many2one(
        "backup.backup", required=True, ondelete="restrict", index=True, readonly=True
    )
    # what follows from the backup is stored where lists and searches need it
    job_id = fields.Many2one(
        related="backup_id.job_id", store=True, index=True, ondelete="restrict"
    )
    plan_id = fields.Many2one(
        "backup.plan", ondelete="restrict", index=True, readonly=True
    )
    storage_id = fields.Many2one(
        "backup.storage", required=True, ondelete="restrict", index=True, readonly=True
    )
    key = fields.Char(string="Name", required=True, readonly=True)
    location = fields.Char(compute="_compute_location", help="Where the archive is.")
    age = fields.Char(compute="_compute_age")
    date = fields.Datetime(related="backup_id.date", store=True)
    size = fields.Float(related="backup_id.size", store=True)
    sha256 = fields.Char(related="backup_id.sha256", store=True)
    incremental = fields.Boolean(
        readonly=True, help="Its attachments are in packs, which others share."
    )
    packs = fields.Integer(readonly=True, help="Number of packs this copy needs.")
    packs_in_words = fields.Char("Packs Needed", compute="_compute_packs_in_words")
    packed_size = fields.Float(
        "Attachments in Packs", digits=(20, 0), readonly=True, help="In bytes."
    )
    new_size = fields.Float(
        "New in Packs",
        digits=(20, 0),
        readonly=True,
        help="The bytes that its run has stored of them; the others were there.",
    )
    manifest_size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    manifest_sha256 = fields.Char("SHA-256 of the Manifest", readonly=True)
    signature = fields.Selection(
        [
            ("ours", "Signed by this database"),
            ("here", "Signed by another database of this server"),
            ("elsewhere", "Signed by another server"),
            ("unsigned", "Not signed"),
            ("wrong", "Wrong signature"),
        ],
        readonly=True,
        help="Who has signed the manifest beside the archive.",
    )
    contents = fields.Char(related="backup_id.contents", store=True)
    contents_in_words = fields.Char(related="backup_id.contents_in_words")
    complete = fields.Boolean(related="backup_id.complete", store=True)
    encrypted = fields.Boolean(related="backup_id.encrypted", store=True)
    database = fields.Char(related="backup_id.database", store=True)
    database_uuid = fields.Char(
        related="backup_id.database_uuid", store=True, index=True
    )
    identity = fields.Char(related="backup_id.identity", store=True)
    is_ours = fields.Boolean(
        compute="_compute_is_ours",
        help="Made or imported by this database.",
    )
    origin = fields.Selection(related="backup_id.origin", store=True)
    imported_by = fields.Char(related="backup_id.imported_by", store=True)
    odoo_version = fields.Char(related="backup_id.odoo_version", store=True)
    state = fields.Selection(
        [
            ("stored", "Stored"),
            ("verified", "Verified"),
            ("damaged", "Damaged"),
            ("missing", "Missing"),
            ("unknown", "Unknown"),
            ("deleted", "Deleted"),
        ],
        required=True,
        default="stored",
        readonly=True,
        index=True,
    )
    deletion_reason = fields.Selection(
        [
            ("retention", "Retention rules"),
            ("user", "Deleted by a user"),
            ("verification", "Verification failed, removed by its run"),
            ("run", "Run cancelled or restarted"),
            ("lost", "Lost from the storage and given up"),
        ],
        readonly=True,
        help="Why it was deleted.",
    )
    verified_at = fields.Datetime(readonly=True)
    expires_at = fields.Datetime(
        "Kept Until",
        compute="_compute_expires_at",
        help="When the plan's rules will no longer keep it, if backups continue "
        "as they do now.",
    )
    kept_because = fields.Char("Reason Kept", compute="_compute_expires_at")
    proven_at = fields.Datetime("Restore Test Passed", readonly=True)
    proven_seconds = fields.Float("Restore Duration", readonly=True)
    protected = fields.Boolean(readonly=True, help="Never deleted by retention.")

    trust_id = fields.Many2one(
        "backup.trust", string="Trusted by", compute="_compute_trust"
    )
    is_trusted = fields.Boolean(
        "Trusted",
        compute="_compute_trust",
        help="Made by a run of this database, signed by it, or trusted by an "
        "administrator.",
    )
    seen_at = fields.Datetime(
        "Last Seen",
        readonly=True,
        default=fields.Datetime.now,
        help="When its storage last said that it is there. After seven days without, "
        "it does not count.",
    )

    _storage_key_uniq = models.UniqueIndex(
        "(storage_id, key) WHERE state != 'deleted'",
        "This storage already has an archive with this name.",
    )

    def init(self):
        adopt_copies(self.env.cr)

    @api.model_create_multi
    def create(self, vals_list):
        """Each copy is one of a backup: of that which has the same facts, else of a
        new one."""
        self.check_access("create")  # before a backup is made for it
        backups = self.env["backup.backup"].sudo()
        filled = []
        for vals in vals_list:
            facts = {name: vals[name] for name in FACTS if name in vals}
            if facts or not vals.get("backup_id"):
                backup = backups._find_or_create({"name": vals.get("key"), **facts})
                vals = {**vals, "backup_id": backup.id}
            filled.append(vals)
        return super().create(filled)

    def write(self, vals):
        done = super().write(vals)
        if vals.keys() & {"key", *FACTS}:
            for copy in self.sudo():
                copy.env["backup.backup"]._settle(copy)
        return done

    def unlink(self):
        backups = self.backup_id
        done = super().unlink()
        backups.sudo()._drop_empty()
        return done

    @api.depends("key", "storage_id")
    def _compute_location(self):
        for copy in self:
            try:
                copy.location = copy.storage_id.sudo()._get_storage().location(copy.key)
            except EngineError as error:
                copy.location = translate(self.env, error.message)

    @api.depends("incremental", "packs", "state")
    @api.depends_context("lang")
    def _compute_packs_in_words(self):
        for copy in self:
            copy.packs_in_words = packs_in_words(copy)

    @api.depends("date")
    def _compute_age(self):
        now, locale = fields.Datetime.now(), babel_locale_parse(get_lang(self.env).code)
        for copy in self:
            copy.age = copy.date and format_timedelta(now - copy.date, locale=locale)

    @api.depends(
        "database_uuid",
        "identity",
        "imported_by",
        "storage_id.former_uuids",
        "storage_id.original_key",
    )
    def _compute_is_ours(self):
        for (storage, *owner), copies in self.grouped(
            lambda copy: (copy.storage_id, *copy._owner())
        ).items():
            copies.is_ours = storage.sudo()._owns(*owner)

    @api.depends("state", "protected", "date")
    @api.depends_context("lang")
    def _compute_expires_at(self):
        note_fates(self)

    @api.depends("key", "date", "storage_id.name")
    @api.depends_context("lang", "tz")
    def _compute_display_name(self):
        for copy in self:
            copy.display_name = name_of(copy)

    # === BUTTONS === #

    def action_verify(self):
        """Read these copies back, as a run of its own, and show it."""
        self._check_manager()
        copies = self.filtered(lambda copy: copy.state != "deleted")
        if not copies:
            raise UserError(self.env._("Deleted backups cannot be verified."))
        return form_action(copies.sudo()._request_verification("manual"))

    def action_protect(self):
        """Keep these copies, whatever the rules say."""
        self._check_manager()
        self.sudo().protected = True

    @asks_password
    def action_unprotect(self):
        """Let the rules decide again."""
        self._check_manager()
        for copy in self.filtered("protected"):
            self.env["backup.audit"]._note("unprotect", copy)
        self.sudo().protected = False

    def action_ask_delete(self):
        """Say what would be deleted, and ask."""
        self._check_manager()
        there = self.filtered(lambda copy: copy.state != "deleted")
        about = {"operation": "delete", "copy_ids": there.ids}
        wizard = self.env["backup.confirm.wizard"].create(about)
        return form_action(wizard, self.env._("Delete Copies"), dialog=True)

    @asks_password
    def action_delete(self):
        """Delete the stored archives."""
        self._check_manager()
        if self.filtered("protected"):
            raise UserError(self.env._("A protected copy cannot be deleted."))
        with translate_engine_errors(self.env):
            for storage in self.storage_id.sudo():
                self.env["backup.identity"]._require_still_ours(storage)
        failures = []
        for copy in self.sudo().filtered(lambda copy: copy.state != "deleted"):
            try:
                copy._delete_stored()
            except EngineError as error:
                failures.append(f"{copy.key}: {format_error(self.env, error)}")
                continue
            self.env["backup.audit"]._note("delete", copy, copy.storage_id.name)
            _logger.info(
                "User %s deleted %s in %s", self.env.uid, copy.key, copy.storage_id.name
            )
        return tell_undeleted(self, failures) if failures else True

    @check_identity
    def action_download(self):
        """Open the address from which the stored archive can be downloaded."""
        self._check_manager()
        self.ensure_one()
        return download(self)

    @check_identity
    def action_download_complete(self):
        """Open the address from which one complete zip can be downloaded, which needs
        no packs and is not encrypted."""
        self._check_manager()
        self.ensure_one()
        return download(self, complete=True)

    @api.model
    def _from_download_token(self, number, token):
        """Return the copy that a token lets this user download; empty when it does
        not."""
        return granted(self, SCOPE, number, token)

    def _check_manager(self):
        if not self.env.user.has_group("dfr_backup.group_manager"):
            raise AccessError(self.env._("Only a backup manager may do that."))

    # === VERIFICATION === #

    @api.model
    def _request_verification(self, trigger, **values):
        steps = VerifyRun.planned(copies=self)
        return (
            self.env["backup.job"]
            ._create_run("verify", steps, trigger, **values)
            ._start()
        )

    def _catalogued_manifest(self):
        return int(self.manifest_size), self.manifest_sha256 or ""

    def _catalogued(self):
        """Return what the archive and its manifest have to be, whatever the storage
        says."""
        known = int(self.size), self.sha256 or ""
        return Catalogued(*known, *self._catalogued_manifest())

    def _get_checked_storage(self):
        """Return the storage, to read in it what this copy holds. Raise PermanentError
        when something else is there than the catalogue knows."""
        storage = self.storage_id._get_storage()
        require_catalogued(storage, self.key, self._catalogued())
        return storage

    def _noted_of(self, sidecar):
        """Return what the catalogue notes of a manifest that was read: nothing when it
        is not about the content that the run has saved."""
        saved = Manifest(self.job_id.run_state.manifest or {}).content_digest
        if saved and saved != sidecar.content_digest:
            return {}
        facts = catalogue_facts(sidecar)
        about = {name: facts[name] for name in MANIFEST_FACTS}
        return {**about, "signature": self._signature_of(sidecar)}

    @api.model
    def _signature_of(self, sidecar):
        """Return who has signed a manifest. The signature of another database counts
        for that one: its backups are not ours."""
        verdict = odoo_config.signer().judge(sidecar.signature)
        if verdict == HERE and self._is_own_identity(sidecar.signature.identity):
            return "ours"
        return verdict

    @api.model
    def _is_own_identity(self, identity):
        found = Identity.from_json(identity)
        key = found.key if found.is_complete else ""
        return self.env["backup.identity"]._is_own(found.uuid, key)

    def _note_verified(self, job):
        now = fields.Datetime.now()
        values = {"state": "verified", "verified_at": now, "seen_at": now}
        job._persist(self, values)

    # === DELETING === #

    def _delete_stored(self, progress=None, reason="user"):
        """Delete the archive, and note that and its ``deletion_reason``. Raise
        PermanentError when what the storage holds under this name is of another
        database, and what the storage raises."""
        delete_stored(self, progress or Progress())
        self._note_deleted(reason)

    def _note_deleted(self, reason):
        values = {"state": "deleted", "deletion_reason": reason}
        self.env["backup.job"]._persist(self, values)

    def _owner(self):
        """Return the uuid and the identity of the database that may delete this."""
        if self.imported_by:
            return self.imported_by, ""
        return self.database_uuid, self.identity or ""

    def _as_retention_copy(self):
        """Return what the engine's retention needs to know of this copy.

        A backup that lacks something never takes the place of a complete one.
        """
        return Copy(
            identifier=str(self.id),
            taken_at=from_odoo_datetime(self.date),
            verified=self.state == "verified" and self.complete,
            protected=self.protected,
            ours=self.is_ours,
            running=self.job_id.state == "running" and self.state != "verified",
        )

    # === WHAT COUNTS === #

    @api.model
    def _countable(self, states=("verified",)):
        """Return the domain of the copies that count as a backup: verified, complete,
        seen in the last days, in an active storage that is ours."""
        storages = self.env["backup.storage"].sudo().search([])
        mine = storages.filtered(lambda storage: not storage.is_foreign)
        now = fields.Datetime.now()
        since = now - timedelta(days=SEEN_DAYS)
        return [
            ("state", "in", states),
            ("complete", "=", True),
            ("storage_id", "in", mine.ids),
            ("seen_at", ">=", since),
            # what was seen in the future was so under a clock that was ahead
            ("seen_at", "<=", now + CLOCK_TOLERANCE),
        ]

    @api.model
    def _last_good_by_plan(self, plans, latest):
        """Return when the last backup that still exists was complete, by the id of its
        plan. What a wrong clock has set after ``latest`` does not count. A copy that a
        rebuilt catalogue knows without its run counts from the moment of its data."""
        return last_good_by_plan(self, plans, latest)

    # === OPENED === #

    @check_identity
    def action_browse(self):
        """Show what this backup holds."""
        self._check_manager()
        self.ensure_one()
        if self.state not in PRESENT_STATES:
            raise UserError(
                self.env._("This backup is not available and cannot be browsed.")
            )
        browser = self.env["backup.browse"].sudo().create({"copy_id": self.id})
        browser._read_manifest()
        remember_opened(browser)
        self.env["backup.audit"]._note("browse", self)
        _logger.info("User %s looks into %s", self.env.uid, self.key)
        return form_action(browser, self.env._("Browse Backup"))

    def _identities(self, given=""):
        return identities_of(self, given)

    def _looked_into(self, given=""):
        return looked_into(self, given)

    def _moment(self):
        """Return when the data was saved, as people say it."""
        return in_words(self.env, self.date)

    @check_identity
    def action_compare(self):
        """Show what differs between two backups."""
        self._check_manager()
        if len(self) != 2 or self.filtered(
            lambda copy: copy.state not in PRESENT_STATES
        ):
            raise UserError(self.env._("Select exactly two available backups."))
        older, newer = self.sorted("date")
        for copy in self:
            self.env["backup.audit"]._note("browse", copy)
        comparison = (
            self.env["backup.compare"]
            .sudo()
            .create({"before_id": older.id, "after_id": newer.id})
        )
        comparison._compare()
        remember_opened(comparison)
        return form_action(comparison, self.env._("Compare Backups"))

    # === RESTORED === #

    @check_identity
    def action_import(self):
        """Ask for an archive that lies on somebody's computer, whatever is selected."""
        self._check_manager()
        return self.env["backup.import.wizard"]._open()

    def action_drill(self):
        """Prove that these copies restore, as a run of its own, and show it."""
        self._check_manager()
        copies = self.filtered(lambda copy: copy.state in PRESENT_STATES)
        if not copies:
            raise UserError(
                self.env._("This backup is not available and cannot be restored.")
            )
        with translate_engine_errors(self.env):
            copies._require_trusted()
        return form_action(copies.sudo()._request_drill("manual"))

    def action_restore(self):
        """Ask what the archive is to become."""
        self._check_manager()
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_restore_wizard_action"
        )
        return {**action, "context": {"default_copy_id": self.id}}

    def _restore_again(self, job):
        """Ask the same, filled in with what was said for an earlier restore."""
        action = self.action_staging() if job.staging_id.oid else self.action_restore()
        return action | {"context": action["context"] | job._restore_defaults()}

    def _request_drill(self, trigger, **values):
        """Start a drill of these copies. A copy that boots must not act: it is
        neutralized."""
        steps = DrillRun.planned(copies=self)
        values = {"restore_neutralize": True, "restore_new_identity": True, **values}
        return (
            self.env["backup.job"]
            ._create_run("drill", steps, trigger, **values)
            ._start()
        )

    def _request_restore(self, **values):
        steps, jobs = RestoreRun.planned(values, copies=self), self.env["backup.job"]
        return jobs._create_run("restore", steps, "manual", **values)._start()

    def _needs_key(self):
        """Tell whether somebody has to give the key of the archive: this server has
        none, or cannot read it."""
        try:
            return self.encrypted and not key_of(self)
        except EngineError:
            return True

    def action_staging(self):
        """Ask whether this backup is to become a staging copy."""
        self._check_manager()
        self.ensure_one()
        if self.state not in PRESENT_STATES:
            raise UserError(
                self.env._("This backup is not available and cannot be restored.")
            )
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_staging_wizard_action"
        )
        return {**action, "context": {"default_copy_id": self.id}}

    # === TRUST === #

    @api.depends("sha256", "key", "signature", "job_id")
    def _compute_trust(self):
        trusts = self.env["backup.trust"].sudo()
        said, made = trusts._said_of(self), trusts._made_here(self)
        for copy in self:
            copy.trust_id = said.get(copy.sha256, trusts)
            vouched = copy.sha256 in made or copy.signature == "ours"
            copy.is_trusted = vouched or bool(copy.trust_id)

    def _require_trusted(self):
        """Raise NotTrusted for an archive that nobody vouches for."""
        for copy in self:
            if not copy.is_trusted:
                raise NotTrusted(key=copy.key)

    def _catalogued_to_restore(self):
        """Return what the archive has to be. Somebody trusts the archive, not the
        manifest beside it: then that vouches for nothing."""
        known = self._catalogued()
        job = self.job_id
        noted = job and job._run().vouches and job.archive_sha256 == self.sha256
        if noted or self.signature == "ours":
            return known
        return Catalogued(known.size, known.sha256)

    @check_identity
    def action_trust(self):
        """Let this archive be restored, whoever has made it."""
        self.ensure_one()
        self.env["backup.trust"]._trust(self)
        return True

    @check_identity
    def action_distrust(self):
        """Let this archive be restored no more, unless something else vouches for
        it."""
        self.ensure_one()
        self.env["backup.trust"]._distrust(self)
        return True
