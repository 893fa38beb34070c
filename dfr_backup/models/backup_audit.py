"""The audit trail: who has weakened the backups, and the password that this takes."""

import threading
import time
from functools import wraps

from lxml import etree

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.http import request

from odoo.addons.base.models.res_users import check_identity

from ..engine.errors.people import PasswordNeeded
from .engine_messages import translate_engine_errors
from .rights import MANAGER

CONFIRMED_SECONDS = 600  # as Odoo's check_identity

ACTIONS = [
    ("delete", "Backup deleted"),
    ("unprotect", "Protection removed"),
    ("download", "Backup downloaded"),
    ("browse", "Backup browsed"),
    ("fetch", "File extracted from a backup"),
    ("restore", "Backup restored"),
    ("trust", "File trusted"),
    ("distrust", "Trust withdrawn"),
    ("original", "Declared the original"),
    ("takeover", "Storage taken over"),
    ("location", "New location accepted"),
    ("host_key", "Host key trusted"),
    ("address", "Storage address changed"),
    ("rules", "Storage retention changed"),
    ("lock", "Object Lock weakened"),
    ("lifecycle", "Absence of lifecycle rules confirmed"),
    ("storages", "Storage removed from plan"),
    ("destination", "Storage added to plan"),
    ("encryption", "Encryption switched off"),
    ("keys", "Encryption keys changed"),
    ("retention", "Plan retention shortened"),
    ("contents", "Plan contents reduced"),
    ("schedule", "Schedule made less frequent or switched off"),
    ("pause", "Plan paused or run skipped"),
    ("alerts", "Alerts or checks reduced"),
    ("active", "Archived or unarchived"),
    ("server", "Watched server changed"),
    ("removed", "Plan, storage, server or run deleted"),
    ("repair", "Filestore repaired"),
    ("staging", "Staging copy deleted"),
    ("staging_days", "Deletion of a staging copy brought forward"),
    ("monitor", "Monitor token changed"),
    ("settings", "Setting changed"),
]


def asks_password(method):
    """Let a button ask for the password before it runs ``method``, when it is a user
    who has pressed it and not the addon's own code."""
    checked = check_identity(method)

    @wraps(checked)
    def wrapped(self, *args, **kwargs):
        if request:
            return checked(self, *args, **kwargs)
        self.env["backup.audit"]._require_password(self, method.__name__)
        return method(self, *args, **kwargs)

    return wrapped


def _is_called_over_http():
    """Tell whether this thread answers a request, also where ``request`` is hidden
    from the models: in XML-RPC and JSON-RPC, where an API key is enough to call."""
    return bool(request or getattr(threading.current_thread(), "url", None))


class BackupAudit(models.Model):
    """One line for each change that can cost backups, and for each time that somebody
    opens one. Only the addon adds lines, and nothing changes or deletes them."""

    _name = "backup.audit"
    _inherit = ["backup.record.mixin", "backup.empty.mixin"]
    _description = "Audit Trail of Backups"
    _order = "id desc"
    _rec_name = "record"

    date = fields.Datetime(required=True, readonly=True, default=fields.Datetime.now)
    user_id = fields.Many2one("res.users", readonly=True, ondelete="set null")
    login = fields.Char(readonly=True, help="Kept when the user is deleted.")
    action = fields.Selection(ACTIONS, required=True, readonly=True, index=True)
    res_model = fields.Char("Model", required=True, readonly=True)
    res_id = fields.Integer("Record ID", readonly=True)
    record = fields.Char(readonly=True)
    old_value = fields.Text(readonly=True)
    new_value = fields.Text(readonly=True)

    @api.model_create_multi
    def create(self, vals_list):
        if not self.env.su:
            self._refuse()
        return super().create(vals_list)

    def write(self, vals):  # pylint: disable=method-required-super
        self._refuse()

    def unlink(self):  # pylint: disable=method-required-super
        self._refuse()

    def _refuse(self):
        raise AccessError(self.env._("Nobody may change the audit trail."))

    @api.model
    def _note(self, action, record, old="", new=""):
        """Write down what this user has done to ``record``; ``old`` and ``new`` are
        texts without secrets."""
        user = self.env.user
        self.sudo().create(
            {
                "user_id": user.id,
                "login": user.login,
                "action": action,
                "res_model": record._name,
                "res_id": record.id,
                "record": _lasting_name(record),
                "old_value": old,
                "new_value": new,
            }
        )

    @api.model
    def _require_password(self, records, button=None):
        """Raise UserError when a user wants something of ``records`` that takes his
        password, and has not entered it in this session: it says in which form, and by
        which ``button`` (the name of its method), he is asked. The addon's own code is
        not asked."""
        if self.env.su or not _is_called_over_http():
            return
        if not self._is_confirmed():
            with translate_engine_errors(self.env, UserError):
                raise PasswordNeeded(
                    record=", ".join(records.mapped("display_name")),
                    form=self.env["ir.model"]._get(records._name).name,
                    button=button and self._button_label(records, button),
                    remedy=PasswordNeeded.remedy_button if button else None,
                )

    @api.model
    def _is_confirmed(self):
        """Tell whether the user has just entered his password in this session."""
        confirmed = request.session.get("identity-check-last", 0) if request else 0
        return confirmed > time.time() - CONFIRMED_SECONDS

    @api.model
    def _button_label(self, records, name):
        """Return what is written on a button of the records' form, or in its menu of
        actions, which may ask before it calls the method."""
        arch = etree.fromstring(records.get_view(view_type="form")["arch"])
        found = arch.xpath("//button[@name=$name]/@string", name=name)
        if found:
            return found[0]
        calls = [f".{one}(" for one in (name, name.replace("_", "_ask_", 1))]
        of_model = [("binding_model_id.model", "=", records._name)]
        for action in self.env["ir.actions.server"].sudo().search(of_model):
            if any(call in (action.code or "") for call in calls):
                return action.name
        return name.partition("_")[2].replace("_", " ").title()

    @check_identity
    def action_confirm_password(self):
        """Ask for the password, for a web client that was refused without."""
        closed = {"type": "ir.actions.act_window_close"}
        return {**closed, "infos": {"confirmed": True}}


