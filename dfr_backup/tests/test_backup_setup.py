import shutil
import socket
from unittest.mock import patch

from lxml import html

from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.tests import Form, new_test_user, tagged

from .. import odoo_config
from ..engine.encryption.files import generate_key
from ..engine.errors import EngineError
from ..engine.errors.sftp import NobodyListens
from ..engine.messages import Size
from ..models.overview.advice import SETUP_STATE
from ..models.plan.recipients import is_reachable
from ..models.plan.recovery_kit import page_values
from ..wizards.backup_setup import ORDER
from .common import BackupCase


@tagged("post_install", "-at_install")
class TestBackupSetup(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["backup.job"].search([]).sudo().state = "cancelled"
        cls.env["backup.copy"].search([]).sudo().unlink()
        cls.env["backup.job"].search([]).unlink()
        cls.env["ir.config_parameter"].set_param(SETUP_STATE, False)
        cls.viewer = new_test_user(cls.env, "setup-viewer", "dfr_backup.group_viewer")
        cls.manager = new_test_user(
            cls.env, "setup-manager", "dfr_backup.group_manager", email="setup@dfr.org"
        )
        cls.setups = cls.env["backup.setup"].with_user(cls.manager)

    def open(self, **kwargs):
        return self.shown(self.setups.action_open(**kwargs))

    def shown(self, action):
        """Return the record that a dialog shows."""
        self.assertEqual(action["target"], "new")
        record = (
            self.env[action["res_model"]]
            .with_user(self.manager)
            .browse(action["res_id"])
        )
        return record.with_context(**action.get("context") or {})

    def turn_to(self, page):
        setup = self.open()
        while setup.page != page:
            setup.action_next()
        return setup

    def state(self):
        return (
            self.env["backup.overview"].with_user(self.manager).get_overview()["setup"]
        )

    # === FROM THE FIRST PAGE TO THE LAST === #

    def test_defaults_all_the_way_end_on_the_running_first_backup(self):
        self.assertEqual(self.state(), "new")
        setup = self.open()
        self.assertEqual((setup.page, setup.plan_id), ("where", self.plan))
        before = self.plan.copy_data()
        pages = [setup.page]
        while setup.page != "ready":
            self.assertEqual(self.shown(setup.action_next()), setup)
            pages.append(setup.page)
        self.assertEqual(pages, ORDER)
        proposed = [{**values, "drill_every": "30"} for values in before]
        self.assertEqual(self.plan.copy_data(), proposed, "and a restore test a month")
        action = setup.action_start()
        self.assertEqual(action["res_model"], "backup.job")
        job = self.env["backup.job"].browse(action["res_id"])
        self.assertEqual((job.plan_id, job.state), (self.plan, "pending"))
        self.assertFalse(self.state())

    def test_what_is_asked_is_written(self):
        setup = self.turn_to("when")
        with Form(setup) as form:
            form.frequency = "weekly"
            form.weekday = "5"
            form.time = 22.5
            form.retention = "year"
            self.assertIn("25", form.keeps)
        setup.action_next()
        with Form(setup) as form:
            form.alert_group_ids.clear()
            form.alert_emails = "it@dfr.org"
            form.alert_digest = True
        setup.action_next()
        with Form(setup) as form:
            form.encryption = "passphrase"
            form.age_passphrase = "a long enough passphrase"
            form.drill_every = "30"
        self.assertEqual(self.plan.encryption, "none", "not before the page is left")
        setup.action_next()
        plan = self.plan
        self.assertEqual(
            (plan.frequency, plan.weekday, plan.time), ("weekly", "5", 22.5)
        )
        self.assertEqual((plan.retention, plan.keep_monthly), ("year", 12))
        self.assertEqual(
            (plan.alert_addresses, plan.alert_digest), ("it@dfr.org", True)
        )
        self.assertEqual((plan.encryption, plan.drill_every), ("passphrase", "30"))
        self.assertEqual(
            plan._read_secret("age_passphrase"), "a long enough passphrase"
        )
        saturday = dict(plan._fields["weekday"].selection)["5"]
        for part in (saturday, "22:30"):
            self.assertIn(part, setup.in_words)
        overview = setup.action_finish()
        self.assertEqual(overview["tag"], "dfr_backup.overview")

    def test_whoever_stops_goes_on_from_there(self):
        self.turn_to("who").action_back()
        self.assertEqual(self.state(), "open")
        self.assertEqual(self.open().page, "when")
        self.turn_to("ready").action_finish()
        self.assertFalse(self.state())
        again = self.turn_to("safety")
        self.assertEqual(again.page, "safety")
        self.assertFalse(self.state(), "it stays complete when somebody looks again")

    def test_later_it_changes_only_what_is_changed(self):
        self.plan.write(
            {
                "frequency": "weekly",
                "promise_hours": 333,
                "retention": "custom",
                "keep_daily": 9,
            }
        )
        self.run_now()
        before = self.plan.copy_data()
        self.turn_to("ready").action_finish()
        self.assertEqual(self.plan.copy_data(), before)

    def test_one_page_alone(self):
        setup = self.open(plan_id=self.plan.id, page="who")
        self.assertEqual((setup.page, setup.alone), ("who", True))
        self.assertEqual(setup.action_next()["type"], "ir.actions.act_window_close")
        self.assertEqual(self.state(), "new", "that was not the set-up")
        with self.assertRaises(UserError):
            self.open(page="nonsense")

    def test_without_any_plan_it_makes_one(self):
        self.plan.active = False
        setup = self.open()
        self.assertNotEqual(setup.plan_id, self.plan)
        self.assertTrue(setup.plan_id.storage_ids)

    def test_viewers_do_not_set_up(self):
        with self.assertRaises(AccessError):
            self.setups.with_user(self.viewer).action_open()

    def test_browser_names_the_time_zone_of_a_plan_that_has_none(self):
        setups = self.setups.with_context(browser_tz="Asia/Tokyo")
        setups.action_open(page="when")
        self.assertEqual(self.plan.tz, "Europe/Paris")
        self.plan.tz = "UTC"
        setups.with_context(browser_tz="no/where").action_open(page="when")
        self.assertEqual(self.plan.tz, "UTC")
        setups.action_open(page="when")
        self.assertEqual(self.plan.tz, "Asia/Tokyo")

    # === WHERE === #

    def choose(self, setup, code):
        """Press on a kind of storage; return the action."""
        setup.invalidate_recordset(["kind_ids"])
        (kind,) = setup.kind_ids.filtered(lambda kind: kind.code == code)
        return kind.with_context(backup_setup=setup.id).action_choose()

    def new_storage(self, setup, code, **values):
        """Fill in the form of another storage, and press “Test and Use”."""
        action = self.choose(setup, code)
        self.assertEqual(action["res_model"], "backup.storage")
        storages = self.env["backup.storage"].with_user(self.manager)
        storage = storages.with_context(**action["context"]).create(values)
        return storage, storage.action_use_in_setup()

    def test_tested_storage_is_used(self):
        setup = self.open()
        self.assertTrue(setup.only_here)
        path = str(self.root / "second")
        storage, action = self.new_storage(setup, "local", local_path=path)
        self.assertEqual(self.shown(action), setup)
        self.assertEqual(self.plan.storage_ids, self.storage | storage)
        self.assertTrue(storage.last_test)

    def test_storage_that_fails_says_so_and_is_shown_again(self):
        setup = self.open()
        path = self.root / "third"
        with patch.object(type(self.storage), "_get_own_storage", self.lose(path)):
            storage, action = self.new_storage(setup, "local", local_path=str(path))
        self.assertEqual(self.shown(action), storage)
        self.assertTrue(storage.last_test_error_code)
        self.assertEqual(self.plan.storage_ids, self.storage)
        again = self.choose(setup, "local")
        self.assertEqual(self.shown(again), storage, "what was typed is not lost")
        path.unlink()
        self.assertEqual(self.shown(self.shown(again).action_use_in_setup()), setup)
        self.assertIn(storage, self.plan.storage_ids)

    def lose(self, path):
        """Let a file lie where the directory of the storage was."""
        original = type(self.storage)._get_own_storage

        def _get_own_storage(storage):
            shutil.rmtree(path)
            path.write_text("")
            return original(storage)

        return _get_own_storage

    def test_next_tries_what_nobody_has_tried_and_stays_once(self):
        disk = self.root / "disk"
        shutil.rmtree(disk)
        disk.write_text("")
        setup = self.open()
        self.assertEqual(self.shown(setup.action_next()), setup)
        self.assertEqual(setup.page, "where")
        self.assertIn("Disk: ", setup.trouble)
        setup.action_next()
        self.assertEqual((setup.page, setup.trouble), ("when", False))
        disk.unlink()

    def test_sftp_asks_to_trust_the_host_before_it_tries(self):
        setup = self.open()
        with socket.socket() as nobody:  # bound and not listening: the port refuses
            nobody.bind(("127.0.0.1", 0))
            with self.assertRefuses(NobodyListens):
                self.new_storage(
                    setup,
                    "sftp",
                    sftp_host="127.0.0.1",
                    sftp_port=nobody.getsockname()[1],
                    sftp_user="me",
                    sftp_password="secret",
                )

    def test_a_kind_is_not_chosen_for_a_set_up_that_is_gone(self):
        setup = self.open()
        kind = setup.kind_ids[:1].with_context(backup_setup=setup.id)
        setup.sudo().unlink()
        with self.assertRaises(UserError):
            kind.action_choose()

    # === WHO === #

    def test_who_has_no_address_is_named(self):
        nobody = new_test_user(
            self.env, "setup-nobody", "dfr_backup.group_manager", email=False
        )
        setup = self.turn_to("who")
        with Form(setup) as form:
            form.alert_group_ids.clear()
            (unheard,) = form.alert_trouble.splitlines()
            form.alert_user_ids.add(nobody)
            self.assertIn(nobody.name, form.alert_trouble)
            form.alert_emails = "it@example.com"
            self.assertIn("it@example.com", form.alert_trouble)
            self.assertIn(unheard, form.alert_trouble)
            form.alert_user_ids.clear()
            form.alert_emails = "it@dfr.org, they@myexample.com"
            self.assertNotIn(unheard, form.alert_trouble or "")
            self.assertNotIn("they@myexample.com", form.alert_trouble or "")

    def test_own_address_can_be_given(self):
        self.manager.email = False
        setup = self.turn_to("who")
        self.assertTrue(setup.my_email_missing)
        with self.assertRaises(UserError):
            setup.write({"my_email": "nonsense"})
        setup.write({"my_email": "me@dfr.org"})
        self.assertEqual(self.manager.email, "me@dfr.org")
        self.assertIn("me@dfr.org", setup.alert_addresses)

    def test_missing_mail_server_is_told(self):
        self.env["ir.mail_server"].search([]).active = False
        self.plan.write({"alert_group_ids": False, "alert_emails": "it@dfr.org"})
        with patch.object(odoo_config, "mail_server_is_guessed", lambda: True):
            self.assertTrue(self.open().alert_trouble)
            self.assertFalse(is_reachable(self.plan))
            self.env["ir.mail_server"].create(
                {"name": "Post", "smtp_host": "mail.dfr.org"}
            )
            self.assertFalse(self.open().alert_trouble)
            self.assertTrue(is_reachable(self.plan))

    # === SAFETY === #

    def test_public_keys_come_from_the_key_wizard(self):
        setup = self.turn_to("safety")
        setup.encryption = "recipients"
        action = setup.action_next()
        self.assertEqual(action["res_model"], "backup.key.wizard")
        wizards = self.env["backup.key.wizard"].with_user(self.manager)
        wizard = wizards.with_context(**action["context"]).create(
            {"kept_elsewhere": True}
        )
        self.assertEqual(self.shown(wizard.action_use()), setup)
        self.assertEqual((self.plan.encryption, setup.encryption), ("recipients",) * 2)
        self.assertTrue(setup.age_recipients)
        setup.action_next()
        self.assertEqual(setup.page, "ready")

    def test_backups_that_leave_the_server_ask_openly_for_encryption(self):
        off_site = patch.object(
            type(self.storage), "_is_off_site", lambda storage: True
        )
        self.startPatcher(off_site)
        setup = self.turn_to("safety")
        self.assertTrue(setup.asks_encryption)
        self.assertFalse(setup.encryption, "nobody has chosen for them")
        with self.assertRaises(UserError):
            setup.action_next()
        setup.encryption = "none"
        setup.action_next()
        self.assertEqual((setup.page, self.plan.encryption), ("ready", "none"))
        setup.action_back()
        self.assertEqual(setup.encryption, "none", "it is asked once")

    def test_backups_that_stay_here_ask_nobody(self):
        setup = self.turn_to("safety")
        self.assertFalse(setup.asks_encryption)
        self.assertEqual(setup.encryption, "none")

    def test_a_restore_test_a_month_is_proposed_and_can_be_declined(self):
        setup = self.turn_to("safety")
        self.assertEqual((setup.drill_every, self.plan.drill_every), ("30", "0"))
        setup.drill_every = "0"
        setup.action_next()
        self.assertEqual(self.plan.drill_every, "0")

    def test_no_restore_test_is_proposed_that_lacks_its_key(self):
        setup = self.turn_to("safety")
        setup.write(
            {"encryption": "recipients", "age_recipients": generate_key().public}
        )
        setup.action_next()
        self.assertEqual((setup.page, self.plan.drill_every), ("ready", "0"))

    def test_each_page_says_which_one_it_is(self):
        setup = self.open()
        for number, name in enumerate(ORDER, 1):
            setup.page = name
            self.assertTrue(setup.page_in_words.startswith(str(number)))
            self.assertIn(str(len(ORDER)), setup.page_in_words)

    def test_key_pair_that_is_none_is_refused(self):
        wizard = self.env["backup.key.wizard"].create(
            {"plan_id": self.plan.id, "public_key": "none", "kept_elsewhere": True}
        )
        with self.assertRefuses(EngineError):
            wizard.action_use()

    def test_passphrase_is_asked_for_and_a_short_one_refused(self):
        setup = self.turn_to("safety")
        setup.encryption = "passphrase"
        with self.assertRaises(UserError):
            setup.action_next()
        with self.assertRaises(ValidationError):
            setup.age_passphrase = "short"

    def test_back_from_a_form_that_lies_over_it(self):
        setup = self.turn_to("safety")
        back = setup.with_context(backup_setup=setup.id).action_back()
        self.assertEqual((self.shown(back), setup.page), (setup, "safety"))

    # === INCREMENTAL === #

    def _hold_attachments(self, count):
        """Let the database have so many attachment files, of 1 GiB each."""
        names = [{"name": "a", "raw": b"a"} for _number in range(count)]
        made = self.env["ir.attachment"].create(names)
        self.env.flush_all()
        self.env.cr.execute("UPDATE ir_attachment SET file_size = 0")
        self.env.cr.execute(
            "UPDATE ir_attachment SET file_size = %s, store_fname = 'aa/' || id "
            "WHERE id IN %s",
            [1 << 30, tuple(made.ids)],
        )
        self.env.invalidate_all()

    def test_incremental_is_proposed_when_it_pays(self):
        self._hold_attachments(3)
        setup = self.turn_to("when")
        self.assertIn(str(Size(3 << 30)), setup.incremental_saves)
        self.assertIn(str(Size((3 << 30) // 30)), setup.incremental_saves)
        self.assertFalse(self.plan.incremental, "it is proposed, not chosen")
        setup.incremental = True
        self.assertTrue(self.plan.incremental)

    def test_incremental_is_not_proposed_for_little_or_in_vain(self):
        self._hold_attachments(1)
        setup = self.turn_to("when")
        self.assertFalse(setup.incremental_saves)
        self._hold_attachments(3)
        self.plan.include_filestore = False
        setup.invalidate_recordset()
        self.assertFalse(setup.incremental_saves)


@tagged("post_install", "-at_install")
class TestRecoveryKit(BackupCase):
    def test_kit_is_of_no_use_when_keys_or_storages_change(self):
        second = self.storage.copy(
            {"name": "Second", "local_path": str(self.root / "second")}
        )
        for change in (
            {"storage_ids": [(4, second.id)]},
            {"encryption": "passphrase", "age_passphrase": "a long enough passphrase"},
            {"age_passphrase": "another long passphrase"},
        ):
            self.plan._note_kit()
            self.plan.write({"name": "Renamed", "storage_ids": [(4, self.storage.id)]})
            self.assertTrue(self.plan.kit_downloaded_at)
            self.plan.write(change)
            self.assertFalse(self.plan.kit_downloaded_at, change)

    def page(self):
        """Return the values of the page, and its text."""
        values = page_values(self.plan)
        page = self.env["ir.qweb"]._render("dfr_backup.recovery_kit", values)
        return values, html.fromstring(page)

    def test_incremental_backups_have_a_recipe_of_their_own(self):
        self.plan._note_kit()
        values, _tree = self.page()
        self.assertFalse(values["incremental"])
        self.assertNotIn("packs", values["blocks"]["production_hand"])
        self.plan.incremental = True
        self.assertFalse(self.plan.kit_downloaded_at, "the printed one is no use")
        values, tree = self.page()
        self.assertTrue(values["incremental"])
        for block in ("files", "production_hand", "copy_hand"):
            self.assertIn("packs", values["blocks"][block])
        for block in ("production_odoo", "copy_odoo"):
            self.assertIn("backup export", values["blocks"][block])
        shown = {pre.get("id"): pre.text_content() for pre in tree.iter("pre")}
        self.assertEqual(shown.pop("storage-1"), values["storages"][0]["reach"])
        named = {
            name.replace("_", "-"): text for name, text in values["blocks"].items()
        }
        self.assertEqual(shown, named)

    def test_each_storage_is_described_without_its_secrets(self):
        passphrase = "seven wonderful words"
        self.plan.storage_ids += self.env["backup.storage"].create(
            [
                {
                    "name": "Bucket",
                    "provider": "s3",
                    "s3_preset": "hetzner",
                    "s3_endpoint": "https://fsn1.your-objectstorage.com",
                    "s3_region": "fsn1",
                    "s3_bucket": "acme",
                    "s3_prefix": "odoo/",
                    "s3_access_key": "ACCESS",
                    "s3_secret_key": passphrase,
                },
                {
                    "name": "Far",
                    "provider": "sftp",
                    "sftp_host": "backup.example.com",
                    "sftp_port": 2222,
                    "sftp_user": "odoo",
                    "sftp_directory": "/home/odoo",
                    "sftp_password": passphrase,
                },
            ]
        )
        self.plan.write({"encryption": "passphrase", "age_passphrase": passphrase})
        values, tree = self.page()
        _disk, bucket, far = values["storages"]
        told = {text for _label, text in bucket["settings"]}
        self.assertLessEqual({"fsn1", "acme", "odoo/", "ACCESS"}, told)
        told = {text for _label, text in far["settings"]}
        self.assertEqual(told, {"backup.example.com", "2222", "odoo", "/home/odoo"})
        self.assertNotIn(passphrase, html.tostring(tree, encoding="unicode"))

    def test_newest_backups_are_named_with_date_and_size(self):
        job = self.run_now()
        self.record_copy(job)
        self.end(job)
        copy = job.copy_ids
        values, _tree = self.page()
        (disk,) = values["storages"]
        self.assertEqual([row[2] for row in disk["newest"]], [copy.key])
        self.assertTrue(all(all(row) for row in disk["newest"]))
        self.assertIn(copy.key, disk["reach"])
