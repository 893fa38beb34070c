"""The operator of the server gets one mail for all of its databases."""

import time
from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import RecordCapturer, tagged

from odoo.addons.base.tests.common import MockSmtplibCase

from .. import odoo_config
from ..engine.monitoring.outbox import GATHER, Alert
from ..models import server_alerts
from ..models.plan import due
from .common import BackupCase

OTHER = Alert("another_customer", "Backup failed: Nightly", "The disk is full.")


@tagged("post_install", "-at_install")
class TestServerAlerts(BackupCase, MockSmtplibCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = cls.root / "profile.ini"
        cls.file.write_text("[alerts]\nrecipients = operator@example.com\n")
        cls.file.chmod(0o600)
        named = {"DFR_BACKUP_PROFILE": str(cls.file)}
        cls.startClassPatcher(patch.dict("os.environ", named))
        server = {"smtp_server": "smtp.operator.example", "email_from": "o@example.com"}
        for name, value in server.items():
            before = odoo_config.config[name]
            odoo_config.config[name] = value
            cls.addClassCleanup(odoo_config.config.__setitem__, name, before)

    def setUp(self):
        super().setUp()
        self.outbox = odoo_config.alert_outbox()
        self.outbox.deliver(lambda alerts: None, time.time() + 1e6)

    def gathered(self):
        found = []
        self.outbox.deliver(found.extend, time.time() + 1e6)
        return found

    def send(self):
        later = time.time() + GATHER
        with (
            self.mock_smtplib_connection(),
            patch.object(server_alerts.time, "time", lambda: later),
        ):
            server_alerts.send_due(self.env)
        return self.emails

    def test_a_failure_is_told_and_a_success_is_not(self):
        self.end(self.run_now(), dump_database="failure")
        (alert,) = self.gathered()
        self.assertEqual(alert.database, self.env.cr.dbname)
        self.assertIn("Broken", alert.details)
        self.assertIn("/odoo/", alert.link)
        self.end(self.run_now())
        (recovered,) = self.gathered()
        self.assertNotEqual(recovered.summary, alert.summary)
        self.end(self.run_now())
        self.assertFalse(self.gathered())

    def test_also_when_a_plan_alerts_nobody(self):
        self.plan.alert_failure = False
        self.end(self.run_now(), dump_database="failure")
        self.assertEqual(len(self.gathered()), 1)

    def test_an_overdue_plan_is_told(self):
        self.plan.promised_since = fields.Datetime.now() - timedelta(days=30)
        due.watch_promises(self.env["backup.plan"])
        self.assertEqual(len(self.gathered()), 1)

    def test_without_recipients_nothing_is_kept(self):
        with patch.dict("os.environ", {"DFR_BACKUP_PROFILE": ""}):
            self.end(self.run_now(), dump_database="failure")
        self.assertFalse(self.gathered())

    def test_one_mail_for_several_databases(self):
        self.end(self.run_now(), dump_database="failure")
        self.outbox.put(OTHER, time.time())
        (mail,) = self.send()
        self.assertEqual(mail["smtp_to_list"], ["operator@example.com"])
        self.assertIn(OTHER.database, mail["message"])
        self.assertIn(self.env.cr.dbname, mail["message"])
        self.assertFalse(self.send())

    def test_what_fails_in_a_quarter_of_an_hour_is_one_mail(self):
        self.outbox.put(OTHER, time.time() - 14 * 60)
        with self.mock_smtplib_connection():
            server_alerts.send_due(self.env)
        self.assertFalse(self.emails)
        self.plan.alert_emails = "tenant@example.com"
        with RecordCapturer(self.env["mail.mail"], []) as capture:
            self.end(self.run_now(), dump_database="failure")
        (own,) = capture.records
        self.assertEqual(own.email_to, "tenant@example.com")
        self.assertNotIn(OTHER.database, own.body_html)
        (mail,) = self.send()
        self.assertEqual(mail["smtp_to_list"], ["operator@example.com"])
        self.assertIn(OTHER.database, mail["message"])
        self.assertIn(self.env.cr.dbname, mail["message"])

    def test_no_database_learns_the_name_of_another(self):
        self.env["ir.mail_server"].create(
            {"name": "Of the tenant", "smtp_host": "smtp.tenant.example"}
        )
        self.outbox.put(OTHER, time.time())
        before = self.env["mail.mail"].search([])
        with patch.object(
            type(self.env["ir.mail_server"]), "send_email", autospec=True
        ) as sent:
            self.send()
        self.assertEqual(sent.call_args.kwargs["smtp_server"], "smtp.operator.example")
        self.assertEqual(self.env["mail.mail"].search([]), before)
        self.assertFalse(
            self.env["mail.message"].search([("body", "ilike", OTHER.database)])
        )

    def test_what_cannot_be_sent_is_tried_again(self):
        self.outbox.put(OTHER, time.time())
        servers = type(self.env["ir.mail_server"])
        refused = patch.object(servers, "send_email", side_effect=ConnectionError("no"))
        with refused:
            self.send()
        (mail,) = self.send()
        self.assertIn(OTHER.database, mail["message"])

    def test_the_action_wakes_up_for_it(self):
        self.outbox.put(OTHER, time.time())
        now = fields.Datetime.now()
        moments = self.env["backup.scheduler"]._due_moments(now)
        self.assertTrue(min(moments) <= now + timedelta(seconds=GATHER + 60))
