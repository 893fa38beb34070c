"""A page costs as much with ten thousand runs as with ten."""

from lxml import etree

from odoo.tests import Form, tagged

from .test_backup_overview import OverviewCase

FEW = 100  # more than a page of a list
MANY = 10_000
RELATIONS = ("many2one", "many2many", "one2many")


@tagged("post_install", "-at_install")
class TestLongHistory(OverviewCase):
    def test_no_page_asks_more_when_there_are_more_runs(self):
        self.fill(FEW)
        few = {name: self.queries(page) for name, page in self.pages().items()}
        self.env.cr.execute("UPDATE backup_job SET uuid = 'older-' || id")
        self.env.cr.execute("UPDATE backup_copy SET key = 'older-' || id")
        self.fill(MANY)
        many = {name: self.queries(page) for name, page in self.pages().items()}
        for name, count in many.items():
            self.assertLessEqual(count, few[name], name)
        self.assertLess(many["overview"], 60)
        self.assertLess(many["systray"], 30)

    def pages(self):
        """Return what the web client asks for on each page, as functions."""
        env = self.env(user=self.manager)
        overview = env["backup.overview"]
        job = env["backup.job"].search([], limit=1)
        copy = env["backup.copy"].search([], limit=1)
        return {
            "overview": overview.get_overview,
            "systray": overview.get_status,
            "runs, list": self.page_of(env["backup.job"], "list"),
            "runs, kanban": self.page_of(env["backup.job"], "kanban"),
            "run": lambda: Form(job),
            "stored backups, list": self.page_of(env["backup.copy"], "list"),
            "stored backup": lambda: Form(copy),
            "plans, list": self.page_of(env["backup.plan"], "list"),
            "plan": lambda: Form(self.plan.with_env(env)),
            "storages, list": self.page_of(env["backup.storage"], "list"),
            "storage": lambda: Form(self.storage.with_env(env)),
        }

    def page_of(self, model, view):
        """Return a function that reads the first page of a list or a kanban."""
        arch = etree.fromstring(model.get_view(view_type=view)["arch"])
        fields = {node.get("name") for node in arch.iter("field")}
        related = {"fields": {"display_name": {}}}
        wanted = {
            name: related if model._fields[name].type in RELATIONS else {}
            for name in fields
        }
        return lambda: model.web_search_read([], wanted, limit=80, count_limit=10_001)

    def queries(self, page):
        page()  # fills the caches of the registry
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        page()
        return self.env.cr.sql_log_count - before
