import contextlib
import io
import json
from argparse import Namespace
from unittest.mock import patch

from odoo import http, sql_db
from odoo.modules.neutralize import get_neutralization_queries
from odoo.tests import Form, tagged
from odoo.tools import SQL

from .. import odoo_config
from ..console.archives import fail
from ..engine.errors.fetch import NoDatabase
from ..engine.errors.restore import (
    AttachmentsMissing,
    ExtensionRefused,
    ModulesMissing,
    NameTaken,
    NoAttachments,
    OtherSeries,
    RestoreNeedsSpace,
)
from ..engine.messages import Size
from ..engine.postgres.connection import Connection
from ..models.job import supervision
from .common import BackupCase

TAKEN = "dfr_backup_taken_restored"


def on_server(statement):
    """Run a statement about the database ``TAKEN``, outside of any transaction."""
    with contextlib.closing(sql_db.db_connect("postgres").cursor()) as cr:
        cr._cnx.autocommit = True
        cr.execute(SQL(statement, SQL.identifier(TAKEN)))


@tagged("post_install", "-at_install")
class TestBackupRestore(BackupCase):
    @classmethod
    def setUpClass(cls):
        # before the transaction of the tests begins: it does not see later ones
        on_server("DROP DATABASE IF EXISTS %s")
        on_server("CREATE DATABASE %s TEMPLATE template0")
        cls.addClassCleanup(on_server, "DROP DATABASE IF EXISTS %s")
        super().setUpClass()
        cls.startClassPatcher(
            patch.object(odoo_config, "connection", lambda *_args: Connection(""))
        )
        cls.copy = cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "key": "db-1.zip",
                "state": "verified",
                "signature": "ours",
            }
        )

    def test_key_of_a_cancelled_restore_is_forgotten(self):
        job = self.copy._request_restore(restore_database="restored")
        job.restore_key = "AGE-SECRET-KEY-1"
        self.assertTrue(job.sealed_secrets)
        job.action_cancel()
        self.assertEqual(job.state, "cancelled")
        self.assertFalse(job.sealed_secrets)

    def test_restore_form_proposes_a_name_that_is_free(self):
        wizards = self.env["backup.restore.wizard"].with_context(
            default_copy_id=self.copy.id
        )
        self.copy.database = "dfr_backup_free"
        self.assertEqual(wizards.create({}).database, "dfr_backup_free_restored")
        self.copy.database = TAKEN.removesuffix("_restored")
        self.assertEqual(wizards.create({}).database, f"{TAKEN}_2")

    def test_drill_that_failed_runs_again_as_a_drill(self):
        job = self.copy._request_drill("manual")
        job.state = "failure"
        again = self.env["backup.job"].browse(job.action_retry()["res_id"])
        self.assertNotEqual(again, job)
        self.assertEqual((again.kind, again.step_ids.copy_id), ("drill", self.copy))

    def test_restore_that_failed_asks_again(self):
        """The form is filled in with what was said."""
        for said in (True, False):
            job = self.copy._request_restore(
                restore_database="another_name",
                restore_neutralize=said,
                restore_new_identity=said,
                restore_addons=True,
                restore_plain=True,
            )
            job.state = "failure"
            action = job.action_retry()
            self.assertEqual(action["res_model"], "backup.restore.wizard")
            wizard = Form(
                self.env[action["res_model"]].with_context(**action["context"])
            )
            wizard = wizard.save()
            self.assertEqual(wizard.copy_id, self.copy)
            self.assertEqual(wizard.database, "another_name")
            self.assertEqual(wizard.neutralize, said)
            self.assertEqual(wizard.new_identity, said)
            self.assertEqual(wizard.purpose, "copy" if said else "successor")
            self.assertTrue(wizard.unpack_addons and wizard.plain_load)

    def refused_by(self, *errors, kind="restore"):
        """Let a restore end because of these."""
        job = self.copy._request_restore(restore_database="restored")
        job._run_context().restores.note_to_accept(errors)
        job.write({"state": "failure", "kind": kind})
        return job

    def form(self):
        action = self.copy.action_restore()
        return Form(self.env[action["res_model"]].with_context(**action["context"]))

    def start(self, form):
        record = form.save()
        action = type(record).action_restore.__wrapped__(record)
        return self.env["backup.job"].browse(action["res_id"])

    def test_the_storage_can_be_chosen(self):
        """Of those that have a copy of this backup that can be read."""
        backup = self.env["backup.backup"].sudo().create({"name": "db-1.zip"})
        self.copy.backup_id = backup
        self.assertFalse(self.form().has_choice)
        second, third = (
            self.storage.copy({"name": name, "local_path": str(self.root / name)})
            for name in ("second", "third")
        )
        other = self.copy.copy({"storage_id": second.id, "state": "verified"})
        self.copy.copy({"storage_id": third.id, "state": "missing"})
        form = self.form()
        self.assertEqual((form.copy_id, form.storage_id), (self.copy, self.storage))
        self.assertEqual(set(form.storage_ids.ids), {self.storage.id, second.id})
        form.storage_id = second
        self.assertEqual(form.copy_id, other)
        job = self.start(form)
        self.assertEqual(job.step_ids.copy_id, other)

    def test_nothing_is_accepted_that_was_not_found(self):
        form = self.form()
        self.assertFalse(form.to_accept or form.may_load_plain)
        form.save().accept_findings = True
        self.assertFalse(self.start(form).restore_accepted)

    def test_what_has_ended_a_restore_can_be_accepted(self):
        for kind in ("restore", "drill"):
            with self.subTest(kind):
                error = AttachmentsMissing(missing=3, total=1204)
                extension = ExtensionRefused(name="far", reason="no", where="line 2")
                self.refused_by(error, extension, kind=kind)
                form = self.form()
                self.assertIn(str(error.in_full), form.to_accept)
                self.assertIn(str(extension.in_full), form.to_accept)
                self.assertFalse(self.start(form).restore_accepted)
                self.refused_by(error, extension, kind=kind)
                form = self.form()
                form.accept_findings, form.plain_load = True, True
                job = self.start(form)
                accepted = {"attachments_missing", "extension"}
                self.assertEqual(set(job.restore_accepted), accepted)
                with job._run()._open(self.copy) as restore:
                    self.assertEqual(set(restore._options.accepted), accepted)
                    self.assertTrue(restore._options.plain)

    def test_only_what_was_shown_is_accepted(self):
        """What is found at the click, or is worse than it was, is asked for."""
        few, more = (AttachmentsMissing(missing=n, total=1204) for n in (3, 900))
        gone = ModulesMissing(count=1, modules="a")
        space = [
            RestoreNeedsSpace(needed=Size(9 << 20), folder="/x", free=Size(free))
            for free in (1, 2)
        ]
        for shown, now, unseen in (
            ([few], [few, gone], True),
            ([], [few], True),
            ([few], [more], True),
            ([few, gone], [few], False),
            ([space[0]], [space[1]], False),
        ):
            with self.subTest(shown=shown, now=now):
                self.refused_by(*shown)
                wizard = self.form().save()
                wizard.accept_findings = True
                self.refused_by(*now)
                runs = self.env["backup.job"].search([])
                action = type(wizard).action_restore.__wrapped__(wizard)
                if unseen:
                    self.assertEqual(action["res_id"], wizard.id)
                    self.assertEqual(self.env["backup.job"].search([]), runs)
                    wizard.invalidate_recordset()
                    self.assertIn(str(now[-1].in_full), wizard.to_accept)
                    self.assertFalse(wizard.accept_findings)
                    wizard.accept_findings = True
                    action = type(wizard).action_restore.__wrapped__(wizard)
                job = self.env["backup.job"].browse(action["res_id"])
                names = {error.finding for error in now}
                self.assertEqual(set(job.restore_accepted), names)

    def test_another_name_is_another_question(self):
        self.refused_by(NoAttachments(total=3))
        form = self.form()
        form.accept_findings = True
        form.database = "another"
        self.assertFalse(form.accept_findings)

    def test_good_restore_leaves_nothing_to_accept(self):
        self.refused_by(NoAttachments(total=3))
        self.copy._request_restore(restore_database="again").state = "success"
        self.assertFalse(self.form().to_accept)

    def test_load_that_has_failed_may_be_done_by_one_session(self):
        job = self.refused_by()
        job.step_ids.filtered(lambda step: step.kind == "load").state = "failure"
        form = self.form()
        self.assertFalse(form.to_accept)
        form.plain_load = True
        self.assertTrue(self.start(form).restore_plain)

    def test_drill_of_an_odoo_archive_without_files_goes_on(self):
        """Nobody is there whom it could ask; it warns."""
        job = self.copy._request_drill("manual")
        with job._run()._open(self.copy) as restore:
            self.assertIn("no_attachments", restore._options.accepted)

    def test_run_remembers_what_may_be_accepted_of_what_ends_a_step(self):
        job = self.copy._request_restore(restore_database="restored")
        run = job._run()
        run.restore = Namespace(to_accept=[], has_bad_packs=False)
        space, name = RestoreNeedsSpace(), NameTaken(database="x")
        for found, error, codes in (
            ([], space, {"space"}),
            ([], name, set()),
            ([space], name, {"space"}),
        ):
            run.restore.to_accept = found

            def end(_progress, error=error):
                raise error

            with contextlib.suppress(type(error)):  # and no savepoint
                run._noting(end, job.step_ids[:1], None)
            self.assertEqual(set(job._run_context().restores.to_accept()), codes)

    def test_neutralized_copy_has_no_secret(self):
        job = self.copy._request_restore(restore_database="restored")
        job.restore_key = "AGE-SECRET-KEY-1"
        self.storage.sealed_secrets = {"sftp_password": "sealed"}
        self.storage.external_name = "OFFSITE"  # leads to secrets of the operator
        self.env.flush_all()
        for query in get_neutralization_queries(["dfr_backup"]):
            self.env.cr.execute(query)
        self.env.invalidate_all()
        self.assertFalse(
            self.storage.active or self.storage.sealed_secrets or job.sealed_secrets
        )
        self.assertFalse(self.storage.external_name)

    def published(self):
        """Return a running restore whose database has its name: here, that of this
        very one."""
        name = self.env.cr.dbname
        job = self.copy._request_restore(restore_database=name)
        self.env.cr.execute("SELECT oid FROM pg_database WHERE datname = %s", [name])
        job.write(
            {
                "state": "running",
                "attempt": 1,
                "data": {"restored": self.env.cr.fetchone()[0]},
            }
        )
        for step in job.step_ids:
            step.state = "running" if step.kind == "finish" else "success"
        return job

    def test_end_of_a_restore_says_where_the_database_is(self):
        job = self.published()
        self.assertFalse(job.restored_url or job.restored_is_served)
        job._perform()
        self.assertIn(f"db={job.restore_database}", job.restored_url)
        with patch.object(http, "db_filter", lambda names, host: names):
            job.invalidate_recordset()
            self.assertTrue(job.restored_is_served)
        with patch.object(http, "db_filter", lambda names, host: []):
            job.invalidate_recordset()
            self.assertFalse(job.restored_is_served)
        self.assertFalse(job.restored_addons_line)
        job.restore_addons = True
        path = job._run_context().restores.addons_path()
        path.mkdir(parents=True)
        self.assertIn(str(path), job.restored_addons_line)

    def test_restore_that_was_published_is_a_success_whatever_comes_then(self):
        """It was killed before it could say so, and somebody has asked for a cancel
        meanwhile."""
        for values in ({}, {"cancel_requested": True}, {"attempt": 4}):
            with self.subTest(values):
                job = self.published()
                job.write(values)
                job._perform()
                self.assertEqual((job.state, job.error), ("success", False))
                self.assertEqual(set(job.step_ids.mapped("state")), {"success"})

    def test_published_restore_gets_a_last_runner(self):
        job = self.published()
        job.write({"cancel_requested": True, "attempt": 3})
        supervision.resume_or_close(job)
        self.assertEqual((job.state, job.spawn_count), ("running", 2))

    def test_database_of_the_same_name_is_not_the_restored_one(self):
        job = self.published()
        job.data = {"restored": 1}
        job.cancel_requested = True
        job._perform()
        self.assertEqual(job.state, "cancelled")

    def test_command_line_names_what_a_refusal_can_be_accepted_by(self):
        for error, accept in (
            (OtherSeries(saved="18.0", here="19.0"), "series"),
            (NoDatabase(), None),
        ):
            said, printed = io.StringIO(), io.StringIO()
            with (
                self.subTest(error.code),
                contextlib.redirect_stderr(said),
                contextlib.redirect_stdout(printed),
            ):
                self.assertEqual(fail(error, Namespace(json=False)), 1)
                self.assertEqual(fail(error, Namespace(json=True)), 1)
                self.assertIn(f"[{error.code}]\n", said.getvalue())
                self.assertIn(str(error.hint), said.getvalue())
                self.assertEqual("--accept series" in said.getvalue(), bool(accept))
                facts = json.loads(printed.getvalue())
                self.assertEqual(
                    (facts["error"], facts["error_code"], facts["accept"]),
                    (str(error), error.code, accept),
                )
