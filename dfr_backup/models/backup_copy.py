import logging
from datetime import timezone

from babel.dates import format_timedelta

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools.misc import babel_locale_parse, get_lang

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.catalog.catalogued import Catalogued, require_catalogued
from ..engine.catalog.facts import facts_of, owner_of
from ..engine.catalog.scan import read_sidecar
from ..engine.errors import EngineError, Mismatch
from ..engine.errors.fetch import ArchiveMissing
from ..engine.errors.storage import CopyMissing, ForeignBackup, NotOurs
from ..engine.identity import Identity
from ..engine.manifest.model import Manifest
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.signature import HERE
from ..engine.policy.retention import Copy
from ..engine.progress import Progress
from .backup_audit import asks_password
from .engine_messages import format_error, translate, translate_engine_errors
from .grants import grant, granted

_logger = logging.getLogger(__name__)

PRESENT_STATES = ("stored", "verified")
# what the catalogue notes of the manifest itself, which a verification compares
MANIFEST_FACTS = ("manifest_size", "manifest_sha256")
DOWNLOAD_SECONDS = (
    3600  # for which an address can be used: an interrupted download goes on
)
DOWNLOAD_SCOPE = "dfr_backup.download"


class BackupCopy(models.Model):
    _name = "backup.copy"
    _inherit = ["backup.record.mixin"]
    _description = "Backup Copy"
    _order = "date desc, id desc"
    _rec_name = "key"

    job_id = fields.Many2one(
        "backup.job", string="Run", ondelete="restrict", index=True
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
    date = fields.Datetime(
        readonly=True, help="When the data was saved, not when it was stored."
    )
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    sha256 = fields.Char(string="SHA-256", readonly=True)
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
    contents = fields.Char("Parts", readonly=True)
    contents_in_words = fields.Char("Contents", compute="_compute_contents_in_words")
    complete = fields.Boolean(
        default=True, readonly=True, help="Nothing that was wanted failed."
    )
    encrypted = fields.Boolean(readonly=True)
    database = fields.Char(readonly=True)
    database_uuid = fields.Char(readonly=True, index=True)
    identity = fields.Char(
        readonly=True,
        help="The database that has made it, with its cluster and its OID there.",
    )
    is_ours = fields.Boolean(
        compute="_compute_is_ours",
        help="Made, or taken in from elsewhere, by this database.",
    )
    origin = fields.Selection(
        [
            ("run", "A run of this addon"),
            ("import", "Imported"),
            ("odoo", "Odoo's database manager"),
        ],
        required=True,
        default="run",
        readonly=True,
        help="Retention only deletes what a run of a plan has made.",
    )
    imported_by = fields.Char(readonly=True, help="The database that has taken it in.")
    odoo_version = fields.Char(readonly=True)
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
    verified_at = fields.Datetime(readonly=True)
    expires_at = fields.Datetime(
        compute="_compute_expires_at",
        help="When the plan's rules will let it go, if backups go on as they do now.",
    )
    proven_at = fields.Datetime("Proven Restorable", readonly=True)
    proven_seconds = fields.Float("Restored in", readonly=True)
    protected = fields.Boolean(readonly=True, help="Never deleted by retention.")

    _storage_key_uniq = models.UniqueIndex(
        "(storage_id, key) WHERE state != 'deleted'",
        "A storage holds one archive of a name.",
    )

    @api.depends("key", "storage_id")
    def _compute_location(self):
        for copy in self:
            try:
                copy.location = copy.storage_id.sudo()._get_storage().location(copy.key)
            except EngineError as error:
                copy.location = translate(self.env, error.message)

    @api.depends("contents")
    @api.depends_context("lang")
    def _compute_contents_in_words(self):
        names = {
            part: f"include_{part}" for part in ("database", "filestore", "addons")
        }
        known = self.env["backup.plan"].fields_get(names.values(), ["string"])
        for copy in self:
            parts = (copy.contents or "").split(", ")
            words = [
                known[names[part]]["string"] if part in names else part
                for part in parts
            ]
            copy.contents_in_words = ", ".join(words)

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
    def _compute_expires_at(self):
        for (plan, storage), copies in self.grouped(
            lambda c: (c.plan_id, c.storage_id)
        ).items():
            found = plan.sudo()._expiry(storage.sudo()) if plan else {}
            for copy in copies:
                copy.expires_at = found.get(copy.id, False)

    # === BUTTONS === #

    def action_verify(self):
        """Read these copies back, as a run of its own, and show it."""
        self._check_manager()
        copies = self.filtered(lambda copy: copy.state != "deleted")
        if not copies:
            raise UserError(self.env._("Deleted backups cannot be verified."))
        return copies.sudo()._request_verification("manual")._action_open()

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

    @asks_password
    def action_delete(self):
        """Delete the stored archives."""
        self._check_manager()
        if self.filtered("protected"):
            raise UserError(self.env._("A protected backup cannot be deleted."))
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
        return self._tell_undeleted(failures) if failures else True

    def _tell_undeleted(self, failures):
        """Say which backups are still there; what was deleted meanwhile stays noted
        as deleted."""
        text = "\n".join(failures)
        if len(failures) == len(self):
            # the engine's text: pylint: disable-next=translation-required
            raise UserError(text)
        return self.storage_id[:1]._notify(
            self.env._("Not all were deleted"), text, "danger"
        )

    @check_identity
    def action_download(self):
        """Open the address from which the stored archive can be downloaded."""
        self._check_manager()
        self.ensure_one()
        if self.state not in PRESENT_STATES:
            raise UserError(self.env._("This backup is not there to be downloaded."))
        copy = self.sudo()
        with translate_engine_errors(self.env):
            url = copy._get_checked_storage().download_url(
                copy.key, copy.key, DOWNLOAD_SECONDS
            )
        self.env["backup.audit"]._note("download", self, copy.storage_id.name)
        _logger.info(
            "User %s downloads %s from %s", self.env.uid, copy.key, copy.storage_id.name
        )
        return {
            "type": "ir.actions.act_url",
            "url": url or self._download_path(),
            "target": "self" if url else "download",
        }

    def _download_path(self):
        """Return the address of our own download, for this user and for some minutes
        only."""
        token = grant(self, DOWNLOAD_SCOPE, DOWNLOAD_SECONDS)
        return f"/dfr_backup/download/{self.id}/{token}"

    @api.model
    def _from_download_token(self, number, token):
        """Return the copy that a token lets this user download; empty when it does
        not."""
        return granted(self, DOWNLOAD_SCOPE, number, token)

    def _check_manager(self):
        if not self.env.user.has_group("dfr_backup.group_manager"):
            raise AccessError(self.env._("Only a backup manager may do that."))

    # === VERIFICATION === #

    @api.model
    def _request_verification(self, trigger, **values):
        steps = [
            {"kind": "verify", "storage_id": copy.storage_id.id, "copy_id": copy.id}
            for copy in self
        ]
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
        saved = Manifest((self.job_id.data or {}).get("manifest") or {}).seal
        if saved and saved != sidecar.seal:
            return {}
        facts = facts_of(sidecar)
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

    def _delete_stored(self, progress=None):
        """Delete the archive: first the manifest, without which it is no backup.

        Raise PermanentError when what the storage holds under this name is of another
        database, and what the storage raises.
        """
        self.ensure_one()
        self.env["backup.identity"]._require_may_delete(self.storage_id)
        storage = self.storage_id._get_own_storage()
        self._require_own(self._owner(), self.database)
        with storage.reporting_to(progress or Progress()):
            self._delete_in(storage)
        self.env["backup.job"]._persist(self, {"state": "deleted"})

    def _delete_in(self, storage):
        manifest = sidecar_key(self.key)
        if storage.stat(manifest) is not None:
            sidecar = read_sidecar(storage, manifest)
            self._require_own(owner_of(sidecar), sidecar.database)
            storage.delete(manifest)
        elif self.state == "unknown" and storage.stat(self.key) is None:
            # nobody has seen it since the storage leads elsewhere
            self.env["backup.job"]._persist(self, {"state": "missing"})
            raise CopyMissing(key=self.key, remedy=CopyMissing.remedy_scan)
        storage.delete(self.key)

    def _owner(self):
        """Return the uuid and the identity of the database that may delete this."""
        if self.imported_by:
            return self.imported_by, ""
        return self.database_uuid, self.identity or ""

    def _require_own(self, owner, database):
        if self.origin == "odoo":
            raise NotOurs(key=self.key)
        if not self.storage_id._owns(*owner):
            raise ForeignBackup(key=self.key, database=database)

    def _as_retention_copy(self):
        """Return what the engine's retention needs to know of this copy.

        A backup that lacks something never takes the place of a complete one.
        """
        return Copy(
            identifier=str(self.id),
            taken_at=self.date.replace(tzinfo=timezone.utc),
            verified=self.state == "verified" and self.complete,
            protected=self.protected,
            ours=self.is_ours,
            running=self.job_id.state == "running" and self.state != "verified",
        )

    # === THE CATALOGUE, FROM A STORAGE === #

    @api.model
    def _values_of(self, storage, sidecar):
        """Return the values of a copy in a storage, as its manifest has them, whoever
        has found or written that."""
        run = sidecar.import_job or sidecar.job
        job = self.env["backup.job"].search([("uuid", "=", run)], limit=1)
        named = self._plans_named(sidecar.plan)
        plan = job.plan_id or (named if len(named) == 1 else named.browse())
        # what was taken in from elsewhere follows no plan's rules
        ours = not sidecar.imported_by and storage._owns(*owner_of(sidecar))
        return {
            "storage_id": storage.id,
            "key": sidecar.key,
            "job_id": job.id,
            "plan_id": ours and plan.id,
            **_without_manifest(facts_of(sidecar)),
            **self._noted_of(sidecar),
        }

    @api.model
    def _plans_named(self, name):
        plans = self.env["backup.plan"].with_context(active_test=False)
        return plans.search([("name", "=", name)])

    @api.model
    def _unclear_plans(self, found):
        """Return the names in what a scan has found that several plans have."""
        names = {item.sidecar.plan for item in found if item.sidecar}
        return sorted(name for name in names if len(self._plans_named(name)) > 1)

    @api.model
    def _state_of(self, found, known):
        """Return the state of a copy after a scan, which looks at sizes but reads no
        archive."""
        if not found.problem:
            same = known and known._is_same(found.sidecar)
            # what was read back says more than a size: only another verification
            # overrules it
            return (
                known.state
                if same and known.state in ("verified", "damaged")
                else "stored"
            )
        return "missing" if isinstance(found.problem, ArchiveMissing) else "damaged"

    def _is_replaced(self, sidecar):
        """Tell whether a storage holds another backup under the name of one of ours:
        what we know of it, its storage cannot change."""
        if not self.is_ours or not self.sha256 or self.origin == "odoo":
            return False
        try:
            self._catalogued().refuse_other(sidecar)
        except Mismatch:
            return True
        return False

    def _is_same(self, sidecar):
        """Tell whether a scan has found what is known; a zip of Odoo's has no
        checksum to tell."""
        if sidecar.sha256:
            return self.sha256 == sidecar.sha256
        return self.size == sidecar.size and self.date == naive(sidecar.taken_at)


def naive(moment):
    """Return a moment as the database keeps it: UTC, to the second."""
    return moment.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)


def _without_manifest(facts):
    return {name: fact for name, fact in facts.items() if name not in MANIFEST_FACTS}
