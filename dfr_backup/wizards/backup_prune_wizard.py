from odoo import api, fields, models

from ..engine.errors import EngineError
from ..engine.errors.other import NotLookedInTime
from ..engine.errors.packs import CopyNotListed
from ..models.actions import form_action
from ..models.backup_audit import asks_password
from ..models.engine_messages import format_error
from ..models.storage import pruning

LOOK_SECONDS = 20  # a request has 120 in a usual Odoo


class BackupPruneWizard(models.TransientModel):
    """What a prune would delete: looked at before somebody says that it may."""

    _name = "backup.prune.wizard"
    _description = "Prune a Storage"

    storage_id = fields.Many2one("backup.storage", required=True, readonly=True)
    # stored, because the look notes something, and is not to be taken again by each
    # request that reads the form, which may not write
    problem = fields.Text(compute="_compute_look", store=True)
    problem_code = fields.Char(compute="_compute_look", store=True)
    now_packs = fields.Integer("Deleted Now", compute="_compute_look", store=True)
    now_size = fields.Float("Size Deleted Now", compute="_compute_look", store=True)
    later_packs = fields.Integer("Deleted Later", compute="_compute_look", store=True)
    later_size = fields.Float("Size Deleted Later", compute="_compute_look", store=True)
    has_lost = fields.Boolean("Has Lost Copies", compute="_compute_look", store=True)
    is_unknown = fields.Boolean(
        compute="_compute_look",
        store=True,
        help="There was no time to look at all of the storage.",
    )

    @api.depends("storage_id")
    def _compute_look(self):
        for wizard in self:
            found, error = [], None
            try:
                found = pruning.look(wizard.storage_id.sudo(), LOOK_SECONDS)
            except EngineError as problem:
                error = problem
            wizard.problem = error and format_error(self.env, error)
            wizard.problem_code = error and error.code
            wizard.is_unknown = isinstance(error, NotLookedInTime)
            wizard.has_lost = isinstance(error, CopyNotListed)
            due = [pack.size for pack in found if pack.due]
            others = [pack.size for pack in found if not pack.due]
            wizard.now_packs, wizard.now_size = len(due), sum(due)
            wizard.later_packs, wizard.later_size = len(others), sum(others)

    @api.model
    def _open(self, storage):
        """Return the action that shows what a prune of this storage would do."""
        wizard = self.create({"storage_id": storage.id})
        return form_action(wizard, self.env._("Prune"), dialog=True)

    def action_prune(self):
        """Start the run, and show it."""
        self.ensure_one()
        return self.storage_id.action_prune()

    @asks_password
    def action_give_up_lost(self):
        """Let lost backups stop it no more, and look again."""
        self.ensure_one()
        self.storage_id.action_give_up_lost()
        return self._open(self.storage_id)
