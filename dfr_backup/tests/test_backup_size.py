from odoo.tests import tagged
from odoo.tools import html2plaintext

from ..models.job.in_words import size_drop_in_words, summary_line
from .test_backup_overview import OverviewCase

USUAL = 1000


@tagged("post_install", "-at_install")
class TestBackupSize(OverviewCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plan.write({"alert_group_ids": False, "alert_emails": "it@dfr.org"})

    def back_up_bytes(self, size, **states):
        """Let a backup seal an archive of that size, and end as its steps say."""
        job = self.run_now()
        for kind, state in states.items():
            job._step(kind).state = state
        self.finalize(job, size)
        job._run_context().plan.note_size()
        self.end(job, **states)
        if job.state == "success":
            self.record_copy(job)
        return job

    def mails(self, job):
        return self.env["mail.mail"].search([("body_html", "ilike", job.name)])

    def test_much_smaller_is_told_on_the_run_the_overview_and_once_by_mail(self):
        for _ in range(3):
            usual = self.back_up_bytes(USUAL)
            self.assertFalse(usual.size_drop)
        small = self.back_up_bytes(400)
        self.assertEqual((small.state, small.size_drop), ("success", 60))
        (problem,) = self.overview()["problems"]
        self.assertEqual(problem["kind"], "size_drop")
        self.assertIn("60%", problem["text"])
        self.assertEqual(
            (problem["tone"], problem["action"]["res_id"]), ("warning", small.id)
        )
        mail = self.mails(small)
        self.assertEqual(len(mail), 1)
        self.assertEqual(mail.subject, summary_line(small, self.plan))
        self.assertIn("60%", mail.subject)
        _why, remedy = size_drop_in_words(small, self.env)
        self.assertIn(remedy, " ".join(html2plaintext(mail.body_html).split()))
        again = self.back_up_bytes(400)
        self.assertTrue(again.size_drop)
        self.assertFalse(self.mails(again), "everybody knows")
        self.back_up_bytes(USUAL)
        self.assertEqual(self.problems(), [])

    def test_first_runs_say_nothing(self):
        for size in (USUAL, 1, 1):
            self.assertFalse(self.back_up_bytes(size).size_drop)

    def test_other_contents_are_not_compared(self):
        for _ in range(4):
            self.back_up_bytes(USUAL)
        self.plan.include_filestore = False
        self.assertFalse(self.back_up_bytes(100).size_drop)

    def test_what_failed_is_no_surprise_and_no_measure(self):
        for _ in range(3):
            self.back_up_bytes(USUAL)
        partial = self.back_up_bytes(100, dump_database="failure")
        self.assertEqual((partial.state, partial.size_drop), ("partial", 0))
        self.assertEqual(self.back_up_bytes(400).size_drop, 60)

    def test_threshold_is_the_plans(self):
        for _ in range(3):
            self.back_up_bytes(USUAL)
        for threshold, found in ((61, 0), (60, 60), (0, 0)):
            self.plan.size_warning = threshold
            self.assertEqual(
                self.back_up_bytes(400)._run_context().plan.note_size(), found
            )

    def test_who_wants_no_mails_about_failures_gets_none(self):
        self.plan.alert_failure = False
        for size in (USUAL, USUAL, USUAL, 400):
            job = self.back_up_bytes(size)
        self.assertTrue(job.size_drop)
        self.assertFalse(self.mails(job))
