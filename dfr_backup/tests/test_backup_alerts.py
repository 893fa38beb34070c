import json
import threading
import uuid
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import UserError, ValidationError
from odoo.tests import RecordCapturer, freeze_time, new_test_user, tagged
from odoo.tests.common import release_test_lock
from odoo.tools import html2plaintext, mute_logger

from .. import runner
from ..console import runs
from ..engine.errors import Cancelled
from ..engine.errors.dump import MayNotRead
from ..engine.errors.monitors import NoTopic
from ..engine.errors.runs import NoReason
from ..engine.errors.secrets import SecretUnreadable
from ..models.engine_messages import error_columns, translate_engine_errors
from ..models.job import alerts
from ..models.job.in_words import summary_for_monitors, summary_line
from ..models.plan import chats, due, monitors
from ..models.plan.mails import compose_overdue
from ..models.plan.overdue import verdicts
from ..models.plan.recipients import alert_recipients
from .common import BackupCase

ALERTS = "odoo.addons.dfr_backup.models.plan.backup_alerts_mixin"
JOB_ALERTS = "odoo.addons.dfr_backup.models.job.alerts"
MONITORS = "odoo.addons.dfr_backup.models.plan.monitors"


class AlertCase(BackupCase):
    """A plan about which one manager is told, and whose scheduled action has just
    run."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(
            cls.env, "backup-boss", "dfr_backup.group_manager", email="boss@example.com"
        )
        cls.plan.write(
            {
                "alert_group_ids": [(5,)],
                "alert_user_ids": [(6, 0, cls.manager.ids)],
                "attention_user_ids": [(6, 0, cls.manager.ids)],
            }
        )
        cls.cron.write({"active": True, "lastcall": fields.Datetime.now()})
        cls.env["ir.module.module"].search(
            [("state", "like", "to %")]
        ).state = "installed"

    def mails_of(self, action):
        with RecordCapturer(self.env["mail.mail"], []) as capture:
            action()
        return capture.records

    def ended(self, **states):
        """Return a run that ended so, and the mails about it."""
        job = self.run_now()
        job.write({"date_start": fields.Datetime.now(), "state": "running"})
        if "failure" not in states.values():
            job.archive_name = f"{job.uuid}.zip"
            self.record_copy(job)
        return job, self.mails_of(lambda: self.end(job, **states))

    def history(self, count):
        """Create that many runs that failed long ago."""
        values = {
            "database_uuid": "x",
            "kind": "backup",
            "plan_id": self.plan.id,
            "state": "failure",
            "date_end": fields.Datetime.now() - timedelta(days=900),
        }
        names = (str(uuid.uuid4()) for _ in range(count))
        self.env["backup.job"].create(
            [{**values, "name": name, "uuid": name} for name in names]
        )

    def activities(self):
        return self.plan.activity_ids


@tagged("post_install", "-at_install")
class TestBackupAlerts(AlertCase):
    def test_no_mail_when_nothing_is_wrong(self):
        job, mails = self.ended()
        self.assertEqual(job.state, "success")
        self.assertFalse(mails)
        self.assertFalse(self.activities())
        self.assertFalse(self.mails_of(self.env["backup.plan"]._cron_supervise))

    def test_mail_about_a_failure_says_what_why_and_what_to_do(self):
        good, _mails = self.ended()
        job = self.run_now()
        step = job.step_ids.filtered(lambda step: step.kind == "dump_database")
        job.step_ids.write({"state": "skipped"})
        step.write(
            {"state": "failure", "error": "A <table> is locked.", "hint": "Wait."}
        )
        mail = self.mails_of(job._run_context().ending.finish)
        self.assertEqual(len(mail), 1)
        self.assertEqual(mail.state, "outgoing")
        self.assertEqual(mail.email_to, "boss@example.com")
        self.assertEqual(mail.subject, summary_line(job, self.plan))
        for name in (self.plan.name, self.env.cr.dbname):
            self.assertIn(name, mail.subject)
        text = html2plaintext(mail.body_html)
        said = [text.find(part) for part in (step.display_name, step.error, step.hint)]
        self.assertTrue(-1 < said[0] < said[1] < said[2], text)
        self.assertNotIn("[", text[said[0] : said[2]], "it has no code")
        self.assertIn(self.plan._in_words(good.date_end), text)
        self.assertIn(
            f'href="{job.get_base_url()}/odoo/backup-runs/{job.id}"', mail.body_html
        )

    def test_a_line_break_in_a_name_stops_no_mail(self):
        self.plan.name = "Nightly\r\nBcc: other@example.com"
        _job, mails = self.ended(dump_database="failure")
        self.assertEqual(len(mails), 1)
        self.assertNotRegex(mails.subject, r"[\r\n]")

    def test_an_error_has_its_code_in_run_mail_and_summary(self):
        job = self.run_now()
        step = job.step_ids.filtered(lambda step: step.kind == "dump_database")
        job.step_ids.write({"state": "skipped"})
        with step._running():
            raise MayNotRead(objects="payslip", grants="GRANT")
        mail = self.mails_of(job._run_context().ending.finish)
        self.assertIn("payslip", html2plaintext(mail.body_html))
        self.assertIn("[DUMP-08]", html2plaintext(mail.body_html))
        self.assertEqual((step.error_code, job.error_code), ("DUMP-08", "DUMP-08"))
        summary = summary_for_monitors(job)
        self.assertEqual(summary["error_code"], "DUMP-08")
        self.assertIn("DUMP-08", [one["error_code"] for one in summary["steps"]])
        self.assertIsNone(
            next(s for s in summary["steps"] if not s["error"])["storage"]
        )

    def test_a_code_that_there_is_not_is_null(self):
        """In what machines read: an empty text, or false, would be a third form."""
        job = self.run_now()
        step = job.step_ids.filtered(lambda step: step.kind == "dump_database")
        job.step_ids.write({"state": "skipped"})
        step.write({"state": "failure", **error_columns(Cancelled())})
        self.assertTrue(step.error)
        self.assertIs(step.error_code, False)
        job._run_context().ending.close("failure", Cancelled())
        summary, printed = summary_for_monitors(job), runs._as_json(job)
        self.assertTrue(summary["error"])
        codes = [summary["error_code"], printed["job"]["error_code"]]
        for steps in (summary["steps"], printed["steps"]):
            codes += [one["error_code"] for one in steps]
        codes += [part["code"] for part in job._run_context().archive.missing_parts()]
        problems = self.env["backup.overview"].get_overview()["problems"]
        codes += [p["code"] for p in problems if "code" in p]
        self.assertEqual(set(codes), {None})
        with (
            self.assertRaises(UserError) as caught,
            translate_engine_errors(self.env),
        ):
            raise Cancelled()
        self.assertEqual(caught.exception.context, {"error_code": None})
        self.assertNotIn("[", str(caught.exception))
        good = self.run_now()
        good.step_ids.state = "success"
        good._run_context().ending.finish()
        empty = {
            name: summary_for_monitors(good)[name]
            for name in ("error", "hint", "error_code")
        }
        self.assertEqual(empty, dict.fromkeys(empty))

    def test_a_step_that_failed_without_a_reason_has_a_code(self):
        job = self.run_now()
        job.step_ids.state = "success"
        job.step_ids[0].state = "failure"
        job._run_context().ending.finish()
        self.assertEqual(job.error_code, NoReason.code)
        self.assertIn(job.runner_log, job.hint)

    def test_partial_is_told(self):
        job, mail = self.ended(archive_files="failure")
        self.assertEqual(job.state, "partial")
        self.assertEqual(mail.subject, summary_line(job, self.plan))

    def test_failures_can_be_left_out(self):
        self.plan.alert_failure = False
        self.assertFalse(self.ended(dump_database="failure", compress="skipped")[1])

    def test_recovery_is_told_once(self):
        self.ended(dump_database="failure")
        job, mail = self.ended()
        self.assertRecovered(mail, job)
        self.assertFalse(self.ended()[1])

    def test_recovery_by_a_retry_of_the_same_run(self):
        self.ended()
        job, _mails = self.ended(upload="failure", verify="skipped")
        mail = self.mails_of(lambda: self.end(job))
        self.assertEqual(job.state, "success")
        self.assertRecovered(mail, job)

    def assertRecovered(self, mail, job):
        """Check that a mail says more than that the run is good."""
        self.assertEqual(mail.subject, summary_line(job, self.plan, recovered=True))
        self.assertNotEqual(mail.subject, summary_line(job, self.plan))

    def test_recovery_can_be_left_out(self):
        self.plan.alert_recovery = False
        self.ended(dump_database="failure")
        self.assertFalse(self.ended()[1])

    def test_every_success_on_request(self):
        self.plan.alert_success = True
        job, mail = self.ended()
        self.assertEqual(mail.subject, summary_line(job, self.plan))

    def test_cancelled_is_not_told(self):
        job = self.run_now()
        self.assertFalse(self.mails_of(job.action_cancel))
        self.assertFalse(self.activities())

    def test_each_address_once(self):
        colleague = new_test_user(
            self.env, "colleague", "dfr_backup.group_manager", email="Boss@Example.com"
        )
        viewer = new_test_user(
            self.env, "looker", "dfr_backup.group_viewer", email="looker@example.com"
        )
        self.plan.write(
            {
                "alert_user_ids": [(4, colleague.id)],
                "alert_group_ids": [
                    (6, 0, self.env.ref("dfr_backup.group_viewer").ids)
                ],
                "alert_emails": "it@example.com, boss@example.com",
            }
        )
        mails = self.ended(dump_database="failure")[1]
        told = mails.mapped("email_to")
        self.assertEqual(len(told), len(set(told)))
        self.assertLessEqual(
            {"boss@example.com", "it@example.com", viewer.email}, set(told)
        )
        viewer.active = False
        self.assertNotIn(viewer.email, alert_recipients(self.plan)[0]["address"])

    def test_what_is_no_address_is_refused(self):
        wrong = "nobody"
        with self.assertRaisesRegex(ValidationError, wrong):
            self.plan.alert_emails = f"it@example.com, {wrong}"

    def test_no_secret_in_a_mail(self):
        self.plan.webhook_url = "https://example.com/s3cr3t"
        mail = self.ended(dump_database="failure")[1]
        self.assertNotIn("s3cr3t", mail.body_html + mail.subject)

    def test_an_alert_that_cannot_be_given_does_not_hurt_the_run(self):
        with (
            patch(f"{JOB_ALERTS}.make_mails", side_effect=ZeroDivisionError),
            patch.object(
                type(self.plan), "_ask_attention", side_effect=ZeroDivisionError
            ),
            mute_logger(ALERTS),
        ):
            job, mails = self.ended(dump_database="failure")
        self.assertEqual(job.state, "partial")
        self.assertFalse(mails)

    def test_a_broken_transaction_of_an_alert_is_undone(self):
        def broken(plan, compose):
            plan.env.cr.execute("SELECT no_such_column")

        with (
            patch(f"{JOB_ALERTS}.make_mails", broken),
            mute_logger(ALERTS, "odoo.sql_db"),
        ):
            job, _mails = self.ended(dump_database="failure")
        self.assertEqual(job.search([("id", "=", job.id)]).state, "partial")
        self.assertTrue(self.activities())

    def test_a_run_that_could_not_tell_is_told_by_the_supervisor_once(self):
        job = self.run_now()
        with patch.object(alerts, "announce"):
            self.assertFalse(
                self.mails_of(lambda: self.end(job, dump_database="failure"))
            )
        supervise = self.env["backup.plan"]._cron_supervise
        self.assertFalse(self.mails_of(supervise))  # its runner may be about to
        job.date_end -= timedelta(minutes=3)
        self.assertEqual(len(self.mails_of(supervise)), 1)
        self.assertFalse(self.mails_of(supervise))

    def test_runs_of_the_original_are_not_told_by_its_copy(self):
        job = self.run_now()
        job.database_uuid = "another"
        self.assertFalse(self.mails_of(lambda: self.end(job, dump_database="failure")))

    def test_a_neutralized_copy_keeps_quiet(self):
        self.env["ir.config_parameter"].set_param("database.is_neutralized", True)
        self.assertFalse(self.ended(dump_database="failure")[1])

    # === ACTIVITIES === #

    def test_two_failures_are_one_activity(self):
        partial, _mails = self.ended(dump_database="failure")
        (activity,) = self.activities()
        self.assertEqual(activity.user_id, self.manager)
        self.assertEqual(activity.summary, summary_line(partial, self.plan))
        failed, _mails = self.ended(
            dump_database="failure", archive_files="failure", compress="skipped"
        )
        self.assertEqual(self.activities(), activity)
        self.assertEqual(activity.summary, summary_line(failed, self.plan))

    def test_recovery_closes_the_activity(self):
        self.ended(dump_database="failure")
        self.assertTrue(self.activities())
        self.ended()
        self.assertFalse(self.activities())

    def test_a_good_verification_does_not_close_a_failed_backup(self):
        self.ended(dump_database="failure")
        check = self.env["backup.job"]._create_run(
            "verify", [{"kind": "verify"}], "schedule", plan_id=self.plan.id
        )
        self.end(check)
        self.assertEqual(check.state, "success")
        self.assertEqual(len(self.activities()), 1)
        bad = self.env["backup.job"]._create_run(
            "verify", [{"kind": "verify"}], "schedule", plan_id=self.plan.id
        )
        mail = self.mails_of(lambda: self.end(bad, verify="failure"))
        self.assertEqual(mail.subject, summary_line(bad, self.plan))
        self.assertEqual(len(self.activities()), 2)

    def test_whoever_may_not_see_backups_gets_no_activity(self):
        self.plan.attention_user_ids = new_test_user(
            self.env, "clerk", "base.group_user"
        )
        self.ended(dump_database="failure")
        self.assertFalse(self.activities())

    # === OVERDUE === #

    def due(self, send):
        return lambda: send(self.env["backup.plan"])

    def watch(self):
        return self.mails_of(self.due(due.watch_promises))

    def in_hours(self, hours):
        """Travel into the future, in which the scheduled action goes on to run."""
        later = fields.Datetime.now() + timedelta(hours=hours)
        self.cron.lastcall = later
        self.plan.invalidate_recordset()
        return freeze_time(later)

    def test_overdue_is_told_once_for_each_episode(self):
        self.ended()
        self.assertFalse(self.watch())
        with self.in_hours(31):
            self.assertTrue(self.plan.is_overdue)
            self.assertReason("not_started")
            mail = self.watch()
            self.assertEqual(mail.subject, compose_overdue(self.plan)["title"])
            self.assertIn(self.plan.overdue_reason, mail.body_html)
            self.assertFalse(self.watch())
            self.assertEqual(len(self.activities()), 1)
            self.assertIn(self.plan.overdue_reason, self.activities().note)
            job, recovered = self.ended()
            self.assertRecovered(recovered, job)
            self.assertFalse(self.activities())
            self.assertFalse(self.plan.is_overdue)
            self.assertFalse(self.watch())
        with self.in_hours(31 + 31):
            self.assertTrue(self.watch())

    def test_a_failure_and_overdue_are_one_activity(self):
        self.ended()
        self.ended(dump_database="failure", archive_files="failure", compress="skipped")
        with self.in_hours(31):
            self.watch()
            self.assertEqual(len(self.activities()), 1)
            self.assertReason("failure")
            self.assertIn("Broken", self.plan.overdue_reason)

    def test_why_nothing_ran(self):
        self.ended()
        module = self.env["ir.module.module"].search(
            [("state", "=", "installed")], limit=1
        )
        with self.in_hours(31):
            self.cron.first_failure_date = fields.Datetime.now()
            self.assertReason("failing")
            self.cron.lastcall = fields.Datetime.now() - timedelta(hours=3)
            self.assertReason("silent")
            since = self.plan.overdue_reason
            self.cron.lastcall = False
            self.assertReason("silent")
            self.assertNotEqual(self.plan.overdue_reason, since, "it has never run")
            module.state = "to upgrade"
            self.assertReason("blocked")
            self.assertIn(module.name, self.plan.overdue_reason)
            self.cron.active = False
            self.assertReason("switched_off")
            self.assertTrue(self.plan.overdue_remedy)

    def assertReason(self, reason):
        self.env.flush_all()
        self.plan.invalidate_recordset()
        self.assertEqual(verdicts(self.plan)[self.plan].reason, reason)
        self.assertTrue(self.plan.overdue_reason)

    def test_odoos_own_maintenance_notices_that_our_action_is_off(self):
        self.ended()
        with self.in_hours(31):
            self.cron.active = False
            mail = self.mails_of(self.env["backup.scheduler"]._gc_watch_promises)
            self.assertReason("switched_off")
            text = " ".join(html2plaintext(mail.body_html).split())
            self.assertIn(self.plan.overdue_remedy, text)

    def test_overdue_is_told_though_the_webhook_cannot_be_read(self):
        self.plan.webhook_url = "http://127.0.0.1:9/x"
        sealed = self.plan.sudo().sealed_secrets
        self.plan.sudo().sealed_secrets = dict.fromkeys(sealed, "v1.broken")
        with self.in_hours(31), self.assertLogs(MONITORS, "WARNING"):
            self.assertEqual(len(self.watch()), 1)
            self.assertTrue(self.plan.overdue_told_at and self.activities())
            self.assertFalse(self.watch())

    def test_archiving_a_plan_ends_its_promise(self):
        with self.in_hours(31):
            self.assertTrue(self.watch())
            self.plan.active = False
            self.assertFalse(self.watch())
            self.assertFalse(self.plan.overdue_told_at or self.plan.activity_ids)
            self.plan.active = True
            self.assertFalse(self.plan.is_overdue)

    def test_promise_follows_the_schedule_and_can_be_another(self):
        self.plan.frequency = "weekly"
        self.assertEqual(self.plan.promise_hours, 180)
        self.plan.promise_hours = 12
        with self.in_hours(13):
            self.assertTrue(self.plan.is_overdue)
        self.plan.frequency = "manual"
        self.assertFalse(self.plan.is_overdue or self.plan.promise_deadline)

    def test_overdue_plans_can_be_searched(self):
        with self.in_hours(31):
            overdue = self.env["backup.plan"].search([("is_overdue", "=", True)])
            self.assertIn(self.plan, overdue)
            self.assertNotIn(
                self.plan, self.env["backup.plan"].search([("is_overdue", "=", False)])
            )

    def test_viewer_sees_why(self):
        viewer = new_test_user(self.env, "looker", "dfr_backup.group_viewer")
        with self.in_hours(31):
            self.assertTrue(self.plan.with_user(viewer).overdue_reason)

    def test_looking_at_the_plans_costs_the_same_whatever_their_history(self):
        plans = self.plan + self.plan.copy() + self.plan.copy()
        self.history(1)
        self.queries_of(plans)  # fills the caches
        few = self.queries_of(plans)
        self.history(300)
        self.assertEqual(self.queries_of(plans), few)

    def queries_of(self, plans):
        plans.env.flush_all()
        plans.env.invalidate_all()
        before = self.env.cr.sql_log_count
        with self.in_hours(31):
            plans.mapped("overdue_reason")
        return self.env.cr.sql_log_count - before

    # === DIGEST === #

    def test_weekly_digest(self):
        with freeze_time("2026-06-12 12:00:00"):  # a Friday
            self.plan.alert_digest = True
            self.assertEqual(str(self.plan.next_digest), "2026-06-15 06:00:00")
        with freeze_time("2026-06-15 05:59:00"):
            self.ended()
            self.ended(archive_files="failure")
            self.assertFalse(self.mails_of(self.due(due.send_digests)))
        with freeze_time("2026-06-15 06:00:00"):
            mail = self.mails_of(self.due(due.send_digests))
            states = dict(self.env["backup.job"]._fields["state"].selection)
            counts = f"{states['success']}: 1, {states['partial']}: 1"
            self.assertIn(counts, html2plaintext(mail.body_html))
            self.assertFalse(self.mails_of(self.due(due.send_digests)))
            self.assertEqual(str(self.plan.next_digest), "2026-06-22 06:00:00")
        self.plan.alert_digest = False
        self.assertFalse(self.plan.next_digest)

    # === MONITORS === #

    def test_addresses_of_monitors_are_secrets(self):
        self.plan.ping_url = "https://hc-ping.com/s3cr3t"
        self.plan.invalidate_recordset()
        self.assertEqual(self.plan.ping_url, "********")
        self.env.flush_all()
        self.env.cr.execute(
            "SELECT sealed_secrets FROM backup_plan WHERE id = %s", [self.plan.id]
        )
        self.assertNotIn("s3cr3t", str(self.env.cr.fetchone()))
        self.assertEqual(
            self.plan._read_secret("ping_url"), "https://hc-ping.com/s3cr3t"
        )

    def test_only_web_addresses_are_called(self):
        for name in ("ping_url", "push_url", "webhook_url"):
            with self.subTest(name), self.assertRaises(ValidationError):
                self.plan[name] = "file:///etc/passwd"

    def test_a_worker_tells_monitors_after_its_transaction(self):
        monitor = Monitor()
        self.addCleanup(monitor.close)
        self.plan.write({"ping_url": monitor.url, "webhook_url": monitor.url})
        job = self.run_now()
        self.registry_enter_test_mode()
        with patch.object(self.env.cr, "postcommit", type(self.env.cr.postcommit)()):
            self.end(job, dump_database="failure")
            self.assertEqual(monitor.heard, [])
            self.env.cr.postcommit.run()
        with release_test_lock():
            monitor.wait_for(2)
        self.assertEqual(
            sorted(monitor.heard), [("POST", "/x"), ("POST", f"/x/fail?rid={job.uuid}")]
        )

    def told(self, monitor, count, body):
        """Run ``body`` as a transaction; return what the monitor got then."""
        self.registry_enter_test_mode()
        with patch.object(self.env.cr, "postcommit", type(self.env.cr.postcommit)()):
            body()
            self.env.cr.postcommit.run()
        with release_test_lock():
            monitor.wait_for(count)
        return [json.loads(one) for one in monitor.bodies]

    def chat(self):
        monitor = Monitor()
        self.addCleanup(monitor.close)
        self.plan.write({"chat_service": "slack", "chat_url": monitor.url})
        return monitor

    def test_a_chat_hears_what_mails_say(self):
        job, monitor = self.run_now(), self.chat()
        end = partial(self.end, job, dump_database="failure")
        (body,) = self.told(monitor, 1, end)
        self.assertEqual(
            body["blocks"][0]["text"]["text"], summary_line(job, self.plan)
        )
        self.assertIn("Broken", body["blocks"][1]["text"]["text"])
        self.assertIn(f"/odoo/backup-runs/{job.id}", str(body["blocks"][2]))

    def test_a_chat_hears_nothing_of_what_is_not_mailed(self):
        monitor = self.chat()
        with patch.object(chats, "say_after_commit") as said:
            self.ended()
            self.plan.alert_failure = False
            self.ended(dump_database="failure")
        self.assertFalse(any(call.args[1] for call in said.mock_calls))
        self.assertEqual(monitor.heard, [])

    def test_a_chat_hears_of_an_overdue_backup(self):
        self.ended()
        monitor = self.chat()
        with self.in_hours(31):
            (body,) = self.told(monitor, 1, self.watch)
            title = compose_overdue(self.plan)["title"]
        self.assertEqual(body["blocks"][0]["text"]["text"], title)

    def test_the_test_button_says_how_the_chat_has_answered(self):
        with self.assertRaises(UserError):
            self.plan.action_test_chat()
        monitor = self.chat()
        with release_test_lock():
            answer = self.plan.action_test_chat()
        self.assertEqual(answer["params"]["type"], "success")
        self.assertEqual(monitor.heard, [("POST", "/x")])
        self.plan.write({"chat_service": "ntfy", "chat_url": "https://ntfy.sh/"})
        with self.assertRefuses(NoTopic):
            self.plan.action_test_chat()
        self.plan.write({"chat_service": "teams", "chat_url": "http://127.0.0.1:9/x"})
        with release_test_lock():
            answer = self.plan.action_test_chat()
        self.assertEqual(answer["params"]["type"], "danger")

    def test_the_address_of_a_chat_is_a_secret(self):
        self.chat()
        self.plan.invalidate_recordset()
        self.assertEqual(self.plan.chat_url, "********")
        with self.assertRaises(ValidationError):
            self.plan.chat_url = "file:///etc/passwd"

    # === SNOOZED === #

    def test_whoever_snoozes_hears_nothing_until_then(self):
        self.ended()
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=40)
        _job, mails = self.ended(dump_database="failure")
        self.assertFalse(mails)
        self.assertFalse(self.activities())
        with self.in_hours(31):
            self.assertTrue(self.plan.is_overdue)
            self.assertFalse(self.watch())
        with self.in_hours(41):
            self.assertTrue(self.watch(), "what is still wrong is told then")

    def test_no_snooze_keeps_the_operator_and_monitors_from_hearing(self):
        self.ended()
        self.plan.webhook_url = "http://127.0.0.1:9/x"
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=40)
        with (
            self.in_hours(31),
            patch.object(due, "tell_operator") as operator,
            patch.object(monitors, "ping_overdue") as pinged,
        ):
            self.assertFalse(self.watch())
            self.assertFalse(self.watch(), "and once")
        operator.assert_called_once()
        pinged.assert_called_once()
        self.assertTrue(self.plan.overdue_reported_at)
        self.assertFalse(self.plan.overdue_told_at)

    def test_what_a_snooze_held_back_is_told_after_it(self):
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=4)
        job, mails = self.ended(dump_database="failure")
        self.assertFalse(mails)
        announce = self.env["backup.job"]._announce_forgotten
        self.assertFalse(self.mails_of(announce))
        with self.in_hours(5):
            self.assertTrue(self.mails_of(announce))
            self.assertTrue(self.activities())
            self.assertFalse(self.mails_of(announce), "and once")
        self.assertFalse(job.withheld)

    def test_a_snooze_ends_with_one_email_and_not_with_all_of_them(self):
        self.plan.alert_success = True
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=4)
        self.ended()
        for _number in range(3):
            job, _mails = self.ended(dump_database="failure")
        announce = self.env["backup.job"]._announce_forgotten
        with self.in_hours(5):
            mails = self.mails_of(announce)
        self.assertEqual(len(mails), len(alert_recipients(self.plan)))
        self.assertIn(job.name, mails[0].body_html)
        self.assertFalse(self.env["backup.job"].search([("withheld", "=", True)]))

    def test_what_is_well_again_is_not_told_after_a_snooze(self):
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=4)
        self.ended(dump_database="failure")
        self.ended()
        with self.in_hours(5):
            self.assertFalse(self.mails_of(self.env["backup.job"]._announce_forgotten))
        self.assertFalse(self.activities())

    def test_recovery_closes_the_activity_of_a_snoozed_plan(self):
        self.ended(dump_database="failure")
        self.assertTrue(self.activities())
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=4)
        self.ended()
        self.assertFalse(self.activities())

    def test_nobody_snoozes_for_ever(self):
        far = fields.Datetime.now() + timedelta(days=40)
        with self.assertRaises(ValidationError), self.cr.savepoint():
            self.plan.snoozed_until = far
        with freeze_time(far):  # under a clock that is ahead
            self.plan.snoozed_until = far + timedelta(days=20)
        self.assertFalse(self.plan._is_snoozed())

    def test_monitors_hear_of_a_snoozed_plan(self):
        self.plan.ping_url = "http://127.0.0.1:9/x"
        self.plan.snoozed_until = fields.Datetime.now() + timedelta(hours=4)
        job = self.run_now()
        with patch.object(monitors, "ping_after_commit") as called:
            self.end(job, dump_database="failure")
        called.assert_called_once()

    def test_the_scheduled_action_wakes_at_the_end_of_a_snooze(self):
        until = fields.Datetime.now() + timedelta(hours=4)
        self.plan.snoozed_until = until
        self.assertIn(until + timedelta(seconds=1), due.due_moments(self.plan))

    def test_verifications_are_not_pinged(self):
        self.plan.ping_url = "http://127.0.0.1:9/x"
        check = self.env["backup.job"]._create_run(
            "verify", [{"kind": "verify"}], "schedule", plan_id=self.plan.id
        )
        with patch.object(monitors, "ping_after_commit") as called:
            self.end(check, verify="failure")
        called.assert_not_called()

    def test_an_address_that_cannot_be_read_is_noted_on_the_run(self):
        self.plan.ping_url = "http://127.0.0.1:9/x"
        sealed = self.plan.sudo().sealed_secrets
        self.plan.sudo().sealed_secrets = dict.fromkeys(sealed, "v1.broken")
        job, _mails = self.ended()
        self.assertEqual(job.state, "success")
        log = job.step_ids[-1]
        self.assertIn(SecretUnreadable.template, str(log.log_values))

    def test_outside_of_the_runner_mails_are_left_to_the_queue(self):
        cron = self.env.ref("mail.ir_cron_mail_scheduler_action")
        self.assertNotIn(runner.CONTEXT_KEY, self.env.context)
        with RecordCapturer(
            self.env["ir.cron.trigger"], [("cron_id", "=", cron.id)]
        ) as capture:
            self.ended(dump_database="failure")
        self.assertTrue(capture.records)


class Monitor:
    """A real HTTP server that remembers what it was asked."""

    def __init__(self):
        heard, bodies = self.heard, self.bodies = [], []
        changed = self._changed = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with changed:
                    bodies.append(body)
                    heard.append((self.command, self.path))
                    changed.notify()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/x"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def wait_for(self, count):
        with self._changed:
            self._changed.wait_for(lambda: len(self.heard) >= count, timeout=120)

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
