"""What a test of a storage, or a run, finds out that keeps backups from being
incremental there, and what ends it."""

import zipfile
from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import Form, new_test_user, tagged

from ..engine.errors.local import NoPermission
from ..engine.errors.packs import (
    KeepsEverything,
    LockNotExtended,
    LocksByDefault,
    MayNotList,
    RulesUnknown,
    TakesAway,
)
from ..engine.manifest.names import FILESTORE
from ..engine.packs.terms import REWRITE, TERMS
from ..engine.storages.base import Capabilities
from ..engine.storages.local.storage import LocalStorage
from ..models.engine_messages import format_error
from ..models.packs_obstacle import prune_obstacle_in
from ..models.plan.incremental import obstacle_of
from .archives import store_fname
from .common import BackupCase
from .incremental import IncrementalCase

ONE, TWO, THREE = b"one" * 1000, b"two" * 1000, b"three" * 500


def refuse_list(storage):
    raise NoPermission(doing="", folder=storage.folder())


class ObstacleCase(BackupCase):
    def setUp(self):
        super().setUp()
        self.plan.incremental = True

    def tested(self, **found):
        """Test the storage, which has these capabilities."""
        told = Capabilities(**found)
        with patch.object(LocalStorage, "_probe", lambda _self, _key: told):
            self.storage.action_test()
        self.assertFalse(self.storage.last_test_error)
        return obstacle_of(self.plan)

    def assertToldInThePlan(self, obstacle):
        self.env.invalidate_all()
        self.assertIn(format_error(self.env, obstacle), self.plan.warnings or "")


@tagged("post_install", "-at_install")
class TestWhatATestFinds(ObstacleCase):
    def test_nothing_is_in_the_way(self):
        self.assertIsNone(self.tested())

    def test_storage_that_may_not_be_listed(self):
        with patch.object(LocalStorage, "_entries", refuse_list):
            shown = self.storage.action_test()
        self.assertEqual(shown["params"]["type"], "warning")
        obstacle = obstacle_of(self.plan)
        self.assertIsInstance(obstacle, MayNotList)
        self.assertIsInstance(prune_obstacle_in(self.storage), MayNotList)
        self.assertToldInThePlan(obstacle)
        self.assertEqual(self.storage.action_test()["params"]["type"], "success")
        self.assertIsNone(obstacle_of(self.plan))

    def test_what_is_known_stays_when_a_test_fails(self):
        self.tested(can_list=False, rules_unknown=True, locks_by_default=True)
        (self.root / "disk").rename(self.root / "elsewhere")
        self.addCleanup((self.root / "elsewhere").rename, self.root / "disk")
        self.storage.action_test()
        self.assertTrue(self.storage.last_test_error)
        self.assertFalse(self.storage.can_list)
        self.assertTrue(self.storage.rules_unknown)
        self.assertTrue(self.storage.locks_by_default)

    def test_bucket_that_locks_every_object(self):
        obstacle = self.tested(can_delete=False, locks_by_default=True)
        self.assertIsInstance(obstacle, LocksByDefault)
        self.assertToldInThePlan(obstacle)
        self.assertIsInstance(self.tested(can_delete=False), KeepsEverything)


@tagged("post_install", "-at_install")
class TestRules(ObstacleCase):
    """Lifecycle rules that the bucket does not tell."""

    def test_unknown_rules_are_confirmed_by_somebody(self):
        obstacle = self.tested(rules_unknown=True)
        self.assertIsInstance(obstacle, RulesUnknown)
        self.assertToldInThePlan(obstacle)
        self.assertIsNone(prune_obstacle_in(self.storage))
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        self.storage.with_user(manager).rules_confirmed = True
        self.assertIsNone(obstacle_of(self.plan))
        self.assertIsNone(self.tested(rules_unknown=True))

    def test_confirmation_ends_when_the_bucket_tells_its_rules(self):
        self.tested(rules_unknown=True)
        self.storage.rules_confirmed = True
        self.assertIsInstance(self.tested(takes_away=True), TakesAway)
        self.assertFalse(self.storage.rules_confirmed)
        self.assertIsInstance(self.tested(rules_unknown=True), RulesUnknown)

    def test_confirmation_is_about_one_bucket(self):
        self.tested(rules_unknown=True)
        self.storage.rules_confirmed = True
        self.storage.name = "Another name"
        self.assertTrue(self.storage.rules_confirmed)
        self.storage.local_path = str(self.root / "another")
        self.assertFalse(self.storage.rules_confirmed)

    def test_form_asks_only_where_nobody_knows(self):
        with Form(self.storage) as form, self.assertRaises(AssertionError):
            form.rules_confirmed = True
        self.tested(rules_unknown=True)
        with Form(self.storage) as form:
            form.rules_confirmed = True
        self.assertTrue(self.storage.rules_confirmed)


