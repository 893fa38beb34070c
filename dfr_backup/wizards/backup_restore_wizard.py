from dataclasses import replace
from itertools import chain, count

from odoo import api, fields, models, release
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.catalog.browse import read_contents
from ..engine.catalog.scan import describe_stored
from ..engine.errors import EngineError
from ..engine.restore.preflight import Surroundings, preflight
from ..engine.restore.target import check_name
from ..models.actions import form_action
from ..models.copy.opening import require_key
from ..models.copy.preview import facts_in_words, trouble_in_words
from ..models.copy.states import PRESENT_STATES
from ..models.engine_messages import format_error, translate, translate_engine_errors
from ..runs.drill import DrillRun
from ..runs.restore import RestoreRun

# bytes of SQL per byte of an archive, rather too many, where nobody has counted
SQL_RATIO = 5
CHANGING = {"space"}  # the texts of these findings tell what changes by itself


class BackupRestoreWizard(models.TransientModel):
    _name = "backup.restore.wizard"
    _inherit = ["backup.secret.mixin"]
    _description = "Restore a Backup"

    copy_id = fields.Many2one("backup.copy", required=True, readonly=True)
    storage_id = fields.Many2one(
        "backup.storage",
        compute="_compute_storage",
        store=True,
        readonly=False,
        help="The storage that the backup is read from.",
    )
    storage_ids = fields.Many2many("backup.storage", compute="_compute_storages")
    has_choice = fields.Boolean(compute="_compute_storages")
    date = fields.Datetime(related="copy_id.date")
    size = fields.Float(related="copy_id.size")
    contents = fields.Char(related="copy_id.contents_in_words")
    parts = fields.Char(related="copy_id.contents")
    encrypted = fields.Boolean(related="copy_id.encrypted")
    needs_key = fields.Boolean(compute="_compute_needs_key")
    lacks_files = fields.Boolean(compute="_compute_whole_copy")
    whole_copy_id = fields.Many2one("backup.copy", compute="_compute_whole_copy")
    whole_date = fields.Datetime(
        "Date of the Whole Backup", related="whole_copy_id.date"
    )
    purpose = fields.Selection(
        [
            ("copy", "A harmless copy, for inspection"),
            ("successor", "A replacement for the lost original"),
        ],
        required=True,
        default="copy",
        help="A copy is neutralized and registered as a separate database.",
    )
    successor_command = fields.Char(compute="_compute_successor_command")
    facts = fields.Text("Details", compute="_compute_facts")
    trouble = fields.Text(compute="_compute_facts")
    database = fields.Char(
        "New Database",
        required=True,
        help="The restored data goes into a new database; this one is not touched.",
    )
    neutralize = fields.Boolean(
        compute="_compute_by_purpose",
        store=True,
        readonly=False,
        help="A harmless copy: its emails do not go out, its scheduled actions and "
        "payment "
        "providers are switched off.",
    )
    new_identity = fields.Boolean(
        "Register as a Separate Database",
        compute="_compute_by_purpose",
        store=True,
        readonly=False,
        help="The copy is another database than the original. Only switch this off "
        "when the "
        "original is gone for good and this one takes its place.",
    )
    was_checked = fields.Boolean(compute="_compute_findings")
    obstacles = fields.Text(compute="_compute_findings")
    remarks = fields.Text(compute="_compute_findings")
    to_accept = fields.Text(compute="_compute_findings")
    acceptable = fields.Json(compute="_compute_findings")
    # what the client has shown comes back with the form: {what it is called: its text}
    shown = fields.Json(compute="_compute_shown", store=True, readonly=False)
    asked_again = fields.Boolean(readonly=True)
    accept_findings = fields.Boolean(
        "Restore Anyway",
        compute="_compute_accept_findings",
        store=True,
        readonly=False,
        help="The restore continues despite this. What you accept is written into "
        "the log of its run.",
    )
    may_load_plain = fields.Boolean(
        "May Load in One Session", compute="_compute_findings"
    )
    plain_load = fields.Boolean(
        "Load in One Session",
        help="Slower: the dump is loaded in its own order, as by psql.",
    )
    unpack_addons = fields.Boolean(
        "Unpack Custom Addons",
        help="Into a directory of their own on the server. The run then says where, "
        "which of them "
        "the database needs, and which line of odoo.conf lets Odoo load them.",
    )
    is_trusted = fields.Boolean(related="copy_id.is_trusted")
    i_trust = fields.Boolean(
        "I Trust This File",
        groups="base.group_system",
        help="A restore runs what is in the dump. Your name and the checksum of the "
        "file are written down.",
    )
    key = fields.Text(
        "Private Key or Passphrase", compute="_compute_secrets", inverse="_inverse_key"
    )

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        copy = self.env["backup.copy"].browse(values.get("copy_id"))
        if copy and "database" in names and not values.get("database"):
            values["database"] = self._proposed_name(copy)
        return values

    def _proposed_name(self, copy):
        return self._free_name(f"{copy.database or self.env.cr.dbname}_restored")

    def _free_name(self, name):
        """Return a name that no database and no filestore of this server has: this one,
        or with a number."""
        query = SQL(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", name
        )
        taken = {row[0] for row in self.env.execute_query(query)}
        numbered = (f"{name}_{number}" for number in count(2))
        return next(
            free
            for free in chain([name], numbered)
            if free not in taken and not odoo_config.filestore_path(free).exists()
        )

    @api.constrains("database")
    def _check_database(self):
        # when it is saved, and not when it starts: the form is gone once the password
        # is asked for
        for wizard in self:
            with translate_engine_errors(self.env, ValidationError):
                check_name(wizard.database)

    @api.depends("copy_id")
    def _compute_storage(self):
        for wizard in self:
            wizard.storage_id = wizard.copy_id.storage_id

    @api.depends("copy_id")
    def _compute_storages(self):
        for wizard in self:
            wizard.storage_ids = wizard._choices().storage_id
            wizard.has_choice = len(wizard.storage_ids) > 1

    @api.onchange("storage_id")
    def _onchange_storage(self):
        """Read the copy of the same backup that is in this storage."""
        chosen = self._choices().filtered(lambda c: c.storage_id == self.storage_id)
        self.copy_id = chosen[:1] or self.copy_id
        self.storage_id = self.copy_id.storage_id

    def _choices(self):
        """Return the copies of this backup that can be read."""
        copies = self.copy_id | self.copy_id.backup_id.copy_ids
        return copies.filtered(
            lambda copy: copy.state in PRESENT_STATES or copy == self.copy_id
        )

    @api.depends("copy_id")
    def _compute_needs_key(self):
        for wizard in self:
            wizard.needs_key = wizard.copy_id.sudo()._needs_key()

    @api.depends("copy_id")
    def _compute_whole_copy(self):
        for wizard in self:
            copy = wizard.copy_id
            parts = (copy.contents or "").split(", ")
            wizard.lacks_files = "database" in parts and "filestore" not in parts
            whole = wizard._newest_whole() if wizard.lacks_files else copy.browse()
            wizard.whole_copy_id = whole

    def _newest_whole(self):
        """Return the newest trusted backup of the same database that has its
        attachments. A zip of Odoo does not say whose it is."""
        uuid = self.copy_id.database_uuid
        if not uuid:
            return self.env["backup.copy"]
        same = [("database_uuid", "=", uuid)]
        there = [("state", "in", PRESENT_STATES), ("complete", "=", True)]
        contents = [("contents", "like", "database"), ("contents", "like", "filestore")]
        found = self.env["backup.copy"].search([*same, *there, *contents])
        return found.filtered("is_trusted")[:1]

    @api.depends("purpose")
    def _compute_by_purpose(self):
        for wizard in self:
            wizard.neutralize = wizard.new_identity = wizard.purpose == "copy"

    @api.depends("copy_id", "purpose")
    def _compute_successor_command(self):
        for wizard in self:
            copy = wizard.copy_id
            where, database = copy.location or "", copy.database or "NAME"
            command = odoo_config.restore_command(where, database)
            wizard.successor_command = wizard.purpose == "successor" and command

    @api.depends("copy_id")
    def _compute_facts(self):
        for wizard in self:
            wizard.facts, wizard.trouble = wizard._look()

    def _look(self):
        """Return what the manifest says about the archive, and what speaks against
        restoring it."""
        copy = self.copy_id.sudo()
        try:
            sidecar = describe_stored(copy._get_checked_storage(), copy.key)
        except EngineError as error:
            return False, format_error(self.env, error)
        return facts_in_words(self.env, sidecar), trouble_in_words(
            self.env, sidecar, sidecar.made_by_odoo
        )

    @api.depends("copy_id", "database")
    def _compute_findings(self):
        for wizard in self:
            found, wizard.was_checked = wizard._look_around()
            acceptable = wizard._acceptable(found)
            remarks = [f for f in found if not f.blocking]
            wizard.obstacles = wizard._obstacles(found, acceptable)
            wizard.remarks = "\n".join(map(wizard._in_words, remarks))
            wizard.to_accept = "\n".join(acceptable.values())
            wizard.acceptable = acceptable
            wizard.may_load_plain = acceptable or wizard._load_has_failed()

    @api.depends("copy_id", "database")
    def _compute_shown(self):
        for wizard in self:
            wizard.shown = wizard.acceptable

    @api.depends("copy_id", "database")
    def _compute_accept_findings(self):
        self.accept_findings = False  # it was said of what was shown before

    def _in_words(self, finding):
        return translate(self.env, finding.error.in_full)

    def _acceptable(self, found):
        """Return what somebody may accept as it is shown, by what it is called: what
        was ``found`` now, and what has ended the last restore or was seen when the
        archive was taken in."""
        copy = self.copy_id.sudo()
        jobs = self._last_restore() | copy.job_id
        known = {
            code: text
            for job in jobs
            for code, text in job._run_context().restores.to_accept().items()
        }
        return known | {f.code: self._in_words(f) for f in found if f.acceptable}

    def _obstacles(self, found, acceptable):
        """Return in lines what was ``found`` that nobody can accept."""
        bad = [f for f in found if f.blocking and f.code not in acceptable]
        return "\n".join(map(self._in_words, bad))

    def _last_restore(self):
        """Return the last restore or drill of this backup, if it has failed."""
        about = [
            ("step_ids.copy_id", "in", self.copy_id.ids),
            ("kind", "in", (RestoreRun.kind, DrillRun.kind)),
        ]
        job = self.env["backup.job"].sudo().search(about, order="id desc", limit=1)
        return job.filtered(lambda job: job.state in ("failure", "partial"))

    def _load_has_failed(self):
        steps = self._last_restore().step_ids.filtered(lambda s: s.kind == "load")
        return "failure" in steps.mapped("state")

    def _findings(self):
        return self._look_around()[0]

    def _look_around(self):
        """Return what speaks against this restore, as far as the manifest can tell,
        and whether it could be looked at: what could not, the run itself will find."""
        copy = self.copy_id.sudo()
        try:
            contents = read_contents(copy._get_checked_storage(), copy.key)
            steps = copy.job_id.step_ids.filtered(
                lambda step: step.kind == "dump_database"
            )
            sql_bytes = sum(steps.mapped("bytes_done")) or copy.size * SQL_RATIO
            surroundings = Surroundings(
                odoo_config.place(self.database or ""),
                release.series,
                odoo_config.modules_on_disk(),
                replace_existing=self._replaces(),
                template=odoo_config.database_template()["template"],
            )
            connection = odoo_config.connection("postgres", "dfr_backup preflight")
            description = replace(
                contents.describe(),
                contents=tuple((copy.contents or "").split(", ")),
                sql_bytes=int(sql_bytes),
            )
            return preflight(description, surroundings, connection), True
        except EngineError:
            return [], False

    def _inverse_key(self):
        self._encrypt_secret("key")

    def action_use_whole(self):
        """Restore the newest backup that has attachments instead."""
        self.ensure_one()
        self.copy_id = self.whole_copy_id or self.copy_id
        return form_action(self, self._description, dialog=True)

    def action_make(self):
        """Start the restore, unless it is known already that it would fail: said while
        the form is there, before somebody is asked for his password."""
        self.ensure_one()
        self.copy_id._check_manager()
        found = self._findings()
        acceptable = self._acceptable(found)
        if self._has_unseen(acceptable):
            return self._ask_again(acceptable)
        refused = self._obstacles(found, acceptable)
        if not self.accept_findings:
            refused = refused or "\n".join(acceptable.values())
        if refused:
            raise UserError(refused)
        with translate_engine_errors(self.env):
            require_key(self.copy_id.sudo(), self.sudo()._read_secret("key"))
        if self.env["backup.audit"]._is_confirmed():
            return self._restore(acceptable)
        return self.action_restore()  # asks, and looks again then

    @check_identity
    def action_restore(self):
        """Start the restore, and show its run."""
        self.ensure_one()
        self.copy_id._check_manager()
        return self._restore(self._acceptable(self._findings()))

    def _restore(self, found):
        """Start the restore, and show its run, unless something was ``found`` that
        this user has not seen: then show that."""
        if self._has_unseen(found):
            return self._ask_again(found)
        if not self.is_trusted and self.sudo().i_trust:
            self.env["backup.trust"]._trust(self.copy_id)
        copy = self.copy_id.sudo()
        with translate_engine_errors(self.env):
            copy._require_trusted()
            staging = self._begin_staging()
        self.env["backup.audit"]._note("restore", self.copy_id, new=self.database)
        job = copy._request_restore(
            restore_database=self.database,
            restore_neutralize=self.neutralize,
            restore_new_identity=self.new_identity,
            restore_addons=self.unpack_addons,
            restore_accepted=list(found) if self.accept_findings else [],
            restore_plain=self.plain_load,
            staging_id=staging.id,
        )
        staging.job_id = job
        job.restore_key = self.sudo()._read_secret("key")
        self.sudo().sealed_secrets = False
        return form_action(job)

    def _replaces(self):
        """Tell whether the restore takes the place of a database."""
        return False

    def _begin_staging(self):
        """Return the record of the staging copy that this restore makes, an empty one
        when it makes none. Raise EngineError."""
        stagings = self.env["backup.staging"].sudo()
        if not (self.neutralize and self.new_identity):
            return stagings
        return stagings._begin(self.database, keep_days=0)

    def _has_unseen(self, found):
        """Tell whether something that can be accepted was not shown, or not as it is
        now; but for the free space, which changes all the time."""
        shown = self.shown or {}
        return any(
            code not in shown or (code not in CHANGING and shown[code] != text)
            for code, text in found.items()
        )

    def _ask_again(self, found):
        """Show the form again with what was ``found``, and nothing of it accepted."""
        self.write({"shown": found, "accept_findings": False, "asked_again": True})
        return form_action(self, self._description, dialog=True)
