"""What a database does that is a copy of another one."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tests.common import release_test_lock

from .. import odoo_config
from ..engine.errors.identity import NotOriginal, OriginalAlive, TwoWriters
from ..engine.errors.other import ForeignRun
from ..engine.errors.places import RecordUnreadable
from ..engine.manifest.names import sidecar_key
from ..engine.messages import to_json
from ..engine.ownership.owners import Record
from ..engine.progress import Progress
from ..engine.storages.local.storage import LocalStorage
from ..models.job import alerts
from ..models.job.catalogue import Copies
from ..models.overview.cards import storage_healths
from ..models.overview.problems import all_problems
from ..models.plan import monitors
from .test_backup_catalogue import CatalogueCase


class IdentityCase(CatalogueCase):
    """A server that knows no original yet, and who that may be but for us."""

    def setUp(self):
        super().setUp()
        self.identities = self.env["backup.identity"]
        self.me = self.env["backup.job"]._current_identity()
        self.original = replace(self.me, oid=self.me.oid + 1, name="prod")
        for path in odoo_config.data_root().glob("originals/*"):
            path.unlink()


@tagged("post_install", "-at_install")
class TestIdentity(IdentityCase):
    def setUp(self):
        super().setUp()
        # the runs that have stored what the tests store
        self.env["backup.job"].create(
            [
                {
                    "name": f"B{number}",
                    "uuid": f"{number:08}-0000",
                    "database_uuid": self.me.uuid,
                    "state": "success",
                }
                for number in range(0, 40, 2)
            ]
        )

    def become_a_copy(self):
        """The server knows another database as the one with our uuid."""
        odoo_config.originals().hand_over(self.original)

    def of_original(self, days, **values):
        """Store what the original has made."""
        return self.store_as(self.original, days, **values)

    def store_as(self, identity, days, **values):
        copy = self.store(days, identity=identity.key, **values)
        path = self.disk / sidecar_key(copy.key)
        content = json.loads(path.read_text())
        content["dfr_backup"]["identity"] = identity.to_json()
        path.write_text(json.dumps(content))
        return copy

    def test_a_run_and_its_copies_carry_the_full_identity(self):
        job = self.run_now()
        self.assertEqual(job.identity, self.me.key)
        self.finalize(job)
        self.assertEqual(job._run_context().archive.sidecar().identity, self.me)
        self.assertEqual(
            job._run_context().archive.sign({})["signature"]["identity"],
            self.me.to_json(),
        )

    def test_a_copy_of_the_database_deletes_nothing(self):
        self.keep_two()
        old = [self.store(days) for days in range(4)]
        mine = [self.store_as(self.me, days) for days in range(4, 8)]
        self.become_a_copy()
        before = {path.name for path in self.disk.iterdir()}
        job = self.run_now()
        with self.assertRaises(NotOriginal):
            job._run_context().catalogue.apply_retention(self.storage, Progress())
        for copy in (old[3], mine[3]):
            with self.assertRefuses(NotOriginal):
                copy.action_delete()
            with self.assertRaises(NotOriginal):
                copy._delete_stored()
        self.assertEqual({path.name for path in self.disk.iterdir()}, before)
        # it may add, and knows what is whose
        self.assertTrue(self.storage._get_own_storage())
        self.assertEqual([c.is_ours for c in (old[0], mine[0])], [False, True])

    def test_the_page_and_the_health_say_why(self):
        health = self.env["backup.monitor"]._health
        self.assertIsNone(health()["identity_problem"])
        self.become_a_copy()
        self.assertTrue(health()["identity_problem"])
        self.assertIn(
            NotOriginal.code,
            [p["code"] for p in all_problems(self.env, {}, storage_healths(self.env))],
        )

    def test_a_copy_of_the_database_pings_nobody(self):
        self.plan.ping_url = "http://127.0.0.1:9/x"
        job = self.run_now()
        with patch.object(monitors, "ping_after_commit") as called:
            alerts.ping(job, "success", 1)
            self.assertEqual(called.call_count, 1)
            self.become_a_copy()
            alerts.ping(job, "success", 1)
            self.assertEqual(called.call_count, 1)

    def test_backups_of_a_copy_do_not_count_for_the_original(self):
        self.keep_two()
        mine = [self.store_as(self.me, days) for days in (4, 5, 6)]
        theirs = [self.of_original(days) for days in range(3)]
        self.assertEqual([c.is_ours for c in theirs], [False] * 3)
        left = self.retain()
        self.assertEqual(mine[2].state, "deleted", self.lines)
        for copy in (*mine[:2], *theirs):
            self.assertIn(copy.key, left)
        self.assertNotIn(mine[2].key, left)

    def test_a_scan_tells_the_backups_of_a_copy_apart(self):
        mine, theirs = self.store_as(self.me, 1), self.of_original(2)
        keys = mine.key, theirs.key
        (mine + theirs).unlink()
        self.perform(self.storage.action_scan())
        found = {copy.key: copy for copy in self.storage.copy_ids}
        self.assertEqual([found[key].is_ours for key in keys], [True, False])
        self.assertEqual(found[keys[0]].plan_id, self.plan)
        self.assertFalse(found[keys[1]].plan_id)

    def test_the_manifest_in_the_storage_is_asked_for_the_whole_identity(self):
        copy = self.of_original(1)
        copy.identity = self.me.key
        with self.assertRaises(UserError):
            copy.action_delete()
        self.assertTrue((self.disk / copy.key).exists())

    def test_who_has_taken_the_place_owns_what_the_original_has_stored(self):
        old = self.of_original(1)
        self.become_a_copy()
        odoo_config.originals().hand_over(self.me)
        old.invalidate_recordset(["is_ours"])
        self.assertTrue(old.is_ours)
        old.action_delete()
        self.assertEqual(old.state, "deleted")

    def test_a_hand_over_takes_the_locations_along_or_is_none(self):
        place = "0" * 32
        odoo_config.owners().claim(place, Record(self.original, "there"))
        self.become_a_copy()
        broken = odoo_config.data_root() / "owners" / f"{'1' * 32}.json"
        broken.write_text("no record")
        with self.assertRaises(RecordUnreadable):
            odoo_config.hand_over(self.me)
        self.assertEqual(
            odoo_config.originals().of(self.me.uuid).identity, self.original
        )
        broken.unlink()
        self.assertEqual(odoo_config.hand_over(self.me).identity, self.original)
        self.assertEqual(odoo_config.originals().of(self.me.uuid).identity, self.me)
        self.assertEqual(odoo_config.owners().find(place).owner, self.me)

    def test_an_open_run_of_the_original_is_closed_in_a_copy(self):
        """Also a raw copy of the rows must not go on with it."""
        job = self.run_now()
        job.write({"state": "running", "identity": self.original.key})
        folder = job._run_context().files.work_path()
        folder.mkdir(parents=True)
        self.become_a_copy()
        self.env["backup.job"]._supervise()
        self.assertEqual(job.state, "cancelled")
        self.assertEqual(job.error_code, ForeignRun.code)
        job._run().remove_files()
        self.assertNotIn(
            folder, list(self.run_now()._run_context().files.stale_files())
        )
        self.assertTrue(folder.exists(), "the original works in there")

    def test_another_server_that_stores_in_our_name_stops_deleting(self):
        self.keep_two()
        copies = [self.store_as(self.me, days) for days in range(4)]
        self.store_as(self.me, 4)
        self.env["backup.job"].search([("uuid", "=", "00000008-0000")]).unlink()
        job = self.run_now()
        self.patch(Copies, "storage_now", lambda self, storage: None)
        try:  # assertRaises would roll back what was noted
            job._run_context().catalogue.apply_retention(self.storage, Progress())
            error = None
        except TwoWriters as raised:
            error = raised
        self.assertTrue(error)
        self.assertEqual({copy.state for copy in copies}, {"verified"})
        self.assertIsInstance(self.identities._objection(), TwoWriters)
        with self.assertRefuses(TwoWriters):
            copies[3].action_delete()
        # until it is said which one is the original
        odoo_config.originals().hand_over(self.me)
        self.assertIsNone(self.identities._objection())
        progress = Progress()
        job._run_context().catalogue.apply_retention(self.storage, progress)
        self.assertEqual(copies[3].state, "deleted", list(map(to_json, progress.lines)))

    def test_a_look_goes_before_a_ping(self):
        """Also where nothing is ever deleted."""
        self.plan.retention = "none"
        self.store_as(self.me, 4)
        self.env["backup.job"].search([("uuid", "=", "00000000-0000")]).unlink()
        self.plan.ping_url = "http://127.0.0.1:9/x"
        job = self.run_now()
        self.assertIsNone(self.identities._objection())
        with (
            patch.object(alerts.runner, "is_runner", lambda env: True),
            patch.object(self.env.cr, "commit", lambda: None),
            patch.object(alerts, "send_all", return_value=[]) as sent,
        ):
            alerts.ping(job, "started", 1)
        self.assertEqual(sent.call_count, 0)
        self.assertIsInstance(self.identities._objection(), TwoWriters)

    def test_a_look_goes_before_what_is_told_after_a_transaction(self):
        """The end of a run whose process died, and that a plan is overdue."""
        self.plan.retention = "none"
        self.plan.webhook_url = "http://127.0.0.1:9/x"
        job = self.run_now()
        tell = {
            "died": lambda: alerts.ping(job, "failure", 1),
            "overdue": lambda: monitors.ping_overdue(self.plan),
        }
        stranger = self.store_as(self.me, 4)
        self.env["backup.job"].search([("uuid", "=", "00000000-0000")]).unlink()
        self.registry_enter_test_mode()
        for name, act in tell.items():
            with self.subTest(name):
                self.storage.write({"stranger_key": False, "stranger_at": False})
                self.assertIsNone(self.identities._objection())
                self.assertEqual(self.told_after(act), 0)
                self.assertTrue(self.storage.stranger_at)
        (self.disk / sidecar_key(stranger.key)).unlink()
        self.storage.write({"stranger_key": False, "stranger_at": False})
        for name, act in tell.items():
            with self.subTest(name, stranger=False):
                self.assertEqual(self.told_after(act), 1)

    def told_after(self, act):
        """Return how often monitors are told by what begins after the transaction."""
        before = set(threading.enumerate())
        self.env.flush_all()
        with (
            patch.object(self.env.cr, "postcommit", type(self.env.cr.postcommit)()),
            patch.object(monitors, "send_all", return_value=[]) as sent,
        ):
            act()
            self.assertEqual(sent.call_count, 0)
            self.env.cr.postcommit.run()
            with release_test_lock():
                for thread in set(threading.enumerate()) - before:
                    thread.join(60)
        self.env.invalidate_all()
        return sent.call_count

    def test_what_the_last_step_has_looked_at_is_not_listed_again(self):
        self.store_as(self.me, 2)
        job = self.run_now()
        last = job.step_ids[-1]
        with patch.object(LocalStorage, "list", return_value=[]) as listed:
            look = partial(
                self.identities._objection_after_a_look, self.plan.storage_ids
            )
            look(last.date_start)
            self.assertEqual(listed.call_count, 1, "no step has begun")
            last.date_start = fields.Datetime.now()
            self.identities._require_still_ours(self.storage, ["a.json"])
            look(last.date_start)
            self.assertEqual(listed.call_count, 1)
            later = last.date_start + timedelta(seconds=2)
            look(later)
            self.assertEqual(listed.call_count, 2, "what was stored since is unknown")
            self.storage.last_look = later + timedelta(days=9)
            look(later)
            self.assertEqual(listed.call_count, 3, "by a clock that was wrong")

    def test_a_storage_of_a_living_database_is_not_taken_over(self):
        odoo_config.originals().claim(self.me)
        self.env["ir.config_parameter"].set_param("database.uuid", "another identity")
        self.assertTrue(self.storage.is_foreign)
        with self.assertRefuses(OriginalAlive):
            self.storage.action_take_over()
        self.assertTrue(self.storage.is_foreign)
        odoo_config.originals().put_back(self.me.uuid, None)
        self.storage.action_take_over()
        self.assertFalse(self.storage.is_foreign)

    def test_a_uuid_that_an_administrator_types_in_opens_nothing(self):
        victim = replace(self.me, uuid="of the victim", oid=self.me.oid + 1)
        odoo_config.originals().claim(victim)
        copy = self.store_as(victim, 1, database_uuid=victim.uuid)
        old = self.store(2, database_uuid=victim.uuid)
        self.env["ir.config_parameter"].set_param("database.uuid", victim.uuid)
        self.storage.sudo().owner_uuid = victim.uuid
        for each in (copy, old):
            self.assertFalse(each.is_ours)
            with self.assertRefuses(NotOriginal):
                each.action_delete()
            self.assertTrue((self.disk / each.key).exists())
