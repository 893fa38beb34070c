"""What reads stored backups reads incremental ones: scan, verification, browsing,
comparison, repair."""

from datetime import timedelta

from odoo import fields
from odoo.tests import tagged

from ..engine.catalog.browse import copy_out, find_file
from ..engine.errors.packs import PackMissing
from ..engine.errors.storage import ContentDiffers
from .archives import store_fname
from .incremental import IncrementalCase

ONE, TWO, THREE = b"one" * 1000, b"two" * 1000, b"three" * 500


@tagged("post_install", "-at_install")
class TestIncrementalRead(IncrementalCase):
    def scan(self):
        action = self.storage.action_scan()
        return self.perform(self.env["backup.job"].browse(action["res_id"]))

    def verify(self, copies):
        action = copies.action_verify()
        return self.perform(self.env["backup.job"].browse(action["res_id"]))

    # === LOST AND DAMAGED PACKS === #

    def test_copies_that_lack_a_pack_count_no_more(self):
        first = self.backup(ONE, TWO)
        second = self.backup(ONE, TWO, THREE)
        both = first | second
        both.write({"proven_at": fields.Datetime.now(), "proven_seconds": 7})
        countable = [("id", "in", both.ids), *both._countable()]
        self.assertEqual(self.scan().state, "success")
        self.assertEqual(both.search(countable), both)
        _shared, last = self.packs()
        last.rename(last.with_suffix(".away"))
        job = self.scan()
        self.assertIn(PackMissing.template, str(job.step_ids.log_values))
        self.assertEqual(both.search(countable), first)
        self.assertEqual((first.state, second.state), ("verified", "damaged"))
        self.assertTrue(first.proven_at)
        self.assertFalse(second.proven_at)
        last.with_suffix(".away").rename(last)
        self.assertEqual(self.verify(second).state, "success")
        self.assertEqual(both.search(countable), both)

    def test_verification_looks_for_every_pack(self):
        copy = self.backup(ONE)
        self.assertEqual(self.verify(copy).state, "success")
        (pack,) = self.packs()
        pack.write_bytes(pack.read_bytes()[:-1])
        job = self.verify(copy)
        self.assertEqual(job.step_ids.error_code, PackMissing.code)
        self.assertEqual(copy.state, "damaged")

    def test_verification_reads_every_pack(self):
        first, second = self.backup(ONE), self.backup(ONE, TWO)
        _shared, last = self.packs()
        data = bytearray(last.read_bytes())
        data[80] ^= 1
        last.write_bytes(data)
        job = self.verify(first | second)
        errors = {step.copy_id: step.error_code for step in job.step_ids}
        self.assertEqual(errors, {first: False, second: ContentDiffers.code})
        self.assertEqual((first.state, second.state), ("verified", "damaged"))

    def test_a_damaged_pack_is_counted_on_no_more(self):
        first, second = self.backup(ONE), self.backup(ONE, TWO)
        twin = self.backup(ONE, TWO)
        twin.write({"proven_at": fields.Datetime.now(), "proven_seconds": 7})
        _shared, last = self.packs()
        data = bytearray(last.read_bytes())
        data[80] ^= 1
        last.write_bytes(data)
        self.verify(second)
        self.assertEqual((first.state, twin.state), ("verified", "damaged"))
        self.assertFalse(twin.proven_at)
        again = self.backup(ONE, TWO)
        self.assertEqual(len(self.packs()), 3, "what it held is stored anew")
        self.assertEqual(self.verify(again).state, "success")

    def test_only_a_scan_counts_as_a_look_at_packs(self):
        self.storage.listed_at = False
        self.backup(ONE)
        self.assertFalse(self.storage.listed_at)
        self.scan()
        self.assertTrue(self.storage.listed_at)

    # === LOOKED INTO === #

    def test_attachment_is_fetched(self):
        copy = self.backup(ONE, TWO)
        self.backup(THREE)
        browser = self.env["backup.browse"].create({"copy_id": copy.id})
        browser._read_manifest()
        self.assertEqual((browser.file_count, browser.trouble), (2, False))
        taken = []
        with browser._looked_into() as reader:
            entry = find_file(reader, store_fname(TWO))
            self.assertTrue(copy_out(reader, entry, taken.append))
            self.assertIsNone(find_file(reader, store_fname(THREE)))
        self.assertEqual(b"".join(taken), TWO)

    def compared(self, before, after):
        values = {"before_id": before.id, "after_id": after.id}
        comparison = self.env["backup.compare"].create(values)
        comparison._compare()
        self.assertFalse(comparison.trouble)
        return [(line.kind, line.name) for line in comparison.line_ids.sorted("name")]

    def test_two_are_compared(self):
        first, second = self.backup(ONE, TWO), self.backup(TWO, THREE)
        wanted = [("added", store_fname(THREE)), ("removed", store_fname(ONE))]
        self.assertEqual(sorted(self.compared(first, second)), wanted)
        self.plan.incremental = False
        complete = self.backup(TWO, THREE)
        self.assertFalse(complete.incremental)
        self.assertEqual(self.compared(second, complete), [])
        self.assertEqual(sorted(self.compared(first, complete)), wanted)

    def test_file_is_put_back(self):
        attachment = self.env["ir.attachment"].create({"name": "two", "raw": TWO})
        copy = self.backup(ONE, TWO)
        self.backup(ONE)
        (self.filestore / store_fname(TWO)).unlink()
        later = fields.Datetime.now() + timedelta(hours=1)
        issue = self.env["backup.filestore.issue"].create(
            {
                "attachment": attachment.id,
                "store_fname": store_fname(TWO),
                "kind": "missing",
                "first_seen": later,
                "size": len(TWO),
            }
        )
        values = {"issue_ids": issue.ids}
        wizard = self.env["backup.repair.wizard"].create(values)
        action = wizard.action_repair()
        job = self.perform(self.env["backup.job"].browse(action["res_id"]))
        self.assertEqual(job.state, "success", job.step_ids.mapped("error"))
        self.assertEqual((self.filestore / store_fname(TWO)).read_bytes(), TWO)
        self.assertEqual(issue.repaired_from_id, copy)
