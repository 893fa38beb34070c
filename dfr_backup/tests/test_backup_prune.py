"""Packs that no backup needs: when they are deleted, and what the catalogue says."""

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from unittest.mock import patch

from freezegun import freeze_time

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from ..console import pruning as command
from ..engine.errors.other import NotLookedInTime
from ..engine.errors.packs import CopyNotListed, KeepsEverything
from ..engine.errors.storage import ReadOnlyStorage
from ..engine.manifest.names import sidecar_key
from ..engine.packs.prune import Unneeded
from ..engine.storages.base import StoredObject
from ..engine.storages.local.storage import LocalStorage
from ..models.job import alerts
from ..models.overview.problems import plan_problems
from ..models.storage import pruning
from ..wizards import backup_prune_wizard
from .common import BackupCase

PACK = Unneeded("0f5bd1f6-files-0123456789abcdef01234567.zip", 300, None, False)


def slow_list(_storage):
    """List for five seconds what is none of ours."""
    for number in range(50):
        time.sleep(0.1)
        yield StoredObject(f"other-{number}", 1, datetime.now(timezone.utc))


@tagged("post_install", "-at_install")
class TestPrune(BackupCase):
    def backed_up(self, **noted):
        """Note a backup that shares its attachments; return its copy."""
        job = self.run_now()
        self.record_copy(job)
        copy = job.copy_ids
        noted = {"incremental": True, "manifest_sha256": "ab" * 32, **noted}
        self.env["backup.job"]._persist(copy, noted)
        self.end(job)
        return copy

    def prunes(self):
        return self.env["backup.job"].search([("kind", "=", "prune")])

    def due(self, **later):
        """Let the scheduled action look; return the runs that it makes."""
        known = self.prunes()
        with freeze_time(fields.Datetime.now() + timedelta(**later)):
            pruning.create_due(self.env["backup.storage"])
        return self.prunes() - known

    def test_known_are_all_that_were_not_deleted(self):
        copy = self.backed_up()
        (known,) = pruning.known_copies(self.storage)
        self.assertEqual(known.key, copy.key)
        self.assertEqual(known.size, int(copy.size))
        self.assertEqual(known.manifest_sha256, "ab" * 32)
        self.assertTrue(known.verified)
        for state in ("stored", "missing", "damaged", "unknown"):
            copy.state = state
            (known,) = pruning.known_copies(self.storage)
            self.assertFalse(known.verified)
        copy.state = "deleted"
        self.assertFalse(pruning.known_copies(self.storage))

    def test_complete_backup_without_a_noted_manifest_stops_nothing(self):
        self.backed_up(incremental=False, manifest_sha256=False)
        self.assertFalse(pruning.known_copies(self.storage))

    def lose(self, copy, state="missing"):
        """Let nothing of a backup be in its storage."""
        for path in (self.root / "disk").glob(f"{copy.key.partition('.')[0]}*"):
            path.unlink()
        self.env["backup.job"]._persist(copy, {"state": state})

    def test_lost_backups_are_given_up_by_a_button(self):
        kept, gone = self.backed_up(), self.backed_up()
        (self.root / "disk" / kept.key).write_bytes(b"archive")
        for state in ("missing", "damaged"):
            self.lose(gone, state)
            self.storage.invalidate_recordset(["lost_count"])
            # one that is damaged may be listed all the same
            self.assertEqual(self.storage.lost_count, int(state == "missing"))
            self.assertEqual(len(pruning.known_copies(self.storage)), 2)
            self.storage.action_give_up_lost()
            self.assertEqual(gone.state, "deleted")
            self.assertEqual(gone.deletion_reason, "lost")
            self.assertEqual(self.storage.lost_count, 0)
            (known,) = pruning.known_copies(self.storage)
            self.assertEqual(known.key, kept.key)
        noted = self.env["backup.audit"].search([("action", "=", "delete")])
        self.assertEqual(set(noted.mapped("record")), {gone.key})

    def test_what_is_there_is_not_given_up(self):
        """Neither what the list shows, nor what it hides and the storage has."""
        copy = self.backed_up(state="missing")
        folder = self.root / "disk"
        for key in (copy.key, sidecar_key(copy.key)):
            (folder / key).write_bytes(b"left")
            for listed in (True, False):
                with patch.object(
                    LocalStorage,
                    "list",
                    LocalStorage.list if listed else lambda _self: iter(()),
                ):
                    self.assertFalse(pruning.give_up_lost(self.storage))
            (folder / key).unlink()
        self.assertEqual(copy.state, "missing")
        self.assertEqual(pruning.give_up_lost(self.storage), copy)

    def test_nobody_else_gives_up_backups(self):
        copy = self.backed_up(state="missing")
        viewer = new_test_user(self.env, "looks", "dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            self.storage.with_user(viewer).action_give_up_lost()
        self.storage.owner_uuid = "another"
        with self.assertRaises(UserError):
            self.storage.action_give_up_lost()
        self.assertEqual(copy.state, "missing")

    def test_command_gives_up_lost_backups(self):
        self.lose(self.backed_up())
        run = command._give_up_and_request(self.env)
        self.assertEqual(run.step_ids.storage_id, self.storage)
        self.assertFalse(pruning.known_copies(self.storage))

    def test_run_that_is_stopped_offers_it(self):
        self.lose(self.backed_up())
        run = self.prunes().browse(self.storage.action_prune()["res_id"])
        run.action_give_up_lost()
        self.assertFalse(pruning.known_copies(self.storage))

    def test_due_after_a_backup_once_a_day(self):
        self.assertFalse(self.due())
        self.backed_up()
        run = self.due()
        self.assertEqual(run.step_ids.storage_id, self.storage)
        self.assertFalse(self.due(hours=30))  # it waits
        run.state = "success"
        pruning.note_unneeded(self.storage, [])
        self.assertFalse(self.due(hours=1))
        self.assertFalse(self.due(hours=30))  # no backup since, and nothing to do
        pruning.note_unneeded(self.storage, [PACK])
        self.assertEqual(self.storage.unneeded_packs, 1)
        self.assertEqual(self.storage.unneeded_size, 300)
        self.assertTrue(self.due(hours=30))

    def test_prune_that_fails_is_told_as_a_backup_is(self):
        """To those who look after the plan whose backups are there."""
        self.backed_up()
        run = self.due()
        self.assertEqual(run.plan_id, self.plan)
        self.end(run, prune="failure")
        alerts.announce(run)
        self.assertEqual(self.plan.alarm_kinds, ["prune"])
        kinds = [each["kind"] for each in plan_problems(self.env, self.plan, run)]
        self.assertIn("prune", kinds)
        again = self.due(hours=30)
        self.end(again)
        alerts.announce(again)
        self.assertFalse(self.plan.alarm_kinds)

    def test_not_due_where_nothing_may_be_deleted(self):
        self.backed_up()
        self.storage.can_delete = False
        self.assertFalse(self.due())
        with self.assertRaises(KeepsEverything):
            pruning.require_prunable(self.storage)
        self.storage.write({"can_delete": True, "owner_uuid": "another"})
        self.assertFalse(self.due())
        with self.assertRaises(ReadOnlyStorage):
            pruning.require_prunable(self.storage)

    def test_two_storages_of_a_plan_are_pruned_at_once(self):
        """The second run belongs to no plan, which has one that waits already."""
        self.backed_up()
        other = self.storage.copy(
            {"name": "Other", "local_path": str(self.root / "other")}
        )
        first = pruning._create(self.storage, "manual", self.plan)
        self.assertEqual(pruning._create(self.storage, "cli", self.plan), first)
        second = pruning._create(other, "cli", self.plan)
        self.assertEqual((first + second).mapped("state"), ["pending", "pending"])
        self.assertEqual(
            (first.plan_id, second.plan_id), (self.plan, self.plan.browse())
        )

    def test_button_starts_a_run(self):
        action = self.storage.action_prune()
        run = self.env["backup.job"].browse(action["res_id"])
        self.assertEqual((run.kind, run.trigger), ("prune", "manual"))
        self.assertEqual(run.step_ids.storage_id, self.storage)
        viewer = new_test_user(self.env, "looks", "dfr_backup.group_viewer")
        with self.assertRaises(AccessError):
            self.storage.with_user(viewer).action_prune()

    def test_form_says_what_a_prune_would_do(self):
        self.backed_up()
        since = datetime.now(timezone.utc)
        found = [PACK, replace(PACK, since=since), replace(PACK, size=70, due=True)]
        with patch.object(pruning, "look", lambda *_about: found):
            action = self.storage.action_ask_prune()
            wizard = self.env[action["res_model"]].browse(action["res_id"])
            self.assertEqual((wizard.now_packs, wizard.now_size), (1, 70))
            self.assertEqual((wizard.later_packs, wizard.later_size), (2, 600))
            self.assertFalse(wizard.problem or wizard.has_lost)
        self.assertFalse(self.prunes())
        run = self.prunes().browse(wizard.action_prune()["res_id"])
        self.assertEqual(run.step_ids.storage_id, self.storage)

    def test_form_is_read_without_another_look(self):
        """A request that only reads may not write what a look notes."""
        self.backed_up()
        with patch.object(pruning, "look", return_value=[]) as look:
            action = self.storage.action_ask_prune()
            wizard = self.env[action["res_model"]].browse(action["res_id"])
            self.env.flush_all()
            for _request in range(2):
                self.env.invalidate_all()
                self.assertFalse(wizard.now_packs or wizard.problem)
            look.assert_called_once()

    def test_look_that_takes_too_long_ends(self):
        """And the prune can be started all the same, by a run that has the time."""
        self.backed_up()
        with (
            patch.object(backup_prune_wizard, "LOOK_SECONDS", 0.5),
            patch.object(LocalStorage, "list", slow_list),
        ):
            action = self.storage.action_ask_prune()
            wizard = self.env[action["res_model"]].browse(action["res_id"])
            self.assertEqual(wizard.problem_code, NotLookedInTime.code)
        self.assertTrue(wizard.is_unknown)
        self.assertFalse(wizard.has_lost)
        run = self.prunes().browse(wizard.action_prune()["res_id"])
        self.assertEqual(run.step_ids.storage_id, self.storage)

    def test_form_says_what_stops_a_prune(self):
        self.lose(self.backed_up())
        wizard = self.env["backup.prune.wizard"].create({"storage_id": self.storage.id})
        self.assertEqual(wizard.problem_code, CopyNotListed.code)
        self.assertTrue(wizard.has_lost)
        again = wizard.action_give_up_lost()
        self.assertFalse(wizard.browse(again["res_id"]).problem)

    def test_command_needs_an_incremental_backup(self):
        with self.assertRaises(UserError):
            command._request(self.env)
        self.backed_up()
        self.assertEqual(command._request(self.env).trigger, "cli")

    def test_dry_run_says_what_is_in_the_way(self):
        self.backed_up()
        self.storage.can_delete = False
        row = command._row(self.storage)
        self.assertEqual(row["error_code"], KeepsEverything().code)
        self.assertTrue(command._as_text(row))

    def test_dry_run_says_until_when_a_pack_is_locked(self):
        self.backed_up()
        until = datetime(2999, 12, 31, tzinfo=timezone.utc)
        locked = replace(PACK, since=until, locked_until=until)
        with patch.object(pruning, "look", lambda _storage: [PACK, locked]):
            row = command._row(self.storage)
        moments = [pack["locked_until"] for pack in row["packs"]]
        self.assertEqual(moments, [None, until.isoformat()])
        self.assertIn(until.isoformat(), command._as_text(row))

    def test_dry_run_changes_nothing(self):
        self.backed_up(state="deleted")
        folder = self.root / "disk"
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        row = command._row(self.storage)
        self.assertEqual((row["packs"], row["error"]), ([], None))
        self.assertEqual(
            {path.name: path.read_bytes() for path in folder.iterdir()}, before
        )
