import time

from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from ..engine.manifest.names import sidecar_key
from ..models.copy.adoption import adopt_copies
from ..models.copy.backup_backup import FACTS, noted_facts
from .test_backup_catalogue import NOW, CatalogueCase

FOREIGN = "11111111-2222-3333-4444-555555555555"


@tagged("post_install", "-at_install")
class TestBackup(CatalogueCase):
    """A backup is one archive, wherever it is stored."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.root / "second").mkdir()
        cls.second = cls.env["backup.storage"].create(
            {"name": "Second", "local_path": str(cls.root / "second")}
        )

    def copied(self, copy, **values):
        """Return another copy of the same archive, in the second storage."""
        facts = {name: copy[name] for name in FACTS if name != "job_id"}
        about = {"key": copy.key, "storage_id": self.second.id, "state": "stored"}
        return copy.create({**facts, **about, **values})

    def scanned(self):
        """Look at the storage; return the copies that it has."""
        self.perform(self.storage.action_scan())
        return self.storage.copy_ids

    def test_copies_of_one_run_are_one_backup(self):
        job = self.run_now()
        self.finalize(job)
        for storage, state in ((self.storage, "verified"), (self.second, "damaged")):
            job._run_context().catalogue.record_copy(storage, state)
        backup = job.copy_ids.backup_id
        self.assertEqual(len(backup), 1)
        self.assertEqual((backup.job_id, backup.plan_id), (job, self.plan))
        self.assertEqual(backup.storage_ids, self.storage | self.second)
        self.assertEqual(backup.state, "verified")
        job.copy_ids[0].protected = True
        self.assertTrue(backup.protected)
        for copy in job.copy_ids:
            self.assertEqual(noted_facts(copy), noted_facts(backup))

    def test_best_copy_is_restored(self):
        copy = self.store()
        second = self.copied(copy)
        backup = copy.backup_id
        action = backup.action_restore()
        self.assertEqual(action["res_model"], "backup.restore.wizard")
        self.assertEqual(action["context"]["default_copy_id"], copy.id)
        copy.state = "damaged"
        action = backup.action_restore()
        self.assertEqual(action["context"]["default_copy_id"], second.id)
        second.state = "missing"
        with self.assertRaises(UserError):
            backup.action_restore()

    def press(self, backup, name, user):
        """Choose from the menu of a backup, as the web client does."""
        action = self.env.ref(f"dfr_backup.backup_backup_action_{name}")
        about = {"active_model": backup._name, "active_ids": backup.ids}
        found = {"active_id": backup.id, **about}
        return action.with_user(user).with_context(**found).run()

    def test_the_menu_of_a_backup_is_done_with_its_copies(self):
        copy = self.store(signature="ours", state="verified")
        copies, backup = copy | self.copied(copy), copy.backup_id
        user = new_test_user(self.env, "b-menu", "dfr_backup.group_manager")
        self.press(backup, "protect", user)
        self.assertEqual(copies.mapped("protected"), [True, True])
        self.press(backup, "unprotect", user)
        self.assertEqual(copies.mapped("protected"), [False, False])
        noted = self.env["backup.audit"].search([("action", "=", "unprotect")])
        self.assertEqual(set(noted.mapped("res_id")), set(copies.ids))
        jobs = self.env["backup.job"]
        run = jobs.browse(self.press(backup, "verify", user)["res_id"])
        self.assertEqual(run.step_ids.copy_id, copies)
        asked = self.press(backup, "delete", user)
        wizard = self.env["backup.confirm.wizard"].browse(asked["res_id"])
        self.assertEqual(wizard.copy_ids, copies)
        # what reads one reads the best
        run = jobs.browse(self.press(backup, "drill", user)["res_id"])
        self.assertEqual(run.step_ids.copy_id, copy)
        staging = self.press(backup, "staging", user)
        self.assertEqual(staging["context"]["default_copy_id"], copy.id)

    def test_a_viewer_has_no_such_menu(self):
        menus = []
        for group in ("viewer", "manager"):
            user = new_test_user(self.env, f"m-{group}", f"dfr_backup.group_{group}")
            actions = self.env["ir.actions.actions"].with_user(user)
            found = actions.get_bindings("backup.backup").get("action", ())
            menus.append({action["id"] for action in found})
        self.assertFalse(menus[0] & menus[1])
        self.assertGreaterEqual(len(menus[1]), 9)

    def test_a_copy_is_called_by_its_moment_and_its_storage(self):
        copy = self.store()
        near, far = (
            copy.with_context(tz=zone).display_name for zone in ("UTC", "Asia/Tokyo")
        )
        self.assertNotEqual(near, far)
        for name in (near, far):
            self.assertTrue(name.endswith(self.storage.name))
            self.assertNotIn(copy.key, name)
        found = [number for number, _name in copy.name_search(copy.key[5:])]
        self.assertEqual(found, copy.ids, "by a part of its file's name")
        copy.protected = True
        copy.with_context(tz="Asia/Tokyo").action_unprotect()
        line = self.env["backup.audit"].search([], limit=1)
        self.assertEqual(line.record, copy.key, "whoever reads it")

    def test_calendar_says_what_is_good_about_a_backup(self):
        copy = self.store()
        backup = copy.backup_id.with_context(backup_calendar=True)
        self.assertFalse(backup.off_site or backup.proven_at)
        plain = backup.display_name
        copy.proven_at = NOW
        self.assertEqual(backup.proven_at, copy.proven_at)
        backup.invalidate_recordset()
        self.assertGreater(len(backup.display_name), len(plain))
        self.assertNotEqual(copy.backup_id.display_name, backup.display_name)

    def test_calendar_shows_the_state_by_colour(self):
        """And not the plan, whose colour may be that of a fault."""
        copy = self.store()
        colors = {}
        for state in ("verified", "stored", "damaged", "missing"):
            copy.state = state
            colors[state] = copy.backup_id.color
        self.assertEqual(colors["damaged"], colors["missing"])
        self.assertEqual(len(set(colors.values())), 3)
        calendar = self.env["backup.backup"].get_view(view_type="calendar")["arch"]
        self.assertIn('color="color"', calendar)

    def test_what_is_to_be_deleted_is_counted_first(self):
        first, other = self.store(), self.store(1)
        second = self.copied(first)
        copies = first | second | other
        wizard = self.env["backup.confirm.wizard"].browse(
            copies.action_ask_delete()["res_id"]
        )
        self.assertEqual(wizard.copy_ids, copies)
        self.assertIn("3", wizard.text)
        self.assertIn(f"{first.database or '?'} (3)", wizard.text)
        self.assertIn("Second (1)", wizard.text)
        self.assertEqual(set(copies.mapped("state")) & {"deleted"}, set())

    def test_it_says_how_many_backups_lose_their_last_copy(self):
        first, other = self.store(), self.store(1)
        second = self.copied(first)
        for copies, count in (
            (first, 0),
            (first | second, 1),
            (first | other, 1),
            (first | second | other, 2),
        ):
            self.assertEqual(self.last_of(copies), str(count))
        second.state = "missing"
        self.assertEqual(self.last_of(first), "1", "no other can be restored")
        self.assertEqual(self.last_of(second), "0", "it was lost before")

    def last_of(self, copies):
        """Return how many backups would lose their last copy, as the form says it."""
        number = copies.action_ask_delete()["res_id"]
        text = self.env["backup.confirm.wizard"].browse(number).text
        return text.splitlines()[1].rpartition(" ")[2]

    def test_storage_that_is_taken_over_says_whose_backups_it_holds(self):
        copy = self.store()
        wizard = self.env["backup.confirm.wizard"].create(
            {"operation": "take_over", "storage_ids": self.storage.ids}
        )
        self.assertIn(f"{copy.database or '?'} (1)", wizard.text)

    def test_another_archive_under_the_name_is_another_backup(self):
        copy = self.store()
        same, other = self.copied(copy), self.store(1)
        self.assertEqual(same.backup_id, copy.backup_id)
        self.assertNotEqual(other.backup_id, copy.backup_id)
        for values in ({"sha256": "cd" * 32}, {"imported_by": FOREIGN}):
            same.unlink()
            same = self.copied(copy, **values)
            self.assertNotEqual(same.backup_id, copy.backup_id)
        self.assertEqual(len(copy.backup_id.copy_ids), 1)

    def test_what_nobody_has_read_is_the_same_by_size_and_moment(self):
        copy = self.store(sha256=False)
        self.assertEqual(self.copied(copy).backup_id, copy.backup_id)
        copy.backup_id.copy_ids[1].unlink()
        self.assertNotEqual(self.copied(copy, size=5).backup_id, copy.backup_id)

    def test_a_scan_finds_a_backup_that_has_no_run(self):
        (self.disk / self.store(database_uuid=FOREIGN).key).exists()
        self.storage.copy_ids.unlink()
        backup = self.scanned().backup_id
        self.assertFalse(backup.job_id)
        self.assertEqual(backup.database_uuid, FOREIGN)
        self.assertEqual(self.scanned().backup_id, backup)

    def test_a_copy_that_was_replaced_is_one_of_another_backup(self):
        copy = self.store(database_uuid=FOREIGN)
        first, kept = copy.backup_id, self.copied(copy)
        content = b"PK another"
        (self.disk / copy.key).write_bytes(content)
        (self.disk / sidecar_key(copy.key)).write_bytes(
            self.sidecar(copy.key, NOW, FOREIGN, content)
        )
        self.scanned()
        self.assertEqual(kept.backup_id, first)
        self.assertNotEqual(copy.backup_id, first)
        self.assertEqual(copy.backup_id.sha256, self.sha256(content))
        self.assertEqual(first.sha256, kept.sha256)

    def test_a_deleted_backup_stays_in_the_history(self):
        copy = self.store()
        other = self.copied(copy, state="verified")
        backup = copy.backup_id
        copy.action_delete()
        self.assertEqual(backup.state, "verified")
        self.assertEqual(backup.storage_ids, self.second)
        other.state = "deleted"
        self.assertEqual(backup.state, "deleted")
        self.assertFalse(backup.storage_ids)
        (copy | other).unlink()
        self.assertFalse(backup.exists())

    def test_a_viewer_reads_and_a_manager_does_no_more(self):
        backup = self.store().backup_id
        for group in ("viewer", "manager"):
            user = new_test_user(self.env, f"b-{group}", f"dfr_backup.group_{group}")
            mine = backup.with_user(user)
            self.assertTrue(mine.read(["name", "contents_in_words", "copy_ids"]))
            for change in (
                lambda mine=mine: mine.write({"state": "verified"}),
                lambda mine=mine: mine.create({"name": "x.zip"}),
                lambda mine=mine: mine.unlink(),
            ):
                with self.assertRaises(AccessError):
                    change()

    def test_copies_of_before_get_their_backups(self):
        copies = [self.store(day) for day in range(3)]
        copies += [self.copied(copies[0]), self.copied(copies[1], sha256="cd" * 32)]
        copies += [self.store(4, sha256=False)]
        copies[2].state = "deleted"
        expected = self.by_backup()
        self.forget_backups()
        started = time.monotonic()
        adopt_copies(self.env.cr)
        self.assertLess(time.monotonic() - started, 5)
        self.env.invalidate_all()
        self.assertEqual(self.by_backup(), expected)

    def test_thousands_of_copies_get_theirs_in_seconds(self):
        copy = self.store()
        columns = ", ".join(
            name for name in FACTS if name not in ("sha256", "database_uuid")
        )
        self.env.flush_all()
        self.env.cr.execute(
            f"INSERT INTO backup_copy (backup_id, key, storage_id, state, sha256,"
            f" database_uuid, {columns})"
            f" SELECT backup_id, 'k' || n / 2 || '.zip', storage_id, 'deleted',"
            f" md5((n / 2)::text), database_uuid, {columns}"
            f" FROM backup_copy, generate_series(2, 5001) n WHERE id = %s",
            copy.ids,
        )
        self.forget_backups()
        started = time.monotonic()
        adopt_copies(self.env.cr)
        self.assertLess(time.monotonic() - started, 10)
        self.env.cr.execute("SELECT count(*) FROM backup_backup")
        self.assertGreaterEqual(self.env.cr.fetchone()[0], 2501)
        self.env.invalidate_all()

    def by_backup(self):
        """Return what each backup is, by the copies that it has."""
        backups = self.env["backup.backup"].search([])
        names = [*FACTS, "name", "state", "protected", "plan_id"]
        return {
            tuple(sorted(backup.copy_ids.ids)): [str(backup[name]) for name in names]
            for backup in backups
        }

    def forget_backups(self):
        """Make the catalogue as it was before there were backups."""
        self.env.flush_all()
        self.env.cr.execute(
            "ALTER TABLE backup_copy ALTER backup_id DROP NOT NULL;"
            " UPDATE backup_copy SET backup_id = NULL; DELETE FROM backup_backup"
        )
        self.env.invalidate_all()
