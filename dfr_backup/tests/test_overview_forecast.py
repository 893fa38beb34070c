"""What the overview says of the days to come, and of the last night."""

from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.tests import tagged

from ..engine.progress import Progress
from ..engine.storages.local.storage import LocalStorage
from .test_backup_overview import OverviewCase

MIB = 1 << 20


@tagged("post_install", "-at_install")
class TestOverviewForecast(OverviewCase):
    def storage_card(self):
        (card,) = self.overview()["storages"]
        return card

    def keep(self, count):
        """Let so many backups stay, of one a day."""
        nothing = dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), 0)
        rules = {f"keep_{name}": number for name, number in nothing.items()}
        self.plan.write(
            {
                "retention": "custom",
                **rules,
                "keep_last": count,
                "keep_within_days": 0,
                "keep_minimum": 1,
            }
        )

    def test_a_storage_says_what_it_will_hold(self):
        card = self.storage_card()
        self.assertEqual((card["more"], card["full_in"]), (None, None))
        self.keep(5)
        self.back_up(days_ago=4)
        self.back_up()
        self.assertEqual(self.storage_card()["more"], 3 * 5000)
        self.plan.retention = "none"
        self.assertAlmostEqual(self.storage_card()["more"], 30 * 5000, delta=5000)
        self.plan.frequency = "manual"
        self.assertIsNone(self.storage_card()["more"])

    def test_a_few_backups_by_hand_say_nothing(self):
        """Each larger than the one before, and within minutes: that is no growth."""
        self.plan.retention = "none"
        now = fields.Datetime.now()
        for minutes in (16, 8, 0):
            job = self.back_up()
            job.copy_ids.date = now - timedelta(minutes=minutes)
            job.copy_ids.size = 10 * MIB - minutes * MIB / 16
        self.storage.write({"free_space": 100 * MIB, "space_at": now})
        card = self.storage_card()
        self.assertEqual((card["more"], card["full_in"]), (None, None))
        self.assertEqual(self.problems(), [])

    def test_a_backup_by_hand_adds_no_attachments(self):
        """What came in these days counts, however many backups were made; and not
        what the first one has stored."""
        self.plan.retention = "none"
        for days_ago, new in ((4, 900 * MIB), (2, MIB), (0, MIB), (0, 2 * MIB)):
            self.back_up(days_ago).copy_ids.write({"new_size": new, "size": 0})
        self.assertAlmostEqual(self.storage_card()["more"], 30 * MIB, delta=2 * MIB)

    def test_backups_of_each_month_say_so_too(self):
        self.plan.write({"retention": "none", "frequency": "monthly"})
        self.back_up(days_ago=31)
        self.assertIsNone(self.storage_card()["more"])
        self.back_up()
        self.assertIsNotNone(self.storage_card()["more"])

    def begin(self):
        """Let there be backups of some days, so that it is known how it goes on."""
        self.back_up(days_ago=4)
        return self.back_up()

    def test_a_disk_that_is_full_soon_is_a_problem(self):
        self.plan.retention = "none"
        self.begin()
        self.storage.write(
            {"free_space": 5000 * 100, "space_at": fields.Datetime.now()}
        )
        self.assertAlmostEqual(self.storage_card()["full_in"], 101, delta=1)
        self.assertEqual(self.problems(), [])
        self.storage.free_space = 5000 * 4
        self.assertAlmostEqual(self.storage_card()["full_in"], 5, delta=1)
        self.assertEqual(self.problems(), [("space", str(self.storage))])
        self.assertEqual(self.overview()["verdict"]["state"], "gap")
        self.keep(3)
        self.assertIsNone(self.storage_card()["full_in"])

    def test_what_came_since_somebody_looked_is_not_free_any_more(self):
        self.plan.retention = "none"
        self.begin()
        seen = fields.Datetime.now() - timedelta(days=1)
        self.storage.write({"free_space": 5000 * 10, "space_at": seen})
        before = self.storage_card()["full_in"]
        self.storage.space_at = fields.Datetime.now()
        self.assertEqual(self.storage_card()["full_in"], before + 1)

    def test_a_run_notes_how_much_is_free(self):
        job = self.back_up()
        self.storage._get_own_storage().prepare()
        catalogue = job._run_context().catalogue
        catalogue.note_listed(self.storage, Progress(), {})
        self.assertGreater(self.storage.free_space, 0)
        self.assertTrue(self.storage.space_at)

    def test_a_full_disk_is_full(self):
        """And not one that does not tell how much is free."""
        self.plan.retention = "none"
        job = self.begin()
        self.storage._get_own_storage().prepare()
        here = dict.fromkeys(self.plan.job_ids.copy_ids.mapped("key"), 5000)
        catalogue = job._run_context().catalogue
        for free, told, problems in (
            (0, (0, 1), [("space", str(self.storage))]),
            (None, (None, None), []),
        ):
            with patch.object(
                LocalStorage, "_free_space", lambda _self, free=free: free
            ):
                catalogue.note_listed(self.storage, Progress(), here)
            card = self.storage_card()
            self.assertEqual((card["free"], card["full_in"]), told)
            self.assertEqual(self.problems(), problems)
            with patch.object(
                LocalStorage, "_free_space", lambda _self, free=free: free
            ):
                self.storage._test()
            self.assertEqual(bool(self.storage.space_at), free is not None)

    def test_a_card_says_what_has_grown(self):
        partner = '"public"."res_partner"'
        self.made({partner: 10 * MIB}, attachments=MIB)
        self.assertFalse(self.card()["change"], "there is nothing to compare with")
        new = self.made({partner: 12 * MIB, '"public"."x"': MIB}, attachments=6 * MIB)
        new.archive_size += 3 * MIB
        change = self.card()["change"]
        self.assertEqual(change["difference"], 3 * MIB)
        name = self.env["ir.model"]._get("res.partner").name
        sizes = [size for _name, size in change["reasons"]]
        self.assertEqual(sizes, [5 * MIB, 2 * MIB, MIB])
        self.assertEqual([what for what, _size in change["reasons"]][1:], [name, "x"])

    def test_attachments_and_their_table_have_names_of_their_own(self):
        table = '"public"."ir_attachment"'
        self.made({table: MIB}, attachments=MIB)
        self.made({table: 2 * MIB}, attachments=6 * MIB).archive_size += MIB
        files, records = (what for what, _size in self.card()["change"]["reasons"])
        self.assertNotIn(records, files)
        self.assertNotIn(files, records)

    def test_a_card_says_what_has_shrunk(self):
        names = ('"public"."res_partner"', '"public"."res_users"')
        self.made(dict.fromkeys(names, 10 * MIB))
        new = self.made(dict(zip(names, (4 * MIB, 11 * MIB), strict=True)))
        new.archive_size -= MIB // 1024
        self.assertEqual(
            [size for _name, size in self.card()["change"]["reasons"]], [-6 * MIB]
        )

    def made(self, tables, attachments=0):
        """Let a backup end that has noted these sizes."""
        job = self.back_up()
        facts = {"files": 1, "bytes": attachments, "elsewhere": {}}
        job._run_context().store.update_state(table_bytes=tables, attachments=facts)
        return job

    def test_it_asks_as_much_of_many_copies_as_of_few(self):
        few = self.queries(10)
        self.env.cr.execute("UPDATE backup_job SET uuid = 'older-' || id")
        self.env.cr.execute("UPDATE backup_copy SET key = 'older-' || id")
        self.assertLessEqual(self.queries(1000), few)

    def queries(self, count):
        self.fill(count)
        self.env.cr.execute("UPDATE backup_copy SET state = 'verified'")
        self.env.invalidate_all()
        self.overview()
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self.overview()
        return self.env.cr.sql_log_count - before
