"""What a run gets of Odoo: its record, and plain objects that do what only one part of
the addon knows. ``runs/context.py`` has the types."""

from ...engine.policy.supervision import MAX_ATTEMPTS
from .archive import Archive
from .catalogue import Copies
from .database import Database
from .ending import Ending
from .files import Files
from .packs import Packs
from .part import Part
from .plan import Plan
from .repairs import Repairs
from .restores import Restores
from .store import Store


class Cancel(Part):
    def check(self):
        """Raise Cancelled when somebody has asked for it."""
        self.job._check_cancel()

    def may_try_again(self):
        return self.job.attempt < MAX_ATTEMPTS

    def must_give_up(self):
        """Tell whether this attempt is there only to remove what the others have
        left."""
        return self.job.attempt > MAX_ATTEMPTS


class RunContext:
    def __init__(self, job):
        self.job = job
        self.store = Store(self)
        self.cancel = Cancel(self)
        self.ending = Ending(self)
        self.files = Files(self)
        self.database = Database(self)
        self.plan = Plan(self)
        self.archive = Archive(self)
        self.catalogue = Copies(self)
        self.packs = Packs(self)
        self.restores = Restores(self)
        self.repairs = Repairs(self)
