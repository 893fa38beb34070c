import io
from pathlib import Path

import polib

from odoo.tests import new_test_user, tagged
from odoo.tools import html2plaintext
from odoo.tools.translate import trans_export

from ..engine.errors import PermanentError
from ..engine.postgres import dump_error
from ..models.engine_text import say
from .test_backup_alerts import AlertCase

FOLDER = Path(__file__).parents[1] / "i18n"
DENIED = "pg_dump: error: query failed: ERROR:  permission denied for table payslip"


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
        cls.german = (
            cls.env["backup.job"].with_user(cls.manager).with_context(lang="de_DE")
        )

    def failed(self, kind, error):
        """Return a run whose step ``kind`` raised ``error``, and the mail about it."""
        job = self.run_now()
        step = job.step_ids.filtered(lambda step: step.kind == kind)[:1]
        with step._running():
            raise error
        for other in job.step_ids - step:
            other._skip("Skipped: there is no archive.")
        return job, self.mails_of(job._finish)

    def test_the_mail_about_a_failure_is_german_from_the_subject_to_the_hint(self):
        job, mail = self.failed("dump_database", dump_error(1, DENIED, "odoo"))
        subject = f"Sicherung fehlgeschlagen: Nightly ({self.env.cr.dbname})"
        self.assertEqual(mail.subject, subject)
        text = html2plaintext(mail.body_html)
        for expected in (
            "Datenbank-Dump",
            "Der Datenbankbenutzer darf payslip nicht lesen.",
            "Was zu tun ist:",
            'GRANT SELECT ON payslip TO "odoo"; oder machen Sie diesen Benutzer zum '
            "Eigentümer.",
            "Lauf öffnen",
            "Sie erhalten diese E-Mail",
        ):
            self.assertIn(expected, text)
        self.assertIn("Der Datenbankbenutzer", self.activities().note)
        self.assertEqual(
            job.error, "Dump database: The database user may not read payslip."
        )

    def test_the_form_of_a_run_is_in_the_language_of_its_reader(self):
        job, _mail = self.failed("dump_database", dump_error(1, DENIED, "odoo"))
        shown = {
            "error": {},
            "step_ids": {"fields": {"error": {}, "hint": {}, "log": {}}},
        }
        german = self.german.browse(job.id).web_read(shown)[0]
        self.assertEqual(
            german["error"],
            "Datenbank-Dump: Der Datenbankbenutzer darf payslip nicht lesen.",
        )
        logs = [step["log"] for step in german["step_ids"]]
        self.assertIn("Übersprungen: Es gibt kein Archiv.", logs)
        self.assertIn(DENIED, logs)  # what a program says stays as it is
        viewer = new_test_user(self.env, "backup-viewer", "dfr_backup.group_viewer")
        french = job.with_user(viewer).with_context(lang="fr_FR").web_read(shown)[0]
        self.assertEqual(
            french["error"],
            "Dump de la base de données: L'utilisateur de la base de données n'a pas "
            "le droit de "
            "lire payslip.",
        )
        english = job.with_user(viewer).web_read(shown)[0]
        self.assertEqual(english["error"], job.error)

    def test_the_overview_and_the_reason_of_being_overdue_are_german(self):
        self.failed("dump_database", dump_error(1, DENIED, "odoo"))
        overview = (
            self.env["backup.overview"]
            .with_user(self.manager)
            .with_context(lang="de_DE")
        )
        texts = [problem["text"] for problem in overview.get_overview()["problems"]]
        self.assertIn(
            "Der Datenbankbenutzer darf payslip nicht lesen.", " ".join(texts)
        )

    def test_texts_within_texts(self):
        env = self.german.env
        for english, german in (
            (
                "Upload: NAS: Cannot make the directory in /mnt/nas: Permission denied.",
                "Hochladen: NAS: Es ist nicht möglich, in /mnt/nas das Verzeichnis "
                "anzulegen: "
                "Permission denied.",
            ),
            (
                "The access key may not list the objects of the bucket b at AWS.",
                "Der Zugriffsschlüssel darf im Bucket b at AWS nicht Objekte auflisten.",
            ),
            (
                "The dump gave way to process 7 (unnamed), which waited for a lock.",
                "Der Dump hat Vorrang gelassen: der Prozess 7 (unbenannt), der auf "
                "eine Sperre "
                "wartete.",
            ),
            (
                "WARNING: 3 attachment files are missing:\nab/abcd",
                "WARNUNG: 3 Dateien von Anhängen – nicht vorhanden:\nab/abcd",
            ),
        ):
            self.assertEqual(say(env, english), german)

    def test_monitors_and_the_history_stay_english(self):
        job, _mail = self.failed(
            "initialize", PermanentError("The archive is missing.")
        )
        self.assertEqual(job.error, "Initialize: The archive is missing.")
        summary = job.with_context(lang="de_DE")._summary()
        self.assertEqual(summary["error"], job.error)

    def test_the_template_has_all_terms_of_the_addon(self):
        buffer = io.BytesIO()
        trans_export(False, ["dfr_backup"], buffer, "po", self.env)
        exported = {entry.msgid for entry in polib.pofile(buffer.getvalue().decode())}
        kept = {entry.msgid for entry in polib.pofile(str(FOLDER / "dfr_backup.pot"))}
        self.assertFalse(exported ^ kept, "run make i18n")
