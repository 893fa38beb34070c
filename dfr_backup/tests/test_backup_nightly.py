"""What incremental backups read again each night, who hears of damage, and what
deleting them frees."""

import os
import re
from dataclasses import replace

from odoo import fields
from odoo.tests import tagged

from .. import odoo_config
from ..engine.catalog.scan import read_sidecar
from ..engine.errors.packs import PackDamaged, PackUnread
from ..engine.manifest.names import sidecar_key
from ..engine.messages import Size
from ..engine.packs.readings import DAY, FILE, Readings
from ..models.job.in_words import (
    bad_packs_in_words,
    summary_line,
    unread_packs_in_words,
)
from ..models.plan.freed import freed_in_words
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

    def test_a_changed_manifest_marks_no_other_backup(self):
        first, second = self.backup(ONE), self.backup(ONE)
        target = self.storage._get_storage()
        (use,) = read_sidecar(target, sidecar_key(first.key)).packs
        catalogue = second.job_id._run_context().catalogue
        catalogue.note_bad_pack(self.storage, replace(use, sha256="0" * 64))
        self.assertEqual((first.state, second.state), ("verified", "verified"))
        catalogue.note_bad_pack(self.storage, use)
        self.assertEqual((first.state, second.state), ("damaged", "damaged"))

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

    def test_what_cannot_be_read_in_a_second_night_is_told(self):
        self.backup(ONE)
        (pack,) = self.packs()
        pack.with_suffix(".json").write_bytes(b"{}")
        self.another_night()
        job = self.backup(ONE).job_id
        self.assertEqual((job.state, job.unread_packs), ("success", 0))
        self.assertFalse(self.mails(job))
        readings = Readings.of(self.index)
        readings.packs_at -= DAY
        readings.save()
        job = self.backup(ONE).job_id
        self.assertEqual((job.state, job.unread_packs), ("success", 1))
        self.assertIn(PackUnread.template, str(job.step_ids.mapped("log_values")))
        self.assertEqual(self.mails(job).subject, summary_line(job, self.plan))
        self.assertIn("1", unread_packs_in_words(job, self.env)[0])

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


@tagged("post_install", "-at_install")
class TestFreed(IncrementalCase):
    def numbers(self, *going):
        """Return what the preview says that these copies free."""
        found = freed_in_words(self.storage, list(going))
        return tuple(map(int, re.findall(r"data-\w+='(\d+)'", found)))

    def test_two_numbers(self):
        big = os.urandom(100_000)
        first = self.backup(ONE)
        self.assertEqual(self.numbers(), (0, 0))
        (one,) = self.packs()
        second = self.backup(TWO, big)
        self.assertEqual(self.numbers(first), (one.stat().st_size, 0))
        third = self.backup(big)
        pruned, rewritten = self.numbers(first, second)
        self.assertEqual(pruned, one.stat().st_size)
        self.assertGreater(rewritten, 0)
        self.assertEqual(self.numbers(first, second, third)[1], 0)
        self.storage.unneeded_size = 7
        self.assertEqual(self.numbers(first)[0], one.stat().st_size + 7)

    def test_complete_backups_have_none(self):
        self.plan.incremental = False
        copy = self.backup(ONE)
        self.assertFalse(freed_in_words(self.storage, [copy]))

    def test_a_scan_knows_it_again(self):
        copy = self.backup(ONE)
        known = self.numbers(copy)
        for path in odoo_config.packs_path(self.storage.place_id).glob("*.needs"):
            path.unlink()
        self.assertEqual(self.numbers(copy), ())
        self.perform(
            self.env["backup.job"].browse(self.storage.action_scan()["res_id"])
        )
        self.assertEqual(self.numbers(copy), known)

    def test_preview_has_them(self):
        self.backup(ONE)
        self.plan.retention = "odoo_sh"
        self.assertIn("data-rewritten", self.plan.retention_preview)


@tagged("post_install", "-at_install")
class TestSizes(IncrementalCase):
    """An incremental backup is its archive and its attachments, whoever has stored
    them."""

    def card(self):
        cards = self.env["backup.overview"].get_overview()["storages"]
        return next(card for card in cards if card["id"] == self.storage.id)

    def test_storage_tells_backups_from_attachments(self):
        copy = self.backup(ONE, TWO)
        packs = sum(path.stat().st_size for path in self.packs())
        self.assertEqual(self.storage.packs_size, packs)
        self.storage.unneeded_size = 5
        card = self.card()
        self.assertEqual(card["size"], copy.size)
        self.assertEqual(card["packs_size"], packs)
        self.assertEqual(card["unneeded_size"], 5)
        self.assertEqual(card["new_size"], copy.size + copy.new_size)
        self.assertEqual(card["plan"], self.plan.id)
        self.storage.write({"packs_size": 0, "unneeded_size": 0})
        self.perform(
            self.env["backup.job"].browse(self.storage.action_scan()["res_id"])
        )
        self.assertEqual(self.storage.packs_size, packs)

    def test_storage_tells_what_the_last_backup_has_added(self):
        self.backup(ONE, TWO)
        last = self.backup(ONE, TWO)
        self.assertEqual(last.new_size, 0)
        self.assertEqual(self.card()["new_size"], last.size)
        self.plan.active = False
        self.assertFalse(self.card()["plan"])

    def test_others_are_told_the_whole_size(self):
        copy = self.backup(ONE, TWO)
        job = copy.job_id
        whole = int(copy.size) + 6000
        monitor = self.env["backup.monitor"]
        self.assertEqual(monitor._last_good_sizes(self.plan), {self.plan.id: whole})
        values = {
            (metric.name, labels.get("plan_id") or labels.get("storage_id")): value
            for metric in monitor._metrics()
            for labels, value in metric.samples
        }
        plan, storage = str(self.plan.id), str(self.storage.id)
        self.assertEqual(values["dfr_backup_last_size_bytes", plan], whole)
        stored = copy.size + self.storage.packs_size
        self.assertEqual(values["dfr_backup_storage_bytes", storage], stored)
        self.assertIn(str(Size(whole)), job.new_in_words)
        self.assertIn(str(Size(int(copy.size + copy.new_size))), job.new_in_words)

    def test_backup_says_what_it_needs(self):
        copy = self.backup(ONE, TWO)
        whole = copy.packs_in_words
        self.assertIn("1", whole)
        copy.state = "damaged"
        self.assertNotEqual(copy.packs_in_words, whole)
        copy.incremental = False
        self.assertFalse(copy.packs_in_words)
