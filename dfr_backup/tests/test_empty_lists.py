from datetime import timedelta
from unittest.mock import patch

from lxml import etree, html

from odoo import fields
from odoo.tests import new_test_user, tagged
from odoo.tools import config

from .. import odoo_config
from .common import BackupCase

STORED = ("backup_backup_action", "backup_restore_action", "backup_copy_action")
HISTORY = (*STORED, "backup_job_action", "backup_filestore_issue_action")
STAGING = "backup_staging_action"
LISTS = (*HISTORY, "backup_plan_action", "backup_storage_action", STAGING)
FORMS = (
    "backup.job",
    "backup.backup",
    "backup.copy",
    "backup.plan",
    "backup.staging",
    "backup.storage",
)
KINDS = ("list", "kanban", "form")


class EmptyCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {
            name: new_test_user(cls.env, f"empty-{name}", group)
            for name, group in (
                ("employee", "base.group_user"),
                ("viewer", "dfr_backup.group_viewer"),
                ("manager", "dfr_backup.group_manager"),
                ("system", "base.group_system"),
            )
        }

    def help_of(self, action, role):
        """Return the help of an action as the web client gets it, as an element."""
        actions = self.env["ir.actions.act_window"].with_user(self.users[role])
        found = actions._for_xml_id(f"dfr_backup.{action}")["help"]
        return html.fragment_fromstring(found, create_parent="div")

    def state_of(self, action, role="viewer"):
        (state,) = self.help_of(action, role).xpath("./p/@data-state")
        return state

    def links_of(self, action, role):
        return self.help_of(action, role).xpath(".//a[@type='action']/@name")

    def step_of(self, action, role):
        found = self.help_of(action, role).find_class("o_backup_next_step")
        return found[0].text_content() if found else ""

    def arch(self, model, kind, role):
        records = self.env[model].with_user(self.users[role])
        return etree.fromstring(records.get_view(view_type=kind)["arch"])

    def archive_all(self):
        """What is left when somebody has archived the only plan and its storage."""
        self.plan.active = False
        self.env["backup.storage"].search([]).active = False


