from lxml import etree

from odoo.tests import new_test_user, tagged
from odoo.tools.safe_eval import safe_eval

from .common import BackupCase

LISTS = (
    "backup.job",
    "backup.backup",
    "backup.copy",
    "backup.plan",
    "backup.storage",
)


@tagged("post_install", "-at_install")
class TestBackupLists(BackupCase):
    """What a list offers works for whoever may open it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        export = ",base.group_allow_export"
        cls.viewer = new_test_user(
            cls.env, "lists-viewer", "dfr_backup.group_viewer" + export
        )
        cls.manager = new_test_user(
            cls.env, "lists-manager", "dfr_backup.group_manager" + export
        )

    def setUp(self):
        super().setUp()
        job = self.run_now()
        self.finalize(job, 5000)
        self.end(job)
        self.record_copy(job)

    def test_each_page_of_the_menu_has_an_address_of_its_own(self):
        menus = self.env.ref("dfr_backup.menu_root")
        pages = self.env["ir.ui.menu"].search([("id", "child_of", menus.ids)])
        actions = [menu.action for menu in pages if menu.action]
        windows = [one for one in actions if one.type == "ir.actions.act_window"]
        self.assertGreater(len(windows), 5)
        nameless = [one.res_model for one in windows if not one.path]
        self.assertEqual(nameless, [])

    def test_a_browser_keeps_nothing_of_a_dialog(self):
        """Odoo would write what a dialog says on the browser's disk, a new private key
        as well, and show it the next time until the server has answered."""
        found = self.env["ir.model.data"].search(
            [("module", "=", "dfr_backup"), ("model", "=", "ir.actions.act_window")]
        )
        actions = self.env["ir.actions.act_window"].browse(found.mapped("res_id"))
        dialogs = actions.filtered(lambda one: self.env[one.res_model]._transient)
        self.assertGreater(len(dialogs), 3)
        self.assertEqual(dialogs.filtered("cache").mapped("res_model"), [])

    def models(self):
        users = (self.viewer, self.manager)
        return [self.env[name].with_user(user) for user in users for name in LISTS]

    def arch(self, model, kind):
        return etree.fromstring(model.get_view(view_type=kind)["arch"])

    def test_every_filter_and_grouping(self):
        for model in self.models():
            filters = self.arch(model, "search").findall(".//filter")
            self.assertGreater(len(filters), 3)
            for filter in filters:
                with self.subTest(model=model, filter=filter.get("name")):
                    model.search(safe_eval(filter.get("domain") or "[]"))
                    group = safe_eval(filter.get("context") or "{}").get("group_by")
                    groups = model.formatted_read_group(
                        [], [group] if group else [], ["__count"]
                    )
                    self.assertTrue(groups)

    def test_every_column_is_exported(self):
        for model in self.models():
            columns = {
                field.get("name") for field in self.arch(model, "list").findall("field")
            }
            with self.subTest(model=model):
                rows = model.search([]).export_data(sorted(columns))["datas"]
                self.assertEqual({len(row) for row in rows}, {len(columns)})

    def test_filters_that_a_page_begins_with_are_there(self):
        menus = self.env.ref("dfr_backup.menu_root")
        pages = self.env["ir.ui.menu"].search([("id", "child_of", menus.ids)])
        begun = 0
        for action in [menu.action for menu in pages if menu.action]:
            if action.type != "ir.actions.act_window":
                continue
            names = {
                key.removeprefix("search_default_")
                for key in safe_eval(action.context or "{}")
                if key.startswith("search_default_")
            }
            arch = self.arch(self.env[action.res_model], "search")
            there = {filter.get("name") for filter in arch.findall(".//filter")}
            self.assertLessEqual(names, there, action.res_model)
            begun += len(names)
        self.assertGreater(begun, 2)

    def test_what_is_technical_is_never_what_opens(self):
        pages = self.arch(self.env["backup.job"], "form").findall(".//page")
        names = [page.get("name") for page in pages]
        self.assertNotEqual(names[0], "technical")
        self.assertFalse(pages[0].get("invisible"))
        technical = pages[names.index("technical")]
        fields = {field.get("name") for field in technical.iter("field")}
        self.assertLessEqual({"pid", "uuid"}, fields)

    def test_shared_favourites(self):
        filters = self.env["ir.filters"].search([("model_id", "in", LISTS)])
        self.assertGreaterEqual(len(filters), 3)
        for favourite in filters:
            model = self.env[favourite.model_id].with_user(self.viewer)
            offered = self.env["ir.filters"].with_user(self.viewer)
            names = offered.get_filters(model._name, favourite.action_id.id)
            self.assertIn(favourite.name, [found["name"] for found in names])
            groups = safe_eval(favourite.context)["group_by"]
            model.formatted_read_group(
                favourite._get_eval_domain(), groups, ["__count"]
            )
