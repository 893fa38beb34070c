"""The list of staging copies, with a second database that is really there."""

import contextlib
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, freeze_time, new_test_user, tagged

from .. import odoo_config
from ..engine.errors.staging import (
    CopyOfAnother,
    InProduction,
    NotMarked,
    StagingBusy,
    StagingGone,
    StagingRenamed,
)
from ..engine.restore.staging_mark import PARAMETER, StagingMark
from ..models.plan import backup_alerts_mixin
from ..models.staging import backup_staging, due, looking
from ..wizards import backup_restore_wizard
from .archives import store_archive
from .audited import AuditCase
from .common import BackupCase

RUN = "4d6e3f0a-0000-4000-8000-000000000001"
TABLES = """
CREATE TABLE ir_config_parameter (key text, value text);
CREATE TABLE ir_module_module (name text, state text);
CREATE TABLE ir_mail_server (id int, active bool, smtp_host text);
INSERT INTO ir_config_parameter VALUES
    ('database.uuid', 'its own'), ('database.is_neutralized', 'true')
"""
PRODUCTIVE = "DELETE FROM ir_config_parameter WHERE key = 'database.is_neutralized'"
NOW = "2026-06-15 12:00:00"


class SecondDatabase:
    """What tests need of a database beside the one that they are in."""

    def make_copy(self, **values):
        """Create a database that is a copy of this one, and its record."""
        name = f"{self.env.cr.dbname[:30]}_staging_test"
        self.run_sql("postgres", f'DROP DATABASE IF EXISTS "{name}"')
        self.run_sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE template0')
        self.addCleanup(self.drop_all, name)
        self.run_sql(name, TABLES)
        oid = self.oid_of(name)
        me = self.env["backup.job"]._current_identity()
        mark = StagingMark(RUN, me.key, oid, "its own").to_text()
        insert = "INSERT INTO ir_config_parameter VALUES (%s, %s)"
        self.run_sql(name, insert, PARAMETER, mark)
        folder = odoo_config.filestore_path(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "one").write_bytes(b"1" * 5000)
        return self.env["backup.staging"].create(
            {
                "database": name,
                "oid": str(oid),
                "run_uuid": RUN,
                "database_uuid": me.uuid,
                "identity": me.key,
                "state": "ready",
                "made_at": fields.Datetime.now(),
                "user_id": self.manager.id,
                **values,
            }
        )

    def drop_all(self, name):
        like = "SELECT datname FROM pg_database WHERE datname LIKE %s"
        for (found,) in self.run_sql("postgres", like, f"{name}%"):
            self.run_sql("postgres", f'DROP DATABASE "{found}"')

    def run_sql(self, database, query, *values):
        connection = odoo_config.connection(database, "test")
        with contextlib.closing(connection.connect()) as session:
            session.autocommit = True
            with session.cursor() as cr:
                cr.execute(query, values or None)
                return cr.fetchall() if cr.description else []

    def oid_of(self, name):
        query = "SELECT oid::bigint FROM pg_database WHERE datname = %s"
        found = self.run_sql("postgres", query, name)
        return found[0][0] if found else 0

    def is_there(self, staging):
        return self.oid_of(staging.database) == int(staging.oid)


def keep_filestores_apart(cls):
    folder = cls.root / "filestore"
    cls.startClassPatcher(
        patch.object(odoo_config, "filestore_path", lambda name: folder / name)
    )


