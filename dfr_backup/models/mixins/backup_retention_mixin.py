from odoo import api, fields, models
from odoo.exceptions import ValidationError

from ...engine.messages import Joined
from ...engine.policy.retention import PRESETS, Policy
from ..engine_messages import translate

RULES = {
    "keep_last": "keep_last",
    "keep_hourly": "hourly",
    "keep_daily": "daily",
    "keep_weekly": "weekly",
    "keep_monthly": "monthly",
    "keep_yearly": "yearly",
    "keep_within_days": "within_days",
    "keep_minimum": "minimum",
}


class BackupRetentionMixin(models.AbstractModel):
    """How many backups stay, and for how long. The rules are added up: a backup
    stays when any of them wants it."""

    _name = "backup.retention.mixin"
    _description = "Record with Retention"

    retention = fields.Selection(
        [
            ("odoo_sh", "Like Odoo.sh: 7 daily, 4 weekly, 3 monthly"),
            ("month", "One month: 31 daily"),
            ("year", "A year: 7 daily, 5 weekly, 12 monthly, 1 yearly"),
            ("ten_years", "Ten years: 14 daily, 8 weekly, 12 monthly, 10 yearly"),
            ("custom", "Custom"),
            ("none", "Keep everything"),
        ],
        string="Keep",
        required=True,
        default="odoo_sh",
    )
    keep_last = fields.Integer(
        "Latest", compute="_compute_rules", store=True, readonly=False
    )
    keep_hourly = fields.Integer(
        "Hourly", compute="_compute_rules", store=True, readonly=False
    )
    keep_daily = fields.Integer(
        "Daily", compute="_compute_rules", store=True, readonly=False
    )
    keep_weekly = fields.Integer(
        "Weekly", compute="_compute_rules", store=True, readonly=False
    )
    keep_monthly = fields.Integer(
        "Monthly", compute="_compute_rules", store=True, readonly=False
    )
    keep_yearly = fields.Integer(
        "Yearly", compute="_compute_rules", store=True, readonly=False
    )
    keep_within_days = fields.Integer(
        "Keep Everything for (Days)",
        compute="_compute_rules",
        store=True,
        readonly=False,
    )
    keep_minimum = fields.Integer(
        "Always Keep at Least",
        compute="_compute_rules",
        store=True,
        readonly=False,
        help="Minimum number of verified backups kept in each storage, regardless of "
        "the rules.",
    )

    @api.depends("retention")
    def _compute_rules(self):
        for record in self:
            preset = PRESETS.get(record.retention)
            if preset:
                record.update(
                    {name: getattr(preset, rule) for name, rule in RULES.items()}
                )
            elif not record.keep_minimum:
                record.update(
                    {name: getattr(Policy(), rule) for name, rule in RULES.items()}
                )

    @api.constrains("retention", *RULES)
    def _check_retention(self):
        for record in self:
            problems = record._policy().problems()
            if problems:
                text = translate(record.env, Joined(problems, "\n"))
                raise ValidationError(text)

    def _policy(self):
        """Return the engine's policy of this record."""
        self.ensure_one()
        return Policy(**{rule: self[name] for name, rule in RULES.items()})