@tagged("post_install", "-at_install")
class TestEmptyLists(EmptyCase):
    """An empty list tells its reader what is true, and what he can do."""

    def test_without_a_plan(self):
        self.env["backup.plan"].with_context(active_test=False).search([]).unlink()
        for action in HISTORY[:-1]:
            for role in ("viewer", "manager"):
                self.assertEqual(self.state_of(action, role), "no_plan", action)
        self.assertEqual(self.state_of("backup_plan_action"), "none")
        self.assertEqual(self.state_of("backup_filestore_issue_action"), "unchecked")
        for action in (*HISTORY, "backup_plan_action"):
            links = self.links_of(action, "manager")
            self.assertEqual(links, ["dfr_backup.backup_setup_action"], action)

    def test_what_is_archived_is_said(self):
        self.archive_all()
        self.assertEqual(self.state_of("backup_plan_action"), "archived")
        self.assertEqual(self.state_of("backup_storage_action"), "archived")
        self.assertEqual(self.state_of("backup_job_action"), "no_plan")
        links = self.links_of("backup_job_action", "manager")
        self.assertEqual(links, ["dfr_backup.backup_plan_action"])

    def test_a_viewer_is_sent_nowhere_that_he_may_not_go(self):
        for state in (lambda: None, self.archive_all):
            state()
            for action in LISTS:
                self.assertEqual(self.links_of(action, "viewer"), [], action)

    def test_a_managers_next_step_is_there_for_him(self):
        actions = self.env["ir.actions.actions"].with_user(self.users["manager"])
        for state in (lambda: None, self.archive_all):
            state()
            for action in LISTS:
                for name in self.links_of(action, "manager"):
                    allowed = self.env.ref(name)._fields.get("group_ids")
                    groups = self.env.ref(name).group_ids if allowed else None
                    users = self.users["manager"].all_group_ids
                    self.assertTrue(not groups or groups & users, name)
                    self.assertTrue(actions._for_xml_id(name))

    def test_both_read_something_else_where_both_could_do_something_else(self):
        self.archive_all()
        for action in LISTS:
            steps = {self.step_of(action, role) for role in ("viewer", "manager")}
            self.assertEqual(len(steps), 2, action)

    def test_no_button_is_named_that_its_reader_has_not_got(self):
        missing = self.buttons_that_viewers_miss()
        self.assertGreater(len(missing), 10)
        for state in (lambda: None, self.archive_all):
            state()
            for action in LISTS:
                text = self.help_of(action, "viewer").text_content()
                self.assertEqual([n for n in missing if f"“{n}”" in text], [], action)

    def buttons_that_viewers_miss(self):
        found = {"New"}  # the web client's own
        for model in FORMS:
            for kind in KINDS:
                manager, viewer = (
                    self.buttons(model, kind, role) for role in ("manager", "viewer")
                )
                found |= manager - viewer
        return found - {None}

    def buttons(self, model, kind, role):
        arch = self.arch(model, kind, role)
        return {button.get("string") for button in arch.iter("button")}

    def test_the_next_run_is_told(self):
        for role in ("viewer", "manager"):
            before = self.step_of("backup_job_action", role)
            self.assertEqual(self.state_of("backup_job_action", role), "none")
            self.plan.next_run += timedelta(days=3)
            self.assertNotEqual(self.step_of("backup_job_action", role), before)
        self.plan.frequency = "manual"
        for role in ("viewer", "manager"):
            self.assertTrue(self.step_of("backup_job_action", role))

    def test_what_is_only_filtered_away_is_not_called_missing(self):
        job = self.run_now()
        self.end(job)
        self.record_copy(job)
        self.env["backup.staging"].create({"database": "shop_test"})
        for action in LISTS:
            if action != "backup_filestore_issue_action":
                self.assertEqual(self.state_of(action), "hidden", action)
                self.assertEqual(self.links_of(action, "manager"), [], action)

    def test_where_a_staging_copy_can_be_made_its_maker_is_sent(self):
        job = self.run_now()
        self.end(job)
        self.record_copy(job)
        self.assertEqual(self.state_of(STAGING), "none")
        overview = ["dfr_backup.backup_overview_action"]
        self.assertEqual(self.links_of(STAGING, "manager"), overview)
        steps = {self.step_of(STAGING, role) for role in ("viewer", "manager")}
        self.assertEqual(len(steps), 2)
        self.assertTrue(all(steps))

    def test_attachments_are_only_called_intact_once_they_were_read(self):
        action = "backup_filestore_issue_action"
        self.assertEqual(self.state_of(action), "unchecked")
        job = self.run_now()
        self.end(job, archive_files="failure")
        self.assertEqual(self.state_of(action), "unchecked")
        self.end(self.run_now())
        self.assertEqual(self.state_of(action), "intact")
        issue = self.env["backup.filestore.issue"].create(
            {
                "attachment": 1,
                "store_fname": "aa/bb",
                "kind": "missing",
                "first_seen": fields.Datetime.now(),
                "last_seen": fields.Datetime.now(),
            }
        )
        self.assertEqual(self.state_of(action), "hidden")
        issue.state = "repaired"
        self.assertEqual(self.state_of(action), "intact")

    def test_watched_servers(self):
        with patch.dict(config._file_options, {"dfr_backup_watch_hosts": ""}):
            self.assertEqual(self.state_of("backup_server_action", "system"), "off")
        named = {"dfr_backup_watch_hosts": "127.0.0.1:9"}
        with patch.dict(config._file_options, named):
            self.assertEqual(self.state_of("backup_server_action", "system"), "none")

    def test_who_may_not_read_learns_nothing(self):
        for action in LISTS:
            found = self.help_of(action, "employee").xpath("./p/@data-state")
            self.assertEqual(found, [], action)
        found = self.help_of("backup_audit_action", "viewer").xpath("./p/@data-state")
        self.assertEqual(found, [])

    def test_the_set_up_takes_an_archived_storage_back(self):
        path = self.root / "own"
        self.startPatcher(
            patch.object(odoo_config, "default_storage_path", lambda *_names: path)
        )
        self.storage.local_path = str(path)
        self.archive_all()
        setups = self.env["backup.setup"].with_user(self.users["manager"])
        shown = setups.action_open()
        plan = setups.browse(shown["res_id"]).plan_id
        self.assertEqual(plan.storage_ids, self.storage)
        self.assertTrue(self.storage.active)


@tagged("post_install", "-at_install")
class TestReadersForms(EmptyCase):
    """What a viewer sees of a page has nothing that only a manager can use."""

    def test_no_row_can_be_dragged(self):
        for model in ("backup.plan", "backup.storage"):
            for role, count in (("viewer", 0), ("manager", 1)):
                arch = self.arch(model, "list", role)
                handles = arch.xpath("//field[@widget='handle']")
                self.assertEqual(len(handles), count, (model, role))

    def test_no_text_names_a_button_that_is_not_there(self):
        for model in FORMS:
            manager, viewer = (
                self.arch(model, "form", role) for role in ("manager", "viewer")
            )
            names = {button.get("string") for button in manager.iter("button")}
            names -= {button.get("string") for button in viewer.iter("button")}
            named = {"".join(em.itertext()).strip() for em in viewer.iter("em")}
            self.assertEqual(named & names, set(), model)
