"""Other Odoo servers, whose health endpoints this one asks: how their backups are."""

import hashlib
import json
import logging
from datetime import timedelta
from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError

from ... import odoo_config
from ...compat import commit_of_cron
from ...engine.errors import EngineError
from ...engine.monitoring.health import Standing, heard, unheard
from ...engine.monitoring.watch import (
    EACH_SECONDS,
    TOTAL_SECONDS,
    Target,
    Watcher,
    check_header,
    health_address,
)
from ..audited import active_in_words
from ..engine_messages import displayed, error_columns, translate_engine_errors
from ..locks import try_lock
from ..mixins.backup_secret_mixin import MASK
from .mails import tell

_logger = logging.getLogger(__name__)

CRON = "dfr_backup.ir_cron_watch"
PATIENCE = 3  # questions without an answer
ANSWER_SECONDS = EACH_SECONDS
BUTTON_SECONDS = 30.0  # somebody waits
FINGERPRINT = 8  # characters, by which a token is known from another
STATES = [
    ("never", "Not asked yet"),
    ("good", "OK"),
    ("warning", "Warning"),
    ("failing", "Failing"),
    ("silent", "No answer"),
]
ALARMS = [
    ("overdue", "Backup overdue"),
    ("stopped", "Backups have stopped"),
    ("silent", "No answer"),
]
UNKNOWN = {
    "state": "never",
    "failures": 0,
    "alarm": False,
    "asked_at": False,
    "answered_at": False,
    "last_good": False,
    "size": 0,
    "version": False,
    "reported_status": False,
    "reported_database": False,
    "problem": False,
    "problem_code": False,
    **error_columns(None),
}


