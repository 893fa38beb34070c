"""What a plan does with stored copies: encrypt them, keep the right ones, look at
them again."""

from datetime import datetime, timedelta, timezone

from markupsafe import Markup

from odoo import api, fields, models, release
from odoo.exceptions import ValidationError

from ..engine.encryption.files import fingerprint, parse_recipients
from ..engine.policy.expiry import expires_at
from ..engine.policy.retention import plan_retention
from .backup_retention_mixin import RULES
from .backup_step import ENCRYPTIONS
from .copy.states import PRESENT_STATES, naive
from .engine_messages import translate, translate_engine_errors

MIN_PASSPHRASE = 12  # characters


class BackupPlan(models.Model):
    _inherit = "backup.plan"

    encryption = fields.Selection(ENCRYPTIONS, required=True, default="none")
    age_recipients = fields.Text(
        string="Public Keys",
        help="One for each line, as age or ssh-keygen make them: age1…, ssh-ed25519 …. "
        "Whoever "
        "has one of the private keys can read the backups; this server cannot.",
    )
    age_passphrase = fields.Char(
        string="Passphrase",
        compute="_compute_secrets",
        inverse="_inverse_age_passphrase",
    )
    verify_every = fields.Selection(
        [
            ("0", "Never again"),
            ("1", "Every day"),
            ("7", "Every week"),
            ("30", "Every month"),
        ],
        string="Verify Stored Copies",
        required=True,
        default="7",
        help="Each copy is verified when it is stored. This looks at the newest ones "
        "again.",
    )
    verify_newest = fields.Integer(
        string="Newest Copies", default=1, help="So many in each storage are read back."
    )
    next_verification = fields.Datetime(
        compute="_compute_next_verification", store=True, readonly=False, copy=False
    )
    retention_preview = fields.Html(
        compute="_compute_retention_preview", sanitize=False
    )

    _verify_newest_positive = models.Constraint(
        "CHECK (verify_newest > 0)", "Verify at least one copy, or never."
    )

    # === ENCRYPTION === #

    def _inverse_age_passphrase(self):
        for plan in self:
            value = plan.age_passphrase
            if value and set(value) != {"*"} and len(value) < MIN_PASSPHRASE:
                raise ValidationError(
                    self.env._(
                        "A passphrase of fewer than %s characters can be guessed.", 12
                    )
                )
        self._seal_secret("age_passphrase")

    def _recipients(self):
        """Return the public keys for which archives are encrypted, as text."""
        if self.encryption != "recipients":
            return []
        return [
            recipient.text for recipient in parse_recipients(self.age_recipients or "")
        ]

    @api.constrains("encryption", "age_recipients")
    def _check_encryption(self):
        for plan in self.filtered(lambda plan: plan.encryption == "recipients"):
            with translate_engine_errors(self.env, ValidationError):
                parse_recipients(plan.age_recipients or "")

    def action_recovery_kit(self):
        """Download one page that says what is needed to get the data back."""
        self.ensure_one()
        self.check_access("read")
        url = f"/dfr_backup/recovery_kit/{self.id}"
        return {"type": "ir.actions.act_url", "url": url, "target": "download"}

    def _recovery_kit(self):
        """Return the values of the page."""
        self.ensure_one()
        newest = {storage: self._stored(storage)[:1] for storage in self.storage_ids}
        kinds = dict(
            self.storage_ids._fields["provider"]._description_selection(self.env)
        )
        encrypted = self.encryption != "none"
        return {
            **self._recovery_kit_words(encrypted),
            "plan": self,
            "lang": (self.env.lang or "en").partition("_")[0],
            "keys": [(key, fingerprint(key)) for key in self._recipients()],
            "storages": [
                (
                    storage.name,
                    kinds[storage.provider],
                    storage._where(),
                    newest[storage].key or "",
                )
                for storage in newest
            ],
        }

    def _recovery_kit_words(self, encrypted):
        """Return the sentences of the page that have something put into them."""
        name = Markup("<code>DATABASE-TIME-ID.zip%s</code>") % (
            ".age" if encrypted else ""
        )
        return {
            "title": self.env._("Recovery kit of “%s”", self.name),
            "about": self.env._(
                "Database %(database)s, written on %(moment)s UTC. This page holds no "
                "secret. Keep it where you find it when the server is gone, and beside "
                "it what it asks for.",
                database=Markup("<strong>%s</strong>") % self.env.cr.dbname,
                moment=fields.Datetime.now(),
            ),
            "files": self.env._(
                "A backup is a file %(name)s and a %(sidecar)s of the same name beside "
                "it, which holds its size and SHA-256. Have the credentials of the "
                "storages at hand: they are not on this page.",
                name=name,
                sidecar=Markup("<code>.json</code>"),
            ),
            "restore": self.env._("%s. Restore it", 4 if encrypted else 3),
            "place": self.env._(
                "On a machine with Odoo %(version)s, PostgreSQL and the custom addons, "
                "which are in the folder %(folder)s of the archive:",
                version=release.major_version,
                folder=Markup("<code>addons</code>"),
            ),
        }

    # === RETENTION === #

    def _retention_rules(self, storage):
        """Return the record whose rules hold for this plan in ``storage``; none:
        keep all."""
        self.ensure_one()
        rules = storage if storage.own_retention else self
        return rules if rules.retention != "none" else None

    def _stored(self, storage):
        """Return this plan's copies that are in ``storage``."""
        return self.env["backup.copy"].search(
            [
                ("plan_id", "=", self.id),
                ("storage_id", "=", storage.id),
                ("state", "in", PRESENT_STATES),
            ]
        )

    def _decide(self, storage, storage_now=None):
        """Return the engine's decision for this plan's copies in ``storage``."""
        copies = [copy._as_retention_copy() for copy in self._stored(storage)]
        policy = self._retention_rules(storage)._policy()
        return plan_retention(copies, policy, self.tz, _now(), storage_now)

    def _expiry(self, storage):
        """Return when each copy in ``storage`` goes, by the copy's id; naive, in
        UTC."""
        rules = self._retention_rules(storage)
        if not rules or storage.is_foreign or not storage.can_delete:
            return {}
        copies = [copy._as_retention_copy() for copy in self._stored(storage)]
        found = expires_at(copies, rules._policy(), self.tz, _now())
        return {int(key): naive(moment) for key, moment in found.items() if moment}

    @api.depends("storage_ids", "tz", "retention", *RULES)
    def _compute_retention_preview(self):
        for plan in self:
            parts = [plan._preview(storage) for storage in plan._origin.storage_ids]
            plan.retention_preview = Markup().join(parts)

    def _preview(self, storage):
        """Return what the next clean-up would do in one storage, as HTML."""
        title = Markup("<h4>%s</h4>") % storage.name
        rules = storage if storage.own_retention else self
        if rules.retention == "none":
            return title + Markup("<p>%s</p>") % self.env._("Everything stays.")
        if not storage.can_delete:
            text = self.env._(
                "The credentials may not delete: the storage itself must."
            )
            return title + Markup("<p>%s</p>") % text
        copies = self._origin._stored(storage)
        policy = rules._policy()
        if policy.problems():
            return title + Markup("<p class='text-danger'>%s</p>") % " ".join(
                translate(self.env, p) for p in policy.problems()
            )
        decision = plan_retention(
            [c._as_retention_copy() for c in copies], policy, self.tz, _now()
        )
        return title + self._preview_table(
            decision, {str(copy.id): copy for copy in copies}
        )

    def _preview_table(self, decision, copies):
        going = len(decision.deletions)
        text = self.env._(
            "After the next good backup %(go)s of these would go, and %(stay)s would "
            "stay.",
            go=going,
            stay=len(copies) - going,
        )
        rows = [
            Markup("<tr class='%s'><td>%s</td><td>%s</td><td>%s</td></tr>")
            % (
                "" if verdict.keep else "text-danger",
                copies[verdict.identifier].key,
                self.env._("stays") if verdict.keep else self.env._("goes"),
                ", ".join(self._reason(reason) for reason in verdict.reasons),
            )
            for verdict in decision.verdicts
        ]
        table = Markup("<table class='table table-sm'>%s</table>") % Markup().join(rows)
        refused = Markup("<p class='text-danger'>%s</p>") % translate(
            self.env, decision.refused
        )
        return (
            (refused if decision.refused else Markup())
            + Markup("<p>%s</p>") % text
            + table
        )

    def _reason(self, reason):
        """Return why a copy stays or goes, in words."""
        words = {
            "last": self.env._("newest"),
            "hourly": self.env._("hourly"),
            "daily": self.env._("daily"),
            "weekly": self.env._("weekly"),
            "monthly": self.env._("monthly"),
            "yearly": self.env._("yearly"),
            "minimum": self.env._("one of the newest that always stay"),
            "within": self.env._("of the last days"),
            "foreign": self.env._("of another database"),
            "protected": self.env._("protected"),
            "running": self.env._("still being made"),
            "unverified": self.env._("too few are verified"),
            "refused": self.env._("nothing is deleted now"),
            "surplus": self.env._("no rule wants it"),
        }
        detail = (
            reason.period if reason.rule not in ("minimum", "last", "within") else ""
        )
        return f"{words[reason.rule]} {detail}".strip()

    # === VERIFICATION === #

    @api.depends("verify_every", "active")
    def _compute_next_verification(self):
        for plan in self:
            plan.next_verification = plan._after_verification()

    def _after_verification(self):
        days = int(self.verify_every or 0)
        return (
            fields.Datetime.now() + timedelta(days=days)
            if days and self.active
            else False
        )

    @api.model
    def _create_due_verifications(self):
        """Create one verification for each plan whose time has come."""
        now = fields.Datetime.now()
        for plan in self.search(
            [("next_verification", "<=", now)]
        ).try_lock_for_update():
            plan.next_verification = plan._after_verification()
            waiting = [("plan_id", "=", plan.id), ("kind", "=", "verify")]
            copies = plan._newest_copies()
            jobs = self.env["backup.job"]
            if copies and not jobs.search_count(
                [*waiting, ("state", "=", "pending")], limit=1
            ):
                copies._request_verification("schedule", plan_id=plan.id)

    def _newest_copies(self):
        """Return the newest copies of this plan in each of its storages."""
        copies = self.env["backup.copy"]
        return copies.union(
            *(self._stored(s)[: self.verify_newest] for s in self.storage_ids)
        )


def _now():
    return datetime.now(timezone.utc)