@tagged("post_install", "-at_install")
class TestLocks(ObstacleCase):
    """A lock that was not extended."""

    def setUp(self):
        super().setUp()
        self.days = 14
        storages = type(self.storage)
        self.startPatcher(
            patch.object(storages, "_lock_days", lambda _storage: self.days)
        )

    def refused(self):
        self.run_now()._run_context().packs.note_lock_refused(self.storage)

    def test_only_a_lock_that_was_extended_ends_it(self):
        self.refused()
        self.assertIsInstance(obstacle_of(self.plan), LockNotExtended)
        self.assertIsInstance(self.tested(), LockNotExtended)
        self.assertIsInstance(self.tested(extends_locks=False), LockNotExtended)
        self.assertIsNone(self.tested(extends_locks=True))
        self.assertIsNone(self.tested())

    def test_a_test_finds_it_before_any_backup(self):
        self.assertIsInstance(self.tested(extends_locks=False), LockNotExtended)
        self.assertToldInThePlan(obstacle_of(self.plan))

    def test_what_locks_nothing_extends_nothing(self):
        self.refused()
        self.days = 0
        self.assertIsNone(obstacle_of(self.plan))


@tagged("post_install", "-at_install")
class TestRunsWithoutAList(IncrementalCase):
    def test_run_finds_that_it_may_not_list(self):
        """The right was taken away after the test."""
        before = self.backup(ONE)
        with patch.object(LocalStorage, "_entries", refuse_list):
            job = self.run_as_it_is(ONE)
        self.assertFalse(job.incremental)
        self.assertEqual(job._step("archive_files").state, "success")
        self.assertEqual(job._step("initialize").state, "warning")
        self.assertFalse(self.storage.can_list)
        self.assertIsInstance(obstacle_of(self.plan), MayNotList)
        with zipfile.ZipFile(self.disk / job.archive_name) as archive:
            names = [n for n in archive.namelist() if n.startswith(FILESTORE)]
        self.assertEqual(names, [FILESTORE + store_fname(ONE)])
        self.assertTrue(before.incremental)
        self.storage.action_test()
        self.assertTrue(self.backup(ONE).incremental)


@tagged("post_install", "-at_install")
class TestRewriting(IncrementalCase):
    def terms(self):
        return self.run_now()._run_context().packs.terms(self.storage)

    def test_only_managers_ask_for_it(self):
        user = new_test_user(self.env, "u", groups="dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            self.storage.with_user(user).action_rewrite()
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        self.storage.with_user(manager).action_rewrite()
        self.assertTrue(self.storage.rewrite_packs)
        self.assertEqual(self.terms(), REWRITE)
        self.storage.with_user(manager).rewrite_packs = False
        self.assertEqual(self.terms(), TERMS)

    def test_the_next_run_rewrites_and_no_other(self):
        first = self.backup(ONE, TWO, THREE)
        self.assertEqual(self.backup(ONE, TWO).new_size, 0)
        self.storage.action_rewrite()
        second = self.backup(ONE, TWO)
        self.assertGreater(second.new_size, 0)
        self.assertEqual((second.packs, second.packed_size), (1, 6000))
        self.assertFalse(self.storage.rewrite_packs)
        third = self.backup(ONE, TWO)
        self.assertEqual((third.packs, third.new_size), (1, 0))
        self.assertEqual(first.state, "verified")
        self.assertEqual(len(self.packs()), 2)

    def test_complete_backup_leaves_it_to_the_next_incremental_one(self):
        self.backup(ONE)
        self.storage.action_rewrite()
        self.plan.incremental = False
        self.backup(ONE)
        self.assertTrue(self.storage.rewrite_packs)

    def test_it_needs_the_room_of_what_it_stores_again(self):
        self.backup(ONE, TWO, THREE)
        copy = self.backup(ONE, TWO)
        packs = self.run_now()._run_context().packs
        stored = int(copy.packed_size)
        self.assertEqual(packs.new_bytes(self.storage, stored + 5), 5)
        self.storage.action_rewrite()
        again = packs.new_bytes(self.storage, stored + 5)
        (pack,) = self.packs()
        self.assertEqual(again, min(stored + 5, 5 + pack.stat().st_size))
