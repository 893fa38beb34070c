from pathlib import Path

from odoo import api, fields, models, release
from odoo.exceptions import UserError

from .. import server
from ..engine.browse import read_contents
from ..engine.contents import describe
from ..engine.errors import EngineError
from ..engine.restore.preflight import Surroundings, preflight
from ..models.engine_messages import translate

LONGEST = 40  # characters of the original's name: PostgreSQL takes 63 in all
SQL_RATIO = (
    5  # bytes of SQL per byte of an archive, rather too many, where nobody has counted
)


class BackupStagingWizard(models.TransientModel):
    """A restore with everything chosen as a staging copy wants it."""

    _name = "backup.staging.wizard"
    _inherit = ["backup.restore.wizard"]
    _description = "Make a Staging Copy"

    obstacles = fields.Text(compute="_compute_findings")
    remarks = fields.Text(compute="_compute_findings")
    needs_key = fields.Boolean(compute="_compute_needs_key")
    lacks_modules = fields.Boolean(compute="_compute_findings")

    @api.model
    def default_get(self, names):
        values = super().default_get(names)
        copy = self.env["backup.copy"].browse(values.get("copy_id"))
        if copy and "database" in names:
            values["database"] = self._free_name(copy.database or self.env.cr.dbname)
        return values

    def _free_name(self, original):
        """Return a name that no database and no filestore of this server has."""
        today = fields.Date.context_today(self)
        name = f"{original[:LONGEST]}_staging_{today:%Y%m%d}"
        self.env.cr.execute("SELECT datname FROM pg_database")
        taken = {row[0] for row in self.env.cr.fetchall()}
        number, free = 1, name
        while free in taken or Path(server.filestore_path(free)).exists():
            number += 1
            free = f"{name}_{number}"
        return free

    @api.depends("copy_id")
    def _compute_needs_key(self):
        for wizard in self:
            wizard.needs_key = wizard.copy_id.sudo()._needs_key()

    @api.depends("copy_id", "database", "accept_missing_modules")
    def _compute_findings(self):
        for wizard in self:
            found = wizard._findings()
            accepted = ["modules_missing"] if wizard.accept_missing_modules else []
            bad = [f for f in found if f.blocking and f.code not in accepted]
            wizard.lacks_modules = any(f.code == "modules_missing" for f in found)
            wizard.obstacles = "\n".join(wizard._in_words(finding) for finding in bad)
            wizard.remarks = "\n".join(
                wizard._in_words(f) for f in found if f not in bad
            )

    def _in_words(self, finding):
        return translate(self.env, finding.error.in_full)

    def _findings(self):
        """Return what speaks against this restore, as far as the manifest can tell.
        What cannot be looked at now, the run itself will find."""
        copy = self.copy_id.sudo()
        try:
            contents = read_contents(copy._get_checked_storage(), copy.key)
            steps = copy.job_id.step_ids.filtered(
                lambda step: step.kind == "dump_database"
            )
            sql_bytes = sum(steps.mapped("bytes_done")) or copy.size * SQL_RATIO
            parts = (copy.contents or "").split(", ")
            surroundings = Surroundings(
                server.place(self.database or ""),
                release.series,
                server.modules_on_disk(),
            )
            connection = server.connection("postgres", "dfr_backup preflight")
            return preflight(
                describe(contents, parts, int(sql_bytes)), surroundings, connection
            )
        except EngineError:
            return []

    def action_make(self):
        """Start the restore, unless it is known already that it would fail."""
        self.ensure_one()
        self.copy_id._check_manager()
        if self.obstacles:
            raise UserError(self.obstacles)
        return self.action_restore()