@tagged("post_install", "-at_install")
class TestStagingCopies(SecondDatabase, BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(
            cls.env, "boss", "dfr_backup.group_manager", email="boss@shop.example"
        )
        cls.viewer = new_test_user(cls.env, "looker", "dfr_backup.group_viewer")
        keep_filestores_apart(cls)
        store_archive(cls.root / "disk", "new.zip", [])
        cls.copy = cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "plan_id": cls.plan.id,
                "signature": "ours",
                "key": "new.zip",
                "date": "2026-06-14 02:00:00",
                "state": "verified",
                "contents": "database, filestore",
                "database": "shop",
            }
        )

    def setUp(self):
        super().setUp()
        self.startPatcher(freeze_time(NOW))
        self.startPatcher(patch.object(due, "commit_of_cron"))
        self.staging = self.make_copy(copy_id=self.copy.id)
        self.mine = self.staging.with_user(self.manager)

    def error(self, error_class):
        self.assertEqual(self.staging.error_code, error_class.code)

    def noted(self):
        about = [("res_model", "=", "backup.staging")]
        return self.env["backup.audit"].search(about).mapped("action")

    # === LOOKED AT === #

    def test_a_look_measures_it(self):
        self.staging._settle()
        self.assertEqual(self.staging.state, "ready")
        self.assertEqual(self.staging.neutralized, "yes")
        self.assertGreater(self.staging.database_size, 1 << 20)
        self.assertEqual(self.staging.filestore_size, 5000)
        self.assertEqual(self.staging.size, self.staging.database_size + 5000)

    def test_a_button_counts_no_files(self):
        self.staging.filestore_size = 7
        with patch.object(looking, "size_of_files", return_value=None) as count:
            self.mine.action_look()
        self.assertEqual(count.call_args.args[1], 0)
        self.assertEqual(self.staging.filestore_size, 7)

    def test_what_cannot_be_reached_stays_as_it_was_known(self):
        name = self.staging.database
        close = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'
        self.run_sql("postgres", close)
        self.mine.action_look()
        self.assertEqual(self.staging.state, "ready")
        self.assertTrue(self.staging.error_code)
        self.run_sql("postgres", close.replace("false", "true"))
        self.mine.action_look()
        self.assertFalse(self.staging.error_code)

    def test_link_is_that_of_the_end_of_a_restore(self):
        self.staging.database = "x"
        self.assertTrue(self.staging.url.endswith("/web?db=x"))
        seen = self.staging.with_user(self.viewer)
        for served in (True, False):
            self.env.invalidate_all()
            with patch.object(backup_staging, "is_served", return_value=served):
                shown = seen.action_open()
            self.assertEqual(shown.get("url"), (served and self.staging.url) or None)
            self.assertEqual(
                shown.get("res_id"), self.staging.id if not served else None
            )
        self.staging.state = "gone"
        with self.assertRaises(UserError):
            self.mine.action_open()

    # === DELETED === #

    def test_deleting_says_what_and_drops_database_and_files(self):
        self.staging._settle()
        asked = self.mine.action_ask_delete()
        wizard = self.env[asked["res_model"]].browse(asked["res_id"])
        self.assertIn(self.staging.database, wizard.text)
        self.assertIn(self.staging._size_in_words(), wizard.text)
        folder = odoo_config.filestore_path(self.staging.database)
        wizard.with_user(self.manager).action_confirm()
        self.assertFalse(self.oid_of(self.staging.database))
        self.assertFalse(folder.exists())
        self.assertEqual(self.staging.state, "deleted")
        self.assertTrue(self.staging.deleted_at)
        self.assertEqual(self.noted(), ["staging"])

    def assert_left_alone(self, state, error):
        for act in (self.mine.action_delete, self.mine.action_look):
            act()
            self.assertEqual(self.staging.state, state)
            self.error(error)
            self.staging.state = "ready"
        self.assertNotIn("staging", self.noted())
        folder = odoo_config.filestore_path(self.staging.database)
        self.assertTrue((folder / "one").exists())

    def test_one_that_has_become_productive_is_left_alone(self):
        self.run_sql(self.staging.database, PRODUCTIVE)
        self.assert_left_alone("changed", InProduction)
        self.assertTrue(self.is_there(self.staging))
        self.assertEqual(self.staging.neutralized, "no")

    def test_one_without_a_mark_is_left_alone(self):
        delete = "DELETE FROM ir_config_parameter WHERE key = %s"
        self.run_sql(self.staging.database, delete, PARAMETER)
        self.assert_left_alone("changed", NotMarked)
        self.assertTrue(self.is_there(self.staging))

    def test_one_of_another_database_is_left_alone(self):
        """The mark says whose it is; the record, which may come from a raw copy of the
        owner, is of nobody here."""
        me = self.staging.identity
        self.staging.identity = me + "9"
        self.assert_left_alone("changed", CopyOfAnother)
        self.staging.identity = me
        update = "UPDATE ir_config_parameter SET value = %s WHERE key = %s"
        other = StagingMark(RUN, me + "9", int(self.staging.oid), "its own").to_text()
        self.run_sql(self.staging.database, update, other, PARAMETER)
        self.assert_left_alone("changed", CopyOfAnother)
        self.assertTrue(self.is_there(self.staging))

    def test_this_database_is_never_dropped(self):
        me = self.env["backup.job"]._current_identity()
        self.staging.write({"database": me.name, "oid": str(me.oid)})
        self.mine.action_delete()
        self.assertEqual(self.staging.state, "changed")
        self.assertTrue(self.oid_of(me.name))

    def test_one_that_was_renamed_is_told_and_leaves_the_list(self):
        old, new = self.staging.database, f"{self.staging.database}_new"
        self.run_sql("postgres", f'ALTER DATABASE "{old}" RENAME TO "{new}"')
        self.assert_left_alone("gone", StagingRenamed)
        with self.assertRaises(UserError):
            self.mine.action_forget()  # it says that it is there
        self.mine.action_look()
        self.mine.action_forget()
        self.assertFalse(self.staging.exists())
        self.assertTrue(self.oid_of(new))
        self.assertEqual(self.noted(), ["removed"])

    def test_one_that_was_dropped_is_told(self):
        self.run_sql("postgres", f'DROP DATABASE "{self.staging.database}"')
        self.assert_left_alone("gone", StagingGone)

    def test_one_that_is_being_made_is_not_deleted(self):
        job = self.run_now()
        self.staging.job_id = job
        self.mine.action_delete()
        self.assertTrue(self.is_there(self.staging))
        with self.assertRaises(StagingBusy):
            self.env["backup.staging"]._begin("x", 0, self.staging)

    def test_who_only_looks_may_nothing(self):
        seen = self.staging.with_user(self.viewer)
        self.assertTrue(seen.database)
        for act in ("ask_delete", "delete", "forget", "look", "refresh"):
            with self.assertRaises(AccessError):
                getattr(seen, f"action_{act}")()
        with self.assertRaises(AccessError):
            seen.keep_days = 1

    def test_nobody_writes_what_the_server_says(self):
        for name in ("oid", "identity", "run_uuid", "database", "state", "delete_on"):
            with self.assertRaises(AccessError):
                self.mine.write({name: False})

    # === BY ITSELF === #

    def after(self, **time):
        """Let the scheduler come by so long after the copy was made."""
        with freeze_time(self.staging.made_at + timedelta(**time)):
            due.do_due(self.env)

    def mails(self):
        about = [("subject", "like", self.staging.database)]
        return self.env["mail.mail"].search(about)

    def test_it_is_deleted_after_its_days_and_announced_before(self):
        self.staging.keep_days = 10
        self.after(days=6, hours=23)
        self.assertFalse(self.mails())
        self.after(days=7, hours=1)
        self.assertEqual(self.mails().mapped("email_to"), [self.manager.email])
        self.after(days=9, hours=23)
        self.assertEqual(len(self.mails()), 1)
        self.assertTrue(self.is_there(self.staging))
        self.after(days=10, hours=1)
        self.assertFalse(self.oid_of(self.staging.database))
        self.assertEqual(self.staging.state, "deleted")
        self.assertEqual(sorted(self.noted()), ["staging", "staging_days"])

    def test_it_is_part_of_what_the_scheduler_does(self):
        self.staging.keep_days = 1
        self.env["backup.scheduler"]._do_what_is_due()
        self.assertEqual(len(self.mails()), 1)

    def test_it_stays_when_nobody_has_said_how_long(self):
        self.after(days=3000)
        self.assertTrue(self.is_there(self.staging))
        self.assertFalse(self.mails())

    def test_it_is_never_deleted_without_a_day_to_object(self):
        self.staging.keep_days = 1
        self.after(days=40)
        self.assertTrue(self.is_there(self.staging))
        self.assertEqual(len(self.mails()), 1)
        self.after(days=40, hours=12)
        self.assertTrue(self.is_there(self.staging))
        self.staging.with_user(self.manager).keep_days = 41
        self.after(days=41, hours=1)
        self.assertTrue(self.is_there(self.staging))
        self.assertEqual(len(self.mails()), 2)
        self.after(days=42, hours=2)
        self.assertFalse(self.oid_of(self.staging.database))

    def test_one_that_becomes_productive_after_the_announcement_stays(self):
        self.staging.keep_days = 10
        self.after(days=9)
        self.run_sql(self.staging.database, PRODUCTIVE)
        self.after(days=10, hours=1)
        self.assertTrue(self.is_there(self.staging))
        self.assertEqual(self.staging.state, "changed")
        self.error(InProduction)

    def test_what_a_clock_that_was_ahead_has_announced_is_announced_again(self):
        self.staging.keep_days = 10
        self.after(days=4000)
        self.assertTrue(self.is_there(self.staging))
        self.after(days=10, hours=1)
        self.assertTrue(self.is_there(self.staging))
        self.assertEqual(len(self.mails()), 2)

    def test_a_copy_of_this_database_deletes_none_of_its_copies(self):
        self.staging.write({"keep_days": 1, "identity": self.staging.identity + "9"})
        self.after(days=40)
        self.after(days=50)
        self.assertTrue(self.is_there(self.staging))
        self.assertFalse(self.mails())

    def test_one_failure_stops_no_other_thing(self):
        self.staging.keep_days = 1
        with (
            patch.object(looking, "clean_up", side_effect=ValueError),
            patch.object(backup_alerts_mixin, "_logger"),
        ):
            self.after(days=40)
        self.assertEqual(len(self.mails()), 1)

    def test_without_an_address_the_managers_are_told(self):
        self.staging.user_id = self.viewer
        self.viewer.email = False
        self.staging.keep_days = 1
        self.after(days=1)
        self.assertIn(self.manager.email, self.mails().mapped("email_to"))

    # === MADE, AND MADE ANEW === #

    def wizard(self, action):
        self.startPatcher(
            patch.object(backup_restore_wizard, "preflight", lambda *_args: [])
        )
        model = self.env[action["res_model"]].with_user(self.manager)
        return Form(model.with_context(**action["context"]))

    def start(self, form):
        record = form.save()
        action = type(record).action_restore.__wrapped__(record)
        return self.env["backup.job"].browse(action["res_id"])

    def test_what_is_made_is_listed(self):
        form = self.wizard(self.copy.with_user(self.manager).action_staging())
        form.keep_days = 5
        job = self.start(form)
        made = job.staging_id
        self.assertEqual(made.database, job.restore_database)
        self.assertEqual((made.state, made.keep_days), ("making", 5))
        self.assertEqual(made.user_id, self.manager)
        options = made._restore_options(job)
        self.assertEqual(options["mark"].run, job.uuid)
        self.assertNotIn("replaces", options)
        self.assertFalse(self.env["backup.staging"]._restore_options(job))

    def test_a_restore_that_takes_over_is_no_copy(self):
        form = self.wizard(self.copy.with_user(self.manager).action_restore())
        form.purpose = "successor"
        self.assertFalse(self.start(form).staging_id)

    def test_one_that_was_never_made_has_failed(self):
        form = self.wizard(self.copy.with_user(self.manager).action_staging())
        job = self.start(form)
        made, name = job.staging_id, form.database
        self.end(job, load="failure")
        made._settle()
        self.assertEqual(made.state, "failed")
        form = self.wizard(self.copy.with_user(self.manager).action_staging())
        form.database = name
        self.assertEqual(self.start(form).staging_id, made)

    def refresh(self):
        return self.wizard(self.mine.action_refresh())

    def test_a_copy_is_made_anew_under_its_name(self):
        self.staging.keep_days = 9
        form = self.refresh()
        self.assertEqual(form.database, self.staging.database)
        self.assertIn(self.staging.database, form.replaced_in_words)
        job = self.start(form)
        self.assertEqual(job.staging_id, self.staging)
        self.assertEqual((self.staging.state, self.staging.keep_days), ("making", 9))
        self.assertEqual(self.staging.user_id, self.manager)
        options = self.staging._restore_options(job)
        self.assertEqual(options["replaces"], int(self.staging.oid))
        options["may_replace"]()
        self.assertEqual(self.staging.former_oid, self.staging.oid)
        self.run_sql(self.staging.database, PRODUCTIVE)
        with self.assertRaises(InProduction):
            options["may_replace"]()

    def test_one_that_became_productive_is_not_made_anew(self):
        form = self.refresh()
        self.run_sql(self.staging.database, PRODUCTIVE)
        with self.assertRefuses(InProduction):
            self.mine.action_refresh()
        with self.assertRefuses(InProduction):
            self.start(form)
        self.assertTrue(self.is_there(self.staging))

    def test_one_that_was_dropped_can_be_made_anew(self):
        self.run_sql("postgres", f'DROP DATABASE "{self.staging.database}"')
        self.mine.action_look()
        form = self.refresh()
        self.assertFalse(form.replaced_in_words)
        self.assertEqual(self.start(form).staging_id, self.staging)

    def test_the_next_look_settles_what_a_kill_has_left(self):
        """The new database has its name, the one before is still kept, and the record
        knows of neither."""
        name = self.staging.database
        job = self.start(self.refresh())
        before = f"{name}_before_20260615_120000"
        self.run_sql("postgres", f'ALTER DATABASE "{name}" RENAME TO "{before}"')
        self.run_sql("postgres", f'ALTER DATABASE "{before}" ALLOW_CONNECTIONS false')
        self.run_sql("postgres", f'CREATE DATABASE "{name}" TEMPLATE template0')
        self.run_sql(name, TABLES)
        oid = self.oid_of(name)
        mark = StagingMark(job.uuid, job.identity, oid, "its own").to_text()
        insert = "INSERT INTO ir_config_parameter VALUES (%s, %s)"
        self.run_sql(name, insert, PARAMETER, mark)
        self.staging.former_oid = self.staging.oid
        job._run_context().store.update_state(restored=oid)
        self.end(job)
        self.after(minutes=1)
        self.assertEqual(self.staging.state, "ready")
        self.assertEqual(self.staging.oid, str(oid))
        self.assertFalse(self.staging.former_oid)
        self.assertFalse(self.oid_of(before))
        self.assertTrue(self.is_there(self.staging))

    def test_again_asks_the_same(self):
        job = self.start(self.refresh())
        self.end(job, load="failure")
        form = self.wizard(job.step_ids.copy_id._restore_again(job))
        self.assertEqual(form.staging_id, self.staging)
        self.assertEqual(form.database, self.staging.database)


