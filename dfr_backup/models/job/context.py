"""What a run gets of Odoo: its record, and plain objects that do what only one part of
the addon knows. ``runs/context.py`` has the types."""

from .archive import Archive
from .catalogue import Copies
from .database import Database
from .files import Files
from .part import Part
from .plan import Plan
from .repairs import Repairs
from .restores import Restores
from .store import Store

MAX_ATTEMPTS = 3  # runners that may take up one run before it is closed


class Cancel(Part):
    def check(self):
        """Raise Cancelled when somebody has asked for it."""
        self.job._check_cancel()

    def may_try_again(self):
        return self.job.attempt < MAX_ATTEMPTS


class RunContext:
    def __init__(self, job):
        self.job = job
        self.store = Store(self)
        self.cancel = Cancel(self)
        self.files = Files(self)
        self.database = Database(self)
        self.plan = Plan(self)
        self.archive = Archive(self)
        self.catalogue = Copies(self)
        self.restores = Restores(self)
        self.repairs = Repairs(self)
