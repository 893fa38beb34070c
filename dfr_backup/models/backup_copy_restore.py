"""What a stored archive can become: a database, or the proof that it could."""

from odoo import api, models, release
from odoo.exceptions import UserError

from odoo.addons.base.models.res_users import check_identity

from .. import odoo_config
from ..engine.errors import EngineError
from ..runs.restore import DrillFlow, RestoreFlow
from .backup_copy import PRESENT_STATES
from .engine_messages import translate_engine_errors


class BackupCopy(models.Model):
    _inherit = "backup.copy"

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
            raise UserError(self.env._("This backup is not there to be restored."))
        with translate_engine_errors(self.env):
            copies._require_trusted()
        return copies.sudo()._request_drill("manual")._action_open()

    def action_restore(self):
        """Ask what the archive is to become."""
        self._check_manager()
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_restore_wizard_action"
        )
        return {**action, "context": {"default_copy_id": self.id}}

    def _request_drill(self, trigger, **values):
        """Start a drill of these copies. A copy that boots must not act: it is
        neutralized."""
        steps = [step for copy in self for step in copy._steps(DrillFlow.STEPS)]
        values = {"restore_neutralize": True, "restore_new_identity": True, **values}
        return (
            self.env["backup.job"]
            ._create_run("drill", steps, trigger, **values)
            ._start()
        )

    def _request_restore(self, **values):
        addons = values.get("restore_addons")
        steps = self._steps(
            kind for kind in RestoreFlow.STEPS if kind != "addons" or addons
        )
        return (
            self.env["backup.job"]
            ._create_run("restore", steps, "manual", **values)
            ._start()
        )

    def _read_key(self):
        """Return what this server has to decrypt the archive with, "" when it has
        nothing."""
        plan = self.plan_id
        if not plan:
            return ""
        by_passphrase = (self.job_id.encryption or plan.encryption) == "passphrase"
        return plan._read_secret("age_passphrase" if by_passphrase else "age_identity")

    def _needs_key(self):
        """Tell whether somebody has to give the key of the archive: this server has
        none, or cannot read it."""
        try:
            return self.encrypted and not self._read_key()
        except EngineError:
            return True

    def _steps(self, kinds):
        """Return the values of steps on this copy."""
        about = {"storage_id": self.storage_id.id, "copy_id": self.id}
        return [{"kind": kind, **about} for kind in kinds]

    # === PREVIEW === #

    @api.model
    def _facts_of(self, sidecar):
        """Return in a sentence what an archive holds."""
        if not sidecar.odoo_version and sidecar.encrypted:
            return self.env._("Encrypted: what is in it, only its key can tell.")
        return self.env._(
            "Database “%(database)s” of Odoo %(version)s, %(modules)s modules",
            database=sidecar.database,
            version=sidecar.odoo_version or self.env._("an unknown version"),
            modules=sidecar.modules,
        )

    @api.model
    def _trouble_with(self, sidecar, made_by_odoo):
        """Return what somebody should know before an archive is restored here, in
        lines."""
        trouble = [f"{part.part}: {part.reason}" for part in sidecar.missing]
        series = release.series.split(".")[0]
        if sidecar.odoo_version and sidecar.odoo_version.split(".")[0] != series:
            trouble.append(
                self.env._(
                    "It is of Odoo %(theirs)s, and this is %(ours)s.",
                    theirs=sidecar.odoo_version,
                    ours=release.series,
                )
            )
        if made_by_odoo:
            trouble.append(
                self.env._(
                    "Odoo's database manager made it: nobody has counted its rows, and "
                    "it has no SHA-256 checksums, so that a restore can compare less."
                )
            )
        absent = sorted(set(sidecar.module_names) - set(odoo_config.modules_on_disk()))
        if absent:
            trouble.append(self._missing_modules(absent, sidecar.addons))
        return "\n".join(trouble)

    @api.model
    def _missing_modules(self, absent, addons):
        """Return which modules this server lacks, and which of them the archive has."""
        enclosed = [name for name in absent if name in addons]
        if len(enclosed) == len(absent):
            return self.env._(
                "Modules that are not on this server, but in the archive: %s.",
                ", ".join(absent),
            )
        return self.env._(
            "Modules that are not on this server: %(absent)s. In the archive of these: "
            "%(enclosed)s.",
            absent=", ".join(absent),
            enclosed=", ".join(enclosed) or self.env._("none"),
        )
