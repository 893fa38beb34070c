"""A kind of run: how many objects are there?"""

from odoo.addons.dfr_backup.engine.messages import Message
from odoo.addons.dfr_backup.runs.base import Run
from odoo.addons.dfr_backup.runs.registry import register
from odoo.addons.dfr_backup.runs.steps import Step

COUNT = Step("count", "Count objects", per="storage")


@register("count")
class CountRun(Run):
    """One step for each storage."""

    label = "Count"
    STEPS = (COUNT,)

    def again(self):
        return self.job.step_ids.storage_id.action_count()

    def count(self, progress, storage):
        found = list(storage._get_storage().list())
        progress.log(Message("%(count)s objects", count=len(found)))