def _lasting_name(record):
    """Return what a record is called whoever reads it: of a copy, its file."""
    return record[record._rec_name or "display_name"]


class BackupAuditMixin(models.AbstractModel):
    """A record whose changes can cost backups. ``_audited`` says what counts."""

    _name = "backup.audit.mixin"
    _description = "Record with an Audit Trail"

    change_count = fields.Integer(compute="_compute_change_count", groups=MANAGER)

    def _compute_change_count(self):
        lines = self.env["backup.audit"]._read_group(
            self._audit_lines(), ["res_id"], ["__count"]
        )
        counts = dict(lines)
        for record in self:
            record.change_count = counts.get(record._origin.id, 0)

    def _audit_lines(self):
        """Return the domain of the lines that are about these records."""
        return [("res_model", "=", self._name), ("res_id", "in", self.ids)]

    def action_view_changes(self):
        """Show who has changed what of this record that can cost backups."""
        self.ensure_one()
        self.env["backup.job"]._check_manager()
        self.check_access("read")
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_audit_action"
        )
        return {**action, "domain": self._audit_lines()}

    def _audited(self):
        """Return what is written down: {action: text}."""
        self.ensure_one()
        return {}

    def _weakens(self, action, before):
        """Tell whether the record protects less than ``before``, its former value of
        ``_guarded_values``."""
        return True

    def _guarded_values(self):
        """Return what ``_weakens`` compares: {action: value}."""
        return self._audited()

    def _audited_fields(self):
        """Return the names of the fields that ``_audited`` reads."""
        return set()

    def _unasked_actions(self):
        """Return the actions that are written down without asking for the password."""
        return frozenset()

    @api.ondelete(at_uninstall=False)
    def _unlink_when_confirmed(self):
        """Note who deletes it. Odoo calls what is to be called before by name: what is
        refused anyway asks nobody for a password."""
        audit = self.env["backup.audit"]
        audit._require_password(self)
        for record in self:
            texts = dict.fromkeys(filter(None, record._audited().values()))
            old = ", ".join(texts)
            audit._note("removed", record, old)

    def write(self, vals):
        self.check_access("write")
        if not self._audited_fields() & vals.keys():
            return super().write(vals)
        before = [(one, one._guarded_values(), one._audited()) for one in self]
        result = super().write(vals)
        for record, values, texts in before:
            record._note_weakened(values, texts)
        return result

    def _note_weakened(self, values, texts):
        audit, now = self.env["backup.audit"], self._guarded_values()
        for action, value in values.items():
            if now[action] != value and self._weakens(action, value):
                if action not in self._unasked_actions():
                    audit._require_password(self)
                new = self._audited()[action]
                audit._note(action, self, texts[action], new)
