from odoo import api, fields, models
from odoo.exceptions import UserError

from ..models.moments import in_words

LONGEST = 40  # characters of the original's name: PostgreSQL takes 63 in all


class BackupStagingWizard(models.TransientModel):
    """A restore with everything chosen as a staging copy wants it."""

    _name = "backup.staging.wizard"
    _inherit = ["backup.restore.wizard"]
    _description = "Make a Staging Copy"

    staging_id = fields.Many2one("backup.staging", "Staging Copy", readonly=True)
    replaced_in_words = fields.Text(compute="_compute_replaced_in_words")
    keep_days = fields.Integer(
        "Delete After (Days)",
        help="The copy is deleted automatically, this many days after it was "
        "made. You get an email before that. 0: it stays until somebody "
        "deletes it.",
    )

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        staging = self.env["backup.staging"].browse(values.get("staging_id"))
        if staging and "database" in names:
            values["database"] = staging.database
        return values

    @api.depends("staging_id")
    def _compute_replaced_in_words(self):
        for wizard in self:
            staging = wizard.staging_id
            there = staging.state == "ready"
            wizard.replaced_in_words = there and self.env._(
                "The database %(database)s as it is now is lost: everything that was "
                "changed in it since %(made)s (%(size)s). It is replaced when the new "
                "one is complete; until then the server needs the space for both.",
                database=staging.database,
                made=in_words(self.env, staging.made_at),
                size=staging._size_in_words(),
            )

    def _replaces(self):
        return bool(self.staging_id.oid)

    def _begin_staging(self):
        stagings, known = self.env["backup.staging"].sudo(), self.staging_id.sudo()
        database = known.database or self.database
        if known and self.database != database:
            raise UserError(self.env._("A refreshed copy keeps its name."))
        if not (self.neutralize and self.new_identity):
            raise UserError(self.env._("A staging copy is always neutralized."))
        return stagings._begin(database, self.keep_days, known)

    def _proposed_name(self, copy):
        original = copy.database or self.env.cr.dbname
        today = fields.Date.context_today(self)
        return self._free_name(f"{original[:LONGEST]}_staging_{today:%Y%m%d}")