class BackupServer(models.Model):
    """A database of another Odoo whose health endpoint is asked every few minutes."""

    _name = "backup.server"
    _inherit = [
        "backup.empty.mixin",
        "backup.error.mixin",
        "backup.readonly.mixin",
        "backup.secret.mixin",
        "backup.audit.mixin",
    ]
    _description = "Watched Server"
    _order = "name, id"
    READONLY_FIELDS = frozenset(("error", "hint", "error_code", "error_values"))

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    url = fields.Char(
        "Address",
        required=True,
        help="The address of that Odoo, or its health endpoint, which ends in "
        "/dfr_backup/health.",
    )
    database = fields.Char(
        help="The name of the database, when that server has several behind this "
        "address. It is sent in the header X-Odoo-Database."
    )
    token = fields.Char(
        compute="_compute_secrets",
        inverse="_inverse_token",
        help="The token of the health endpoint of that server.",
    )
    patience = fields.Integer(
        "Alert After Missed Answers",
        default=PATIENCE,
        required=True,
        help="The recipients are notified after this many missed answers. The server "
        "is asked every five minutes.",
    )
    alert_user_ids = fields.Many2many(
        "res.users", string="Recipients", default=lambda self: self.env.user
    )
    alert_emails = fields.Char("Other Addresses")
    # what it has said, or not
    state = fields.Selection(STATES, readonly=True, default="never", copy=False)
    failures = fields.Integer("Missed", readonly=True, copy=False)
    alarm = fields.Selection(ALARMS, readonly=True, copy=False)
    asked_at = fields.Datetime("Last Asked", readonly=True, copy=False)
    answered_at = fields.Datetime("Last Answer", readonly=True, copy=False)
    last_good = fields.Datetime("Last Verified Backup", readonly=True, copy=False)
    size = fields.Float("Backup Size", digits=(20, 0), readonly=True, copy=False)
    version = fields.Char("Addon Version", readonly=True, copy=False)
    reported_status = fields.Char(readonly=True, copy=False)
    reported_database = fields.Char(readonly=True, copy=False)
    problem = fields.Char("Reported Problem", readonly=True, copy=False)
    problem_code = fields.Char("Reported Code", readonly=True, copy=False)
    age_hours = fields.Float(
        "Age (hours)", compute="_compute_age_hours", digits=(16, 1)
    )
    situation = fields.Char("Problem", compute="_compute_situation")
    code = fields.Char(compute="_compute_situation")
    is_plain = fields.Boolean("Without TLS", compute="_compute_is_plain")

    _patience_is_positive = models.Constraint(
        "CHECK (patience BETWEEN 1 AND 1000)",
        "Enter a number of answers from 1 to 1000.",
    )

    @api.depends("last_good")
    def _compute_age_hours(self):
        now = fields.Datetime.now()
        for server in self:
            age = now - server.last_good if server.last_good else timedelta()
            server.age_hours = max(age.total_seconds(), 0) / 3600

    @api.depends("error", "problem", "reported_status", "error_values")
    @api.depends_context("lang")
    def _compute_situation(self):
        for server in self:
            told = server.problem or server._status_in_words()
            server.situation = displayed(server, "error") or told
            server.code = server.error_code or server.problem_code

    def _status_in_words(self):
        return {
            "no_plan": self.env._(
                "It has no active plan with a time limit for backups."
            ),
            "switched_off": self.env._("Backups are switched off in its odoo.conf."),
            "paused": self.env._("Backups are paused on it."),
        }.get(self.reported_status, False)

    @api.depends("url")
    def _compute_is_plain(self):
        for server in self:
            server.is_plain = (server.url or "").startswith("http:")

    def _inverse_token(self):
        self._encrypt_secret("token")

    # === SETTING UP === #

    @api.model_create_multi
    def create(self, vals_list):
        prepared = [self._prepared(vals) for vals in vals_list]
        servers = super().create(prepared)
        for server in servers:
            text = server._audited()["server"]
            self.env["backup.audit"]._note("server", server, "", text)
        servers._schedule()
        return servers

    def write(self, vals):
        vals = self._prepared(vals)
        moved = self.filtered(lambda server: server._leads_elsewhere(vals))
        if moved and vals.get("token", MASK) == MASK:
            # who may choose where it is sent must not get the stored one there
            vals = {**vals, "token": False}
        result = super().write(vals)
        if moved:
            moved.sudo().write(UNKNOWN)
        if "active" in vals:
            self._schedule()
        return result

    def unlink(self):
        result = super().unlink()
        self._schedule()
        return result

    def _leads_elsewhere(self, vals):
        now = (self.url, self.database or "")
        return now != (vals.get("url", now[0]), vals.get("database", now[1]) or "")

    def _prepared(self, vals):
        """Return values with a complete address. Raise ValidationError for one that
        may not be asked, and for what cannot be sent."""
        with translate_engine_errors(self.env, ValidationError):
            if "url" in vals:
                url = health_address(vals["url"] or "")
                odoo_config.watch_rules().check(url)
                vals = {**vals, "url": url}
            for name in ("database", "token"):
                if isinstance(vals.get(name), str):
                    vals = {**vals, name: vals[name].strip()}
                    if vals[name]:
                        check_header(vals[name])
        return vals

    def _host(self):
        return urlsplit(self.url).netloc

    @api.model
    def _schedule(self):
        """Let the scheduled action sleep while there is nobody to ask. One that is at
        work stays on: it has nothing to do."""
        cron = self.env.ref(CRON, raise_if_not_found=False)
        wanted = bool(self.sudo().search_count([], limit=1))
        if not cron or cron.sudo().active == wanted:
            return
        if try_lock(cron.sudo(), allow_referencing=True):
            cron.sudo().active = wanted

    # === ASKING === #

    def action_check(self):
        """Ask these servers now."""
        self.check_access("write")
        with translate_engine_errors(self.env, UserError):
            odoo_config.watch_rules().require()
        self.sudo()._ask(seconds=BUTTON_SECONDS)
        return True

    @api.model
    def _cron_watch(self):
        """Ask all servers, those that have waited for longest first."""
        if not odoo_config.is_enabled() or self.env["backup.version"]._mismatch():
            return
        if not odoo_config.watch_rules() or self.env["backup.identity"]._objection():
            return  # nobody may be asked; or the original of this copy does it
        servers = self.sudo().search([], order="asked_at NULLS FIRST, id")
        servers._ask(self._let_go)

    @api.model
    def _let_go(self):
        """End the transaction: none is held while others think about their answer."""
        commit_of_cron(self.env)

    def _ask(self, let_go=lambda: None, seconds=TOTAL_SECONDS):
        """Ask these servers and write down what they say, all of it at once."""
        asked = [(server, server._target()) for server in self]
        targets = [(s, found) for s, found in asked if isinstance(found, Target)]
        rules, outbound = odoo_config.watch_rules(), odoo_config.outbound_rules()
        watcher = Watcher(rules, outbound, ANSWER_SECONDS, seconds)
        let_go()
        found = watcher.ask_all([target for _server, target in targets])
        answers = {server.id: found for server, found in asked}
        answers.update({s.id: a for (s, _t), a in zip(targets, found, strict=True)})
        for server in self.exists():
            if answers[server.id] is not None:  # else there was no time for it
                server._note_answer(answers[server.id])

    def _target(self):
        """Return what to ask; an EngineError when the token cannot be read."""
        try:
            token = self._read_secret("token")
        except EngineError as error:
            return error
        return Target(self.url, self.database or "", token)

    def _note_answer(self, answer):
        now, before = fields.Datetime.now(), self._standing()
        if isinstance(answer, EngineError):
            after = unheard(before, self.patience)
            values = error_columns(answer)
        else:
            after = heard(answer)
            values = self._reported(answer, now)
        values["asked_at"] = now
        self.write({**values, **_columns(after)})
        if after.alarm != before.alarm:
            _logger.warning("Watched server %s: %s", self.name, after)
            with self.env["backup.plan"]._harmless():
                tell(self)

    def _standing(self):
        return Standing(self.state, self.failures, self.alarm or "")

    def _reported(self, health, now):
        """Return what a server says, as values. Its clock may be another: the age of
        its backup is what counts."""
        age = health.age
        return {
            **error_columns(None),
            "answered_at": now,
            "last_good": age is not None and now - timedelta(seconds=round(age)),
            "size": health.size or 0,
            "version": health.version,
            "reported_status": health.status,
            "reported_database": health.database,
            "problem": health.problem,
            "problem_code": health.code,
        }

    def _remedy(self):
        """Return what to do about the problem of this server, False for nothing."""
        if self.error:
            return displayed(self, "hint")
        return self.situation and self.env._("Open Backups / Overview on that server.")

    # === AUDIT === #

    def _audited_fields(self):
        return {"url", "database", "token", "active"}

    def _audited(self):
        return {"server": self._address_in_words(), "active": active_in_words(self)}

    def _address_in_words(self):
        token = (self.sudo().sealed_secrets or {}).get("token")
        known = hashlib.sha256(json.dumps(token).encode()).hexdigest()[:FINGERPRINT]
        parts = [self.url, self.database, token and f"token {known}"]
        return ", ".join(filter(None, parts))


def _columns(standing):
    return {
        "state": standing.state,
        "failures": standing.failures,
        "alarm": standing.alarm or False,
    }
