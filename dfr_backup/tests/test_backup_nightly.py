"""What incremental backups read again each night, and who hears of damage."""

from odoo import fields
from odoo.tests import tagged

from .. import odoo_config
from ..engine.errors.packs import PackDamaged
from ..engine.packs.readings import DAY, FILE, Readings
from ..models.job.in_words import bad_packs_in_words, summary_line
from .archives import store_fname
from .incremental import IncrementalCase

ONE, TWO, THREE = b"one" * 1000, b"two" * 1000, b"three" * 500


@tagged("post_install", "-at_install")
class TestNightly(IncrementalCase):
    def setUp(self):
        super().setUp()
        self.plan.write({"alert_group_ids": False, "alert_emails": "it@dfr.org"})

    def another_night(self):
        """Let nobody know what was read when."""
        (self.index / FILE).unlink()

    @property
    def index(self):
        return odoo_config.packs_path(self.storage.place_id)

    def damage(self, path):
        data = bytearray(path.read_bytes())
        data[80] ^= 1
        path.write_bytes(data)

    def mails(self, job):
        return self.env["mail.mail"].search([("body_html", "ilike", job.name)])

    def test_damage_in_older_backups_is_marked_and_told(self):
        first, second = self.backup(ONE), self.backup(TWO)
        second.write({"proven_at": fields.Datetime.now(), "proven_seconds": 7})
        self.assertFalse(self.mails(second.job_id))
        _one, two = self.packs()
        self.damage(two)
        self.another_night()
        for _night in range(2):  # one pack each
            third = self.backup(ONE)
            readings = Readings.of(self.index)
            readings.packs_at -= DAY
            readings.save()
            if third.job_id.bad_packs:
                break
        job = third.job_id
        self.assertEqual((job.state, job.bad_packs), ("success", 1))
        self.assertIn(PackDamaged.template, str(job.step_ids.mapped("log_values")))
        self.assertEqual((first.state, third.state), ("verified", "verified"))
        self.assertEqual(second.state, "damaged")
        self.assertFalse(second.proven_at)
        mail = self.mails(job)
        self.assertEqual(mail.subject, summary_line(job, self.plan))
        self.assertIn("1", bad_packs_in_words(job, self.env)[0])
        again = self.backup(ONE)
        self.assertFalse(again.job_id.bad_packs)
        self.assertFalse(self.mails(again.job_id))

    def test_the_run_that_finds_damage_stores_its_files_again(self):
        first = self.backup(ONE, TWO)
        (pack,) = self.packs()
        self.damage(pack)
        self.another_night()
        second = self.backup(ONE, TWO)
        self.assertEqual((first.state, second.state), ("damaged", "verified"))
        self.assertEqual(len(self.packs()), 2)
        self.assertEqual(second.packs, 1)
        self.assertGreater(second.new_size, 0)
        self.assertEqual(self.verify(second).state, "success")

    def verify(self, copies):
        action = copies.action_verify()
        return self.perform(self.env["backup.job"].browse(action["res_id"]))

    def test_a_verification_counts_as_reading(self):
        copy = self.backup(ONE, TWO)
        self.another_night()
        self.assertFalse(Readings.of(self.index).packs)
        self.verify(copy)
        (pack,) = self.packs()
        self.assertEqual(set(Readings.of(self.index).packs), {pack.name})

    def test_damaged_attachment_stays_known_until_it_is_good(self):
        attachment = self.env["ir.attachment"].create({"name": "two", "raw": TWO})
        self.backup(ONE, TWO)
        path = self.filestore / store_fname(TWO)
        path.write_bytes(TWO[::-1])
        issues = self.env["backup.filestore.issue"]
        mine = [("attachment", "=", attachment.id)]
        for _night in range(30):
            self.set_back_files()
            self.backup_as_it_is(ONE, TWO)
            if issues.search(mine):
                break
        issue = issues.search(mine)
        self.assertEqual((issue.kind, issue.state), ("damaged", "open"))
        self.backup_as_it_is(ONE, TWO)
        self.assertEqual(issue.state, "open")
        self.backup(ONE, TWO)
        self.assertEqual(issue.state, "resolved")

    def set_back_files(self):
        readings = Readings.of(self.index)
        readings.files_at -= DAY
        readings.save()
