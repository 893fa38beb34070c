"""What is stored has no language; who reads it gets a language of their own."""

import io
from pathlib import Path

import polib

from odoo.tests import new_test_user, tagged
from odoo.tools import html2plaintext
from odoo.tools.translate import code_translations, trans_export

from ..engine.errors.dump import TableLocked
from ..engine.errors.other import CancelledBy, UploadNeedsSpace
from ..engine.errors.s3 import AccessDenied
from ..engine.errors.storage import ReadOnlyStorage
from ..engine.messages import Message, Size
from ..engine.sources.filestore import OTHER_CONTENT, FileIssue
from ..models.engine_messages import (
    displayed,
    size_in_words,
    stored_text,
    translate,
)
from ..models.job.in_words import summary_for_monitors
from ..runs.words import NO_ARCHIVE
from .test_backup_alerts import AlertCase

FOLDER = Path(__file__).parents[1] / "i18n"


@tagged("post_install", "-at_install")
class TestTranslations(AlertCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        languages = ["de_DE", "fr_FR"]
        for code in languages:
            cls.env["res.lang"]._activate_lang(code)
        cls.env["ir.module.module"]._load_module_terms(
            ["base", "dfr_backup"], languages
        )
        cls.manager.lang = "de_DE"
        cls.german = cls.env(user=cls.manager, context={"lang": "de_DE"})

    def failed(self, error):
        """Return a run whose dump raised ``error``, the step, and the mail."""
        job = self.run_now()
        step = job.step_ids.filtered(lambda step: step.kind == "dump_database")
        with step._running():
            raise error
        for other in job.step_ids - step:
            other._skip(Message(NO_ARCHIVE))
        return job, step, self.mails_of(job._run_context().ending.finish)

    def said(self, text, lang):
        """Return a text in a language, which is another one than English."""
        found = translate(self.env(context={"lang": lang}), text)
        self.assertNotEqual(found, str(text))
        return found

    def test_a_run_is_stored_in_english_and_read_in_the_readers_language(self):
        error = TableLocked()
        job, step, _mail = self.failed(error)
        self.assertEqual((step.error, step.hint), (str(error), str(error.hint)))
        self.assertEqual((step.error_code, job.error_code), (error.code, error.code))
        shown = {
            "error": {},
            "step_ids": {"fields": {"error": {}, "hint": {}, "log": {}, "kind": {}}},
        }
        for lang in ("de_DE", "fr_FR"):
            read = job.with_context(lang=lang).web_read(shown)[0]
            self.assertIn(self.said(error.message, lang), read["error"])
            by_kind = {one["kind"]: one for one in read["step_ids"]}
            dump = by_kind["dump_database"]
            self.assertEqual(dump["error"], self.said(error.message, lang))
            self.assertEqual(dump["hint"], self.said(error.hint, lang))
            reason = self.said(Message(NO_ARCHIVE), lang)
            self.assertEqual(by_kind["compress"]["log"], reason)
        self.assertEqual(job.web_read(shown)[0]["error"], job.error)

    def test_values_within_values_are_translated(self):
        error = AccessDenied(
            action=Message("list the objects of"), bucket="b", right="s3:ListBucket"
        )
        _job, step, _mail = self.failed(error)
        german = displayed(step.with_env(self.german), "error")
        self.assertNotIn("list the objects of", german)
        self.assertNotIn("%(", german)

    def test_each_mail_is_in_the_language_of_whoever_gets_it(self):
        self.plan.alert_emails = "it@example.com"
        self.plan.alert_user_ids += new_test_user(
            self.env,
            "chef",
            "dfr_backup.group_manager",
            email="chef@example.com",
            lang="fr_FR",
        )
        error = TableLocked()
        _job, _step, mails = self.failed(error)
        self.assertEqual(len(set(mails.mapped("subject"))), 3)
        mails = mails.grouped("email_to")
        for address, lang in (
            ("boss@example.com", "de_DE"),
            ("chef@example.com", "fr_FR"),
        ):
            text = " ".join(html2plaintext(mails[address].body_html).split())
            for said in (error.message, error.hint):
                self.assertIn(self.said(said, lang), text)
            self.assertIn(f"[{error.code}]", text)
        self.assertIn(str(error), html2plaintext(mails["it@example.com"].body_html))
        self.assertIn(self.said(error.message, "de_DE"), self.activities().note)

    def test_the_overview_is_in_the_language_of_its_reader(self):
        error = TableLocked()
        self.failed(error)
        overview = self.german["backup.overview"].get_overview()
        texts = " ".join(problem["text"] for problem in overview["problems"])
        self.assertIn(self.said(error.message, "de_DE"), texts)

    def test_a_size_has_the_unit_and_the_decimals_of_its_reader(self):
        french = self.env(context={"lang": "fr_FR"})
        self.assertEqual(translate(french, Size(12 << 20)), "12,0 Mio")
        self.assertEqual(size_in_words(french, 500.0), "500 o")
        error = UploadNeedsSpace(size=Size(3 << 29), free=Size(0), folder="/tmp")
        self.assertIn("1,5 Gio", translate(french, error.message))
        self.assertEqual(size_in_words(self.env, 1536), "1.5 KiB")
        known = code_translations.get_web_translations("dfr_backup", "fr_FR")
        terms = {term["id"]: term["string"] for term in known["messages"]}
        self.assertEqual(terms["%(number)s MiB"], "%(number)s Mio")

    def test_who_cancels_a_waiting_run_leaves_no_language(self):
        job = self.run_now().with_env(self.german)
        job.action_cancel()
        self.assertEqual(job.error_code, CancelledBy.code)
        self.assertEqual(job.error, str(CancelledBy(who=self.manager.name)))
        self.assertEqual(stored_text(job, "error").values["who"], self.manager.name)
        self.assertTrue(all(step.log_values for step in job.step_ids))
        english = {step.with_context(lang=None).log for step in job.step_ids}
        german = {displayed(step, "log") for step in job.step_ids}
        self.assertFalse(english & german)

    def test_who_tests_a_storage_leaves_no_language(self):
        self.storage.owner_uuid = "another"
        storage = self.storage.with_env(self.german)
        storage.action_test()
        self.assertEqual(storage.last_test_error_code, ReadOnlyStorage.code)
        error = ReadOnlyStorage(storage=storage.name)
        self.assertReadInItsLanguage(storage, "last_test_error", error.in_full)

    def test_why_a_file_is_not_good_is_kept_without_a_language(self):
        attachment = self.env["ir.attachment"].create({"name": "x", "raw": b"x"})
        self.env.flush_all()
        name = attachment.store_fname
        reason = Message(OTHER_CONTENT, file=name)
        issues = self.german["backup.filestore.issue"].sudo()
        issues._record(self.run_now(), [FileIssue(name, "damaged", reason)], False)
        issue = issues.search([("store_fname", "=", name)], limit=1)
        self.assertReadInItsLanguage(issue, "reason", reason)

    def assertReadInItsLanguage(self, record, name, text):
        """A field of a record keeps English, and reads as ``text`` in each language."""
        self.assertEqual(record[name], str(text))
        for lang in ("de_DE", "fr_FR"):
            reader = record.with_context(lang=lang)
            self.assertEqual(displayed(reader, name), self.said(text, lang))

    def test_monitors_and_the_history_stay_english(self):
        error = TableLocked()
        job, _step, _mail = self.failed(error)
        summary = summary_for_monitors(job.with_env(self.german))
        self.assertEqual(summary["error"], job.error)
        self.assertIn(str(error), job.error)

    def test_the_template_has_all_terms_of_the_addon(self):
        buffer = io.BytesIO()
        trans_export(False, ["dfr_backup"], buffer, "po", self.env)
        exported = {entry.msgid for entry in polib.pofile(buffer.getvalue().decode())}
        kept = {entry.msgid for entry in polib.pofile(str(FOLDER / "dfr_backup.pot"))}
        self.assertFalse(exported ^ kept, "run make i18n")
