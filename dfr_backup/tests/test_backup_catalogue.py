import hashlib
import json
from argparse import Namespace
from datetime import timedelta

from werkzeug.exceptions import Conflict

from odoo import fields
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..console import archives
from ..controllers.download import _pieces
from ..engine.encryption.secret_box import Key
from ..engine.errors import Cancelled, EngineError, Mismatch
from ..engine.errors.storage import ForeignBackup, ReadOnlyStorage
from ..engine.errors.trust import WrongSignature
from ..engine.manifest import write as manifest
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.signature import Signer, signature_of
from ..engine.messages import to_json
from ..engine.progress import Progress
from ..engine.storages.local.storage import LocalStorage
from ..models.copy.downloading import download, download_path
from ..models.job.catalogue import Copies
from ..models.job.restores import Restores
from ..models.moments import in_words
from ..models.plan.copies import stored
from ..models.plan.due import create_due_verifications
from ..models.plan.pausing import next_after
from ..runs import words
from .common import BackupCase

NOW = fields.Datetime.now()


class CatalogueCase(BackupCase):
    """Archives in a storage, and their copies in the catalogue."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.disk = cls.root / "disk"
        cls.mine = cls.env["backup.job"]._current_database_uuid()

    def setUp(self):
        super().setUp()
        for path in self.stored(self.disk):
            path.unlink()

    def store(
        self,
        days=0,
        database_uuid=None,
        state="verified",
        content=b"PK archive",
        **values,
    ):
        """Put an archive and its manifest into the storage, and a copy into the
        catalogue."""
        moment = NOW - timedelta(days=days)
        key = f"db-{moment:%Y%m%dT%H%M%SZ}-{len(self.stored(self.disk)):08}.zip"
        owner = database_uuid or self.mine
        (self.disk / key).write_bytes(content)
        (self.disk / sidecar_key(key)).write_bytes(
            self.sidecar(key, moment, owner, content)
        )
        return self.env["backup.copy"].create(
            {
                "storage_id": self.storage.id,
                "plan_id": self.plan.id,
                "key": key,
                "date": moment,
                "size": len(content),
                "sha256": self.sha256(content),
                "database_uuid": owner,
                "state": state,
                **values,
            }
        )

    def sha256(self, content):
        return hashlib.sha256(content).hexdigest()

    def sidecar(self, key, moment, owner, content):
        odoo = {"db_name": "db", "version": "19.0", "modules": {"base": "19.0.1.3"}}
        ours = {
            "job": "5424c813-0000-0000-0000-000000000000",
            "run": "B1",
            "plan": self.plan.name,
            "database_uuid": owner,
            "snapshot_at": f"{moment.isoformat()}+00:00",
            "contents": ["database"],
            "missing": [],
        }
        content = manifest.build(odoo, ours), key, len(content), self.sha256(content)
        return manifest.sidecar(*content)

    def perform(self, action):
        """Do what a button asks for, in this process."""
        job = self.env["backup.job"].browse(action["res_id"])
        job.state = "running"
        job._perform()
        return job

    def retain(self):
        """Apply the rules as a run does; return the keys that are left."""
        job = self.run_now()
        job.state = "running"
        progress = Progress()
        self.patch(Copies, "storage_now", lambda self, storage: None)
        try:
            job._run_context().catalogue.apply_retention(self.storage, progress)
        except EngineError as error:  # a warning in a run
            progress.warn(error.in_full)
        self.lines = str(list(map(to_json, progress.lines)))
        job.state = "success"
        return {path.name for path in self.stored(self.disk)}

    def keep_two(self):
        rules = dict.fromkeys(
            ("keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"),
            0,
        )
        self.plan.write(
            {"retention": "custom", **rules, "keep_last": 2, "keep_within_days": 0}
        )
        self.plan.keep_minimum = 1


@tagged("post_install", "-at_install")
class TestBackupCatalogue(CatalogueCase):
    def test_cancel_ends_the_clean_up(self):
        """It is no warning, after which the next copy goes."""

        class Cancelling(Progress):
            def tick(self):
                raise Cancelled

        self.keep_two()
        for days in range(1, 6):
            self.store(days)
        job = self.run_now()
        job.state = "running"
        self.patch(Copies, "storage_now", lambda self, storage: None)
        self.patch(Copies, "listing", lambda self, storage, progress: None)
        before = len(self.stored(self.disk))
        with self.assertRaises(Cancelled):
            job._run()._look_after(Cancelling(), self.storage)
        self.assertGreaterEqual(len(self.stored(self.disk)), before - 2)
        job.state = "success"

    # === SCAN === #

    def test_scan_rebuilds_the_catalogue(self):
        copies = self.store(1) + self.store(2, content=b"another archive")
        before = copies.read(
            ["key", "date", "size", "sha256", "plan_id", "database_uuid"]
        )
        for row in before:
            row.pop("id")
        copies.unlink()
        job = self.perform(self.storage.action_scan())
        self.assertEqual(job.state, "success")
        found = self.storage.copy_ids
        self.assertEqual(set(found.mapped("state")), {"stored"})
        after = found.read(
            ["key", "date", "size", "sha256", "plan_id", "database_uuid"]
        )
        for row in after:
            row.pop("id")
        self.assertEqual(
            sorted(after, key=lambda r: r["key"]),
            sorted(before, key=lambda r: r["key"]),
        )

    def test_scan_finds_the_moment_that_the_run_has_noted(self):
        moment = NOW - timedelta(days=1, microseconds=1)
        run = self.run_now()
        values = self.store(1).read(["key", "size", "sha256"])[0]
        self.storage.copy_ids.unlink()
        run.write({f"archive_{name}": values[name] for name in ("size", "sha256")})
        run.write({"archive_name": values["key"]})
        run.data = {"snapshot_at": f"{moment.isoformat()}+00:00"}
        content = self.sidecar(values["key"], moment, self.mine, b"PK archive")
        (self.disk / sidecar_key(values["key"])).write_bytes(content)
        self.record_copy(run)
        noted = self.storage.copy_ids.date
        self.storage.copy_ids.unlink()
        self.perform(self.storage.action_scan())
        self.assertEqual(self.storage.copy_ids.date, noted)

    def test_scan_flags_what_is_gone_or_changed(self):
        good, gone, short, broken = (self.store(days) for days in range(4))
        (self.disk / gone.key).unlink()
        (self.disk / short.key).write_bytes(b"PK")
        (self.disk / sidecar_key(broken.key)).write_text("{")
        (self.disk / "somebody elses.json").write_text("[1, 2]")
        (self.disk / "notes.txt").write_text("mine")
        job = self.perform(self.storage.action_scan())
        self.assertEqual(good.state, "verified")
        self.assertEqual(gone.state, "missing")
        self.assertEqual(short.state, "damaged")
        self.assertEqual(broken.state, "damaged")
        self.assertEqual(job.step_ids.state, "warning")
        for copy in (gone, short, broken):
            self.assertIn(copy.key, job.step_ids.log)
        self.assertNotIn("notes.txt", job.step_ids.log)

    def test_scan_leaves_the_copies_of_a_renamed_plan_with_it(self):
        copy = self.store()
        self.plan.name = "Renamed"
        other = self.plan.copy({"name": "Nightly"})
        self.perform(self.storage.action_scan())
        self.assertEqual(copy.plan_id, self.plan)
        self.assertFalse(stored(other, self.storage))

    def test_scan_does_not_choose_between_plans_of_one_name(self):
        """The rules of the wrong one would delete."""
        copy = self.store()
        key = copy.key
        twin = self.plan.copy({"name": self.plan.name})
        for active in (True, False):
            twin.active = active
            self.env["backup.copy"].search([]).unlink()
            job = self.perform(self.storage.action_scan())
            found = self.env["backup.copy"].search([("key", "=", key)])
            self.assertTrue(found.is_ours)
            self.assertFalse(found.plan_id)
            self.assertIn(words.SAME_NAME, str(job.step_ids.log_values))
        twin.name = "Another"
        self.env["backup.copy"].search([]).unlink()
        self.perform(self.storage.action_scan())
        found = self.env["backup.copy"].search([("key", "=", key)])
        self.assertEqual(found.plan_id, self.plan)

    def test_scan_does_not_overrule_a_verification(self):
        bad = self.store()
        (self.disk / bad.key).write_bytes(b"PK brchive")
        self.perform(bad.action_verify())
        self.perform(self.storage.action_scan())
        self.assertEqual(bad.state, "damaged")

    def test_scan_of_an_empty_storage(self):
        lost = self.store()
        for path in self.stored(self.disk):
            path.unlink()
        self.perform(self.storage.action_scan())
        self.assertEqual(lost.state, "missing")

    # === VERIFY === #

    def test_verify_reads_the_copies_back(self):
        copies = self.store(0, state="stored") + self.store(1, state="stored")
        job = self.perform(copies.action_verify())
        self.assertEqual(job.state, "success")
        self.assertEqual(set(copies.mapped("state")), {"verified"})
        self.assertEqual(len(job.step_ids), 2)

    def test_verify_finds_a_flipped_bit(self):
        good, bad, gone = self.store(0), self.store(1), self.store(2)
        (self.disk / bad.key).write_bytes(b"PK brchive")
        (self.disk / gone.key).unlink()
        job = self.perform((good + bad + gone).action_verify())
        self.assertEqual(job.state, "partial")
        self.assertEqual(
            (good + bad + gone).mapped("state"), ["verified", "damaged", "missing"]
        )
        self.assertTrue(job.error and job.hint)

    def test_verify_finds_a_swapped_archive(self):
        one, other = (
            self.store(0, content=b"first 1"),
            self.store(1, content=b"second "),
        )
        (self.disk / one.key).write_bytes(b"second ")
        job = self.perform(one.action_verify())
        self.assertEqual((job.state, one.state), ("failure", "damaged"))
        self.assertEqual(other.state, "verified")

    def swap(self, copy, content):
        """Let somebody put another archive, with a manifest that fits it, in the place
        of the one that was stored."""
        sidecar = self.sidecar(copy.key, copy.date, self.mine, content)
        (self.disk / copy.key).write_bytes(content)
        (self.disk / sidecar_key(copy.key)).write_bytes(sidecar)

    def test_verify_finds_a_swapped_pair(self):
        copy = self.store(content=b"first 1")
        self.swap(copy, b"second ")
        job = self.perform(copy.action_verify())
        self.assertEqual((job.state, copy.state), ("failure", "damaged"))

    def test_drill_and_restore_refuse_a_swapped_pair(self):
        self.patch(Restores, "forget_leftovers", lambda _self: None)
        for request in ("_request_drill", "_request_restore"):
            with self.subTest(request):
                copy = self.store(content=b"first 1", signature="ours")
                self.swap(copy, b"second ")
                values = {"restore_database": "restored", "trigger": "manual"}
                if request == "_request_restore":
                    del values["trigger"]
                job = getattr(copy, request)(**values)
                job.state = "running"
                job._perform()
                self.assertEqual((job.state, copy.state), ("failure", "damaged"))
                self.assertEqual(job._step("fetch").state, "failure")
                self.assertEqual(job._step("check").state, "skipped")
                self.assertFalse(copy.proven_at)

    def test_scan_does_not_believe_a_swapped_pair(self):
        copy = self.store(content=b"first 1")
        sha256 = copy.sha256
        self.swap(copy, b"the second")
        job = self.perform(self.storage.action_scan())
        self.assertEqual((copy.state, copy.sha256), ("damaged", sha256))
        self.assertEqual(job.step_ids.state, "warning")
        self.perform(self.storage.action_scan())
        self.assertEqual((copy.state, copy.sha256), ("damaged", sha256))

    def sign(self, copy, key=None, **who):
        """Sign what lies beside a copy, as this server does or another one would."""
        identity = self.env["backup.job"]._current_identity().to_json() | who
        path = self.disk / sidecar_key(copy.key)
        signer = Signer(key) if key else odoo_config.signer()
        content = signer.sign(json.loads(path.read_bytes()), identity)
        path.write_bytes(manifest.encode(content))
        return path

    def test_scan_tells_who_has_signed(self):
        none, ours, twin, neighbour, other, wrong = (
            self.store(days) for days in range(6)
        )
        self.sign(ours, name="a former name")
        self.sign(twin, oid=1)  # a raw copy has the same uuid
        self.sign(neighbour, uuid="11111111-2222-3333-4444-555555555555")
        self.sign(other, key=Key(b"k" * 32))
        path = self.sign(wrong)
        content = json.loads(path.read_bytes())
        content["dfr_backup"]["run"] = "B2"
        path.write_bytes(manifest.encode(content))
        keys = [copy.key for copy in (none, ours, twin, neighbour, other, wrong)]
        self.storage.copy_ids.unlink()
        job = self.perform(self.storage.action_scan())
        found = {copy.key: copy for copy in self.storage.copy_ids}
        self.assertEqual(
            [found[key].signature for key in keys],
            ["unsigned", "ours", "here", "here", "elsewhere", "wrong"],
        )
        self.assertEqual(
            [found[key].state for key in keys], ["stored"] * 5 + ["damaged"]
        )
        self.assertEqual(job.step_ids.state, "warning")

    def test_command_line_says_who_has_signed(self):
        none, ours, wrong = (self.store(days) for days in range(3))
        self.sign(ours)
        path = self.sign(wrong)
        path.write_bytes(path.read_bytes().replace(b'"B1"', b'"B2"'))
        options = Namespace(json=True)
        storage = self.storage._get_storage()
        looks = [archives.look_at(storage, c.key, options) for c in (none, ours)]
        self.assertEqual([signed for _known, signed in looks], ["unsigned", "here"])
        self.assertEqual(looks[1][0].sha256, ours.sha256)
        with self.assertRaises(WrongSignature):
            archives.look_at(storage, wrong.key, options)
        (odoo_config.data_root() / "secret.key").unlink()
        looks = [archives.look_at(storage, c.key, options) for c in (none, ours)]
        self.assertEqual([signed for _, signed in looks], ["unsigned", "elsewhere"])
        self.assertFalse((odoo_config.data_root() / "secret.key").exists())

    def test_a_run_signs_for_its_database_and_an_import_does_not(self):
        run = self.run_now()
        content = run._run()._sign({"dfr_backup": {}})
        self.assertEqual(odoo_config.signer().judge(signature_of(content)), "here")
        self.assertEqual(content["signature"]["identity"]["uuid"], self.mine)
        run.kind = "import"
        self.assertNotIn("signature", run._run()._sign({"dfr_backup": {}}))

    def test_verification_notes_the_manifest_of_an_older_release(self):
        copy = self.store()
        self.assertFalse(copy.manifest_sha256)
        self.perform(copy.action_verify())
        path = self.disk / sidecar_key(copy.key)
        self.assertEqual(copy.manifest_sha256, self.sha256(path.read_bytes()))
        path.write_bytes(path.read_bytes() + b" ")
        job = self.perform(copy.action_verify())
        self.assertEqual(job.step_ids.error_code, "FETCH-18")
        self.assertEqual(copy.state, "damaged")

    def test_what_was_swapped_is_neither_downloaded_nor_looked_into(self):
        copy = self.store()
        self.perform(copy.action_verify())
        self.swap(copy, b"PK brchive")
        with self.assertRefuses(Mismatch), copy._looked_into():
            pass
        size = int(copy.size)
        with self.assertRaises(Conflict):
            _pieces(copy, 0, size, size)
        copy.manifest_sha256 = False  # as an older release has left it
        with self.assertRaises(OSError):
            b"".join(_pieces(copy, 0, size, size))
        self.assertEqual(b"".join(_pieces(copy, 3, 2, size)), b"br")

    def test_what_a_bucket_does_not_prove_is_downloaded_through_odoo(self):
        copy, proven = self.store(), []

        def address(_storage, key, _name, _seconds, sha256):
            return f"https://bucket/{key}" if sha256 in proven else None

        self.patch(LocalStorage, "_download_url", address)
        self.assertIn("/dfr_backup/download/", download(copy)["url"])
        proven.append(copy.sha256)
        self.assertEqual(download(copy)["url"], f"https://bucket/{copy.key}")

    def test_plan_verifies_its_newest_copies_on_time(self):
        self.plan.write({"verify_every": "7", "verify_newest": 1})
        newest, _older = self.store(0), self.store(1)
        self.plan.next_verification = NOW - timedelta(minutes=1)
        create_due_verifications(self.env["backup.plan"])
        mine = [("kind", "=", "verify"), ("plan_id", "=", self.plan.id)]
        job = self.env["backup.job"].search(mine)
        self.assertEqual(job.step_ids.copy_id, newest)
        self.assertGreater(self.plan.next_verification, NOW + timedelta(days=6))
        create_due_verifications(self.env["backup.plan"])
        self.assertEqual(self.env["backup.job"].search_count(mine), 1)

    # === RETENTION === #

    def test_surplus_goes_with_its_manifest_and_is_logged(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        left = self.retain()
        self.assertEqual(
            left,
            {name for c in copies[:2] for name in (c.key, sidecar_key(c.key))},
        )
        self.assertEqual([c.state for c in copies], ["verified"] * 2 + ["deleted"] * 2)
        for copy in copies[2:]:
            self.assertIn(copy.key, self.lines)

    def test_what_stays_whatever_the_rules_say(self):
        self.keep_two()
        self.store(0), self.store(1)
        protected = self.store(2, protected=True)
        foreign = self.store(3, database_uuid="11111111-2222-3333-4444-555555555555")
        others = self.store(4, plan_id=False)
        left = self.retain()
        for copy in (protected, foreign, others):
            self.assertIn(copy.key, left)

    def test_incomplete_backup_does_not_take_the_place_of_a_complete_one(self):
        self.keep_two()
        complete = [self.store(days) for days in (5, 6)]
        for days in range(4):
            self.store(days, complete=False)
        left = self.retain()
        for copy in complete:
            self.assertIn(copy.key, left)

    def test_archive_that_another_database_has_put_there_is_not_deleted(self):
        self.keep_two()
        self.store(0), self.store(1)
        old = self.store(2)
        path = self.disk / sidecar_key(old.key)
        content = json.loads(path.read_text())
        content["dfr_backup"]["database_uuid"] = "11111111-2222-3333-4444-555555555555"
        path.write_text(json.dumps(content))
        self.assertIn(old.key, self.retain())
        self.assertIn(ForeignBackup.template, self.lines)
        self.assertEqual(old.state, "verified")

    def test_archive_of_another_database_is_not_deleted_without_its_manifest(self):
        foreign = self.store(database_uuid="11111111-2222-3333-4444-555555555555")
        (self.disk / sidecar_key(foreign.key)).unlink()
        with self.assertRaises(UserError):
            foreign.action_delete()
        self.assertTrue((self.disk / foreign.key).exists())

    def test_copy_of_the_database_neither_deletes_nor_writes(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        self.env["ir.config_parameter"].set_param("database.uuid", "another identity")
        self.assertTrue(self.storage.is_foreign)
        self.assertIn(copies[3].key, self.retain())
        with self.assertRaises(UserError):
            copies[3].action_delete()
        self.storage.action_test()
        self.assertEqual(self.storage.last_test_error_code, ReadOnlyStorage.code)
        # the server knows of no other database
        odoo_config.originals().put_back(self.mine, None)
        self.storage.action_take_over()
        self.assertIn(copies[3].key, self.retain())  # the server lends the directory
        self.storage._let_in()
        self.assertNotIn(copies[3].key, self.retain())

    def test_a_clean_up_lists_a_storage_once(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        gone = self.store(1)
        (self.disk / gone.key).unlink()
        (self.disk / sidecar_key(gone.key)).unlink()
        job = self.run_now()
        self.patch(Copies, "storage_now", lambda self, storage: None)
        job._step("verify").state = "success"
        calls = []
        listing = LocalStorage.list

        def counted(storage):
            calls.append(storage)
            return listing(storage)

        self.patch(LocalStorage, "list", counted)
        job._run().cleanup(Progress())
        self.assertEqual(len(calls), 1)
        states = [copies[0].state, copies[3].state, gone.state]
        self.assertEqual(states, ["verified", "deleted", "missing"])

    def test_right_to_delete_missing(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        self.storage.can_delete = False
        self.assertIn(copies[3].key, self.retain())
        self.assertFalse(copies[3].expires_at)

    def test_storage_with_rules_of_its_own(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        self.storage.write({"own_retention": True, "retention": "none"})
        self.assertIn(copies[3].key, self.retain())

    def test_preview_is_what_will_happen(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        preview = self.plan.retention_preview
        # the backup that is made next is one of the two
        self.assertEqual(preview.count("data-fate='deleted'"), 3)
        self.assertEqual(preview.count("data-fate='kept'"), 1)
        for copy in copies:
            self.assertIn(f"data-copy='{copy.id}'", preview)
        next_backup = next_after(self.plan, fields.Datetime.now())
        self.assertEqual(copies[3].expires_at, next_backup)
        self.assertGreater(copies[0].expires_at, next_backup)

    def test_preview_of_a_storage_where_nothing_goes_has_nothing_that_goes(self):
        self.keep_two()
        self.store(1)
        preview = self.plan.retention_preview
        self.assertEqual(preview.count("data-fate='kept'"), 1)
        self.assertNotIn("data-fate='deleted'", preview)

    def test_a_backup_is_kept_as_long_as_its_last_copy_and_says_why(self):
        self.keep_two()
        copies = [self.store(days) for days in range(3)]
        newest, _second, oldest = [copy.backup_id for copy in copies]
        self.assertEqual(oldest.kept_until, copies[2].expires_at)
        self.assertEqual(newest.kept_until, copies[0].expires_at)
        self.assertGreater(newest.kept_until, oldest.kept_until)
        self.assertNotEqual(newest.kept_because, oldest.kept_because)
        copies[2].protected = True
        self.assertFalse(oldest.kept_until)
        self.assertTrue(oldest.kept_because)
        self.assertNotEqual(oldest.kept_because, newest.kept_because)

    def test_kept_until_follows_the_schedule_from_the_first_backup_on(self):
        self.keep_two()
        self.plan.write({"frequency": "hourly", "time": 0, "tz": "UTC"})
        copy = self.store()
        now = fields.Datetime.now()
        first = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        self.assertEqual(copy.expires_at, first + timedelta(hours=1))

    def test_nothing_goes_before_a_pause_ends(self):
        self.keep_two()
        copies = [self.store(days) for days in range(4)]
        self.plan.paused_until = fields.Datetime.now() + timedelta(days=30)
        first = next_after(self.plan, fields.Datetime.now())
        self.assertGreater(first, self.plan.paused_until)
        self.assertEqual(copies[3].expires_at, first)
        self.assertGreater(copies[0].expires_at, first)
        shown = in_words(self.env, copies[0].expires_at)
        self.assertIn(shown, self.plan.retention_preview)

    # === RIGHTS === #

    def test_rights(self):
        copy = self.store()
        viewer = copy.with_user(
            new_test_user(self.env, "v", groups="dfr_backup.group_viewer")
        )
        for method in ("verify", "protect", "unprotect", "delete"):
            with self.subTest(method), self.assertRaises(AccessError):
                getattr(viewer, f"action_{method}")()
        self.assertTrue(viewer.read(["key", "expires_at", "location"]))
        with self.assertRaises(AccessError):
            viewer.storage_id.action_scan()
        with self.assertRaises(AccessError):
            viewer.storage_id.action_take_over()

    def test_download_token_is_for_one_user_and_one_copy(self):
        copy, other = self.store(), self.store(1)
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        token = download_path(copy.with_user(manager)).rpartition("/")[2]
        copies = self.env["backup.copy"].with_user(manager)
        self.assertEqual(copies._from_download_token(copy.id, token), copy)
        self.assertFalse(copies._from_download_token(other.id, token))
        self.assertFalse(copies._from_download_token(copy.id, token[:-2] + "AA"))
        self.assertFalse(self.env["backup.copy"]._from_download_token(copy.id, token))
