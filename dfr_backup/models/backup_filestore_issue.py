"""Attachments whose file is missing or damaged: what the runs have found, and what
was repaired."""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL, format_date

from ..engine.messages import to_json
from .actions import form_action
from .copy.states import PRESENT_STATES
from .engine_messages import MessageChar
from .moments import to_odoo_datetime
from .rights import MANAGER

KINDS = [
    ("missing", "Missing"),
    ("damaged", "Damaged"),
    ("unreadable", "Not readable"),
]
STATES = [
    ("open", "Unresolved"),
    ("repaired", "Repaired"),
    ("resolved", "Intact again or deleted"),
]


class BackupFilestoreIssue(models.Model):
    _name = "backup.filestore.issue"
    _inherit = ["backup.record.mixin", "backup.empty.mixin"]
    _description = "Filestore Problem"
    _rec_name = "store_fname"
    _order = "state, first_seen desc, id desc"

    # what an attachment is called is content of the database
    attachment = fields.Integer(
        "Attachment ID", readonly=True, index=True, groups=MANAGER
    )
    name = fields.Char(readonly=True, groups=MANAGER)
    res_model = fields.Char("Model", readonly=True, groups=MANAGER)
    res_id = fields.Integer("Record ID", readonly=True, groups=MANAGER)
    record_name = fields.Char("Record", compute="_compute_record_name", groups=MANAGER)
    store_fname = fields.Char("File", required=True, readonly=True, index=True)
    size = fields.Float(digits=(20, 0), readonly=True, help="In bytes.")
    created = fields.Datetime(readonly=True, help="When the attachment was made.")
    kind = fields.Selection(KINDS, "Problem", required=True, readonly=True)
    reason = MessageChar(values_field="reason_values", readonly=True)
    reason_values = fields.Json(readonly=True)
    state = fields.Selection(
        STATES, required=True, default="open", readonly=True, index=True
    )
    first_seen = fields.Datetime(
        readonly=True, help="The backup that noticed it first."
    )
    last_seen = fields.Datetime(readonly=True)
    job_id = fields.Many2one(
        "backup.job", "Noticed by", readonly=True, ondelete="set null"
    )
    good_copy_id = fields.Many2one(
        "backup.copy", "Intact in", compute="_compute_good_copy_id"
    )
    good_copy = fields.Char("Repair From", compute="_compute_good_copy_id")
    repaired_at = fields.Datetime(readonly=True)
    repaired_by_id = fields.Many2one("res.users", readonly=True)
    repaired_from_id = fields.Many2one(
        "backup.copy", readonly=True, ondelete="set null"
    )

    _one_open = models.UniqueIndex(
        "(attachment, store_fname) WHERE state = 'open'",
        "This problem is known already.",
    )

    @api.depends("state", "kind", "first_seen", "created")
    @api.depends_context("lang")
    def _compute_good_copy_id(self):
        copies = self._sources()
        for issue in self:
            issue.good_copy_id = issue._expected_in(copies)[:1]
            issue.good_copy = issue._good_copy_in_words()

    @api.depends("res_model", "res_id")
    @api.depends_context("lang", "uid")
    def _compute_record_name(self):
        for issue in self:
            record = issue._attached_to()
            if record and record.has_access("read"):
                issue.record_name = record.display_name
            else:
                issue.record_name = issue._record_in_words()

    def _attached_to(self):
        """Return the record that the attachment belongs to, None when there is none."""
        model = self.env.get(self.res_model or "")
        if model is None or not self.res_id:
            return None
        return model.browse(self.res_id).exists()

    def _record_in_words(self):
        """Return what kind of record an attachment belongs to that this user may not
        read, or that is gone."""
        if not self.res_model:
            return False
        model = self.env["ir.model"]._get(self.res_model)
        return f"{model.name or self.res_model} {self.res_id or ''}".strip()

    def _good_copy_in_words(self):
        if self.state != "open":
            return False
        if self.kind == "unreadable":
            return self.env._("It is there: give Odoo the right to read it")
        if self.good_copy_id:
            date = format_date(self.env, self.good_copy_id.date)
            return self.env._("Backup of %s", date)
        return self.env._("No backup is old enough")

    @api.model
    def _sources(self):
        """Return the stored backups of this database that hold files: the newest
        first, of two that are the same the one on this server."""
        copies = self.env["backup.copy"].sudo()
        stored = copies.search(
            [("state", "in", PRESENT_STATES), ("contents", "like", "filestore")]
        ).filtered("is_ours")
        near = stored.sorted(lambda copy: not copy.storage_id._is_near())
        return near.sorted("date", reverse=True)

    def _expected_in(self, copies):
        """Return those of the copies that should hold the good file: made before
        somebody noticed that it is gone, and after the attachment was."""
        self.ensure_one()
        if self.state != "open" or self.kind == "unreadable":
            return copies.browse()
        return copies.filtered(
            lambda copy: (
                copy.date < self.first_seen
                and (not self.created or copy.date >= self.created)
            )
        )

    # === BUTTONS === #

    def action_repair(self):
        """Ask whether these files are to be put back."""
        self.env["backup.job"]._check_manager()
        issues = self.filtered(
            lambda issue: issue.state == "open" and issue.good_copy_id
        )
        if not issues:
            raise UserError(
                self.env._(
                    "No backup is known to hold an intact file for any of these."
                )
            )
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_repair_wizard_action"
        )
        return {**action, "context": {"default_issue_ids": issues.ids}}

    def action_repair_all(self):
        """Ask the same for all that is open, whatever is selected."""
        return self.search([("state", "=", "open")]).action_repair()

    def action_open_record(self):
        """Show the record that the attachment belongs to."""
        self.ensure_one()
        record = self._attached_to()
        if not record:
            raise UserError(
                self.env._("This attachment belongs to no record that is still there.")
            )
        return form_action(record)

    # === WHAT RUNS FIND === #

    @api.model
    def _record(self, job, troubles, complete):
        """Write down which attachments a run has found without a good file.
        ``complete``: there are no others, so that what is open and not among them is
        good again."""
        by_file = {trouble.store_fname: trouble for trouble in troubles}
        known = {
            (issue.attachment, issue.store_fname): issue
            for issue in self.search([("state", "=", "open")])
        }
        moment = to_odoo_datetime(job._run_context().archive.taken_at())
        for row in self._attachments([*by_file]):
            trouble = by_file[row["store_fname"]]
            found = {
                "kind": trouble.kind,
                "reason": str(trouble.reason),
                "reason_values": {"reason": to_json(trouble.reason)},
                "last_seen": moment,
            }
            issue = known.pop((row["attachment"], row["store_fname"]), None)
            if issue is None:
                found.update(row, job_id=job.id, first_seen=moment)
                issue = self.create(found)
            job._persist(issue, found)
        if complete:
            for issue in known.values():
                job._persist(issue, {"state": "resolved"})

    def _attachments(self, names):
        """Return the attachments that have these files, as values of issues. The ORM
        hides those of fields."""
        rows = self.env.execute_query_dict(
            SQL(
                "SELECT id AS attachment, name, res_model, res_id, store_fname, "
                "create_date AS created, file_size AS size FROM ir_attachment WHERE "
                "store_fname = ANY(%s) ORDER BY id",
                names,
            )
        )
        return rows if names else []