@tagged("post_install", "-at_install")
class TestStagingCopiesByHttp(SecondDatabase, AuditCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        keep_filestores_apart(cls)

    def setUp(self):
        super().setUp()
        self.staging = self.make_copy()
        self.env.flush_all()

    def test_deleting_takes_the_password(self):
        self.assertAsked(self.call(self.staging, "action_delete"))
        self.assertTrue(self.is_there(self.staging))
        self.enter_password()
        self.call(self.staging, "action_delete")
        self.assertFalse(self.oid_of(self.staging.database))
        self.assertEqual(self.noted().mapped("action"), ["staging"])

    def test_deleting_sooner_takes_the_password(self):
        later = self.call(self.staging, "write", {"keep_days": 0})
        self.assertFalse(self.wanted(later))
        self.assertAsked(self.call(self.staging, "write", {"keep_days": 5}))
        self.enter_password()
        self.call(self.staging, "write", {"keep_days": 5})
        self.assertEqual(self.noted().mapped("action"), ["staging_days"])
        self.enter_password(at=0)
        later = self.call(self.staging, "write", {"keep_days": 9})
        self.assertFalse(self.wanted(later))
        self.assertAsked(self.call(self.staging, "write", {"keep_days": 8}))
        self.assertFalse(
            self.wanted(self.call(self.staging, "write", {"keep_days": 0}))
        )
