import re
from contextlib import closing
from unittest.mock import patch

from lxml import etree

from odoo.exceptions import AccessError, UserError
from odoo.tests import HttpCase, new_test_user, tagged

from ..engine.encryption.files import encrypt_file, generate_key, parse_recipients
from ..engine.errors.fetch import KeyNeeded, NotAtStorage
from ..engine.errors.people import IdentityNotConfirmed
from ..engine.errors.secrets import FieldUnreadable
from ..engine.progress import Progress
from ..wizards import backup_browse, backup_browse_file
from .archives import store_archive, store_fname
from .common import BackupCase

INVOICE, PHOTO = b"an invoice", b"a photo" * 1000
FILES = [
    ("invoice März.pdf", "account.move", 7, INVOICE),
    ("photo.jpg", "res.partner", 3, PHOTO),
    ("gone.txt", "res.partner", 4, None),
]
ROWS = {'"public"."res_partner"': 12, '"public"."account_move"': 0}
ADDONS = [{"name": "base", "revision": "ab" * 20, "files": 3, "bytes": 99}]


@tagged("post_install", "-at_install")
class TestBackupBrowse(BackupCase, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.viewer = new_test_user(cls.env, "looker", "dfr_backup.group_viewer")

    def setUp(self):
        super().setUp()
        self.log_in()
        self.copy = self.stored("db-1.zip", FILES, rows=ROWS, addons=ADDONS)

    @classmethod
    def stored(cls, key, files, date="2026-10-12 02:00:00", **values):
        sealed = store_archive(cls.root / "disk", key, files, **values)
        return cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "key": key,
                "date": date,
                "state": "verified",
                "size": sealed.size,
                "sha256": sealed.sha256,
                "database": "shop",
                "contents": "database, filestore",
            }
        )

    def test_numbers_that_are_none_are_bad_requests(self):
        self.authenticate("boss", "boss")
        digits = "9" * 5000
        for method, address in (
            ("GET", f"attachment/{digits}/t"),
            ("GET", f"download/{2**31}/t"),
            ("GET", f"recovery_kit/{digits}"),
            ("POST", f"upload/1/t?offset={digits}"),
        ):
            answer = self.url_open(f"/dfr_backup/{address}", method=method)
            self.assertEqual(answer.status_code, 400, address[:20])

    def browse(self, copy=None, user=None):
        copy = (copy or self.copy).with_user(user or self.manager)
        action = type(copy).action_browse.__wrapped__(copy)
        return (
            self.env["backup.browse"].with_user(self.manager).browse(action["res_id"])
        )

    def search(self, browser, **values):
        browser.write({f"search_{name}": value for name, value in values.items()})
        browser.action_search()
        return browser.hit_ids

    # === WHAT IT HOLDS === #

    def test_manifest_is_shown(self):
        browser = self.browse()
        self.assertEqual((browser.database, browser.row_count), ("shop", 12))
        self.assertEqual(
            browser.table_ids.mapped(lambda table: (table.name, table.row_count)),
            [("account_move", 0), ("res_partner", 12)],
        )
        addon = browser.addon_ids
        self.assertEqual((addon.name, addon.version), ("base", "19.0.1.3"))
        self.assertTrue(browser.trouble)
        self.assertEqual(
            browser.action_view_tables()["domain"], [("browse_id", "=", browser.id)]
        )

    def test_manifest_that_is_gone_hides_no_attachment(self):
        (self.root / "disk/db-1.json").write_text("rubbish")
        browser = self.browse()
        self.assertTrue(browser.trouble)
        self.assertEqual(self.search(browser, text="photo").res_id, 3)

    def test_archive_that_is_gone_is_told(self):
        browser = self.browse()
        (self.root / "disk/db-1.zip").unlink()
        with self.assertRefuses(NotAtStorage):
            browser.action_search()

    # === ATTACHMENTS === #

    def test_attachments_are_found(self):
        browser = self.browse()
        self.assertEqual(self.search(browser, text="märz").name, "invoice März.pdf")
        self.assertEqual(re.findall(r"\d+", browser.found), ["1"])
        self.assertEqual(len(self.search(browser, text="", model="res.partner")), 2)
        self.assertEqual(self.search(browser, record="3").name, "photo.jpg")
        with self.assertRaises(UserError):
            self.search(browser, record="three")
        self.assertFalse(self.search(browser, model="sale.order", record=""))
        self.assertTrue(browser.found)
        self.assertFalse(re.search(r"\d", browser.found))

    def test_many_are_cut_off_and_that_is_said(self):
        browser = self.browse()
        with patch.object(backup_browse, "MOST_HITS", 2):
            self.assertEqual(len(self.search(browser)), 2)
        self.assertEqual(re.findall(r"\d+", browser.found), ["2", "3"])

    def test_older_archive_is_searched_by_the_names_of_today(self):
        attachment = self.env["ir.attachment"].create(
            {
                "name": "photo 100%.jpg",
                "raw": PHOTO,
                "res_model": "res.partner",
                "res_id": 3,
            }
        )
        self.env.flush_all()
        self.assertEqual(attachment.store_fname, store_fname(PHOTO))
        browser = self.browse(self.stored("db-0.zip", FILES, index=False))
        self.assertEqual(self.search(browser, text="100%").name, "photo 100%.jpg")
        self.assertTrue(browser.found)
        self.assertFalse(self.search(browser, text="1_0"))
        by_hash = self.search(browser, text=store_fname(INVOICE)[3:12])
        self.assertEqual((by_hash.name, by_hash.size), ("", len(INVOICE)))
        self.assertEqual(len(self.search(browser, text="")), 2)

    def fetch(self, hit, user="boss"):
        self.authenticate(user, user)
        return self.url_open(type(hit).action_download.__wrapped__(hit)["url"])

    def test_a_file_is_fetched(self):
        hit = self.search(self.browse(), text="photo")
        answer = self.fetch(hit)
        self.assertEqual((answer.status_code, answer.content), (200, PHOTO))
        self.assertIn("photo.jpg", answer.headers["Content-Disposition"])
        self.assertEqual(answer.headers["Content-Type"], "application/octet-stream")

    def test_a_large_file_waits_on_the_disk_and_leaves_nothing(self):
        hit = self.search(self.browse(), text="photo")
        with patch.object(backup_browse_file, "IN_MEMORY", 100):
            self.assertEqual(self.fetch(hit).content, PHOTO)
        self.assertEqual(list((self.root / "data/work").iterdir()), [])

    def test_a_file_that_is_not_in_it_is_told(self):
        answer = self.fetch(self.search(self.browse(), text="gone"))
        self.assertEqual(answer.status_code, 409)

    def test_a_damaged_archive_sends_nothing(self):
        hit = self.search(self.browse(), text="photo")
        path = self.root / "disk/db-1.zip"
        data = bytearray(path.read_bytes())
        data[data.index(store_fname(PHOTO).encode()) + 50] ^= 255
        path.unlink()
        path.write_bytes(data)
        answer = self.fetch(hit)
        self.assertEqual(answer.status_code, 409)

    def test_encrypted_archive_needs_its_key(self):
        pair = generate_key()
        store_archive(self.root / "disk", "db-2.zip", FILES)
        sealed = encrypt_file(
            self.root / "disk/db-2.zip",
            self.root / "disk/db-2.zip.age",
            parse_recipients(pair.public),
            Progress(),
        )
        copy = self.copy.copy(
            {
                "key": "db-2.zip.age",
                "encrypted": True,
                "state": "stored",
                "size": sealed.size,
                "sha256": sealed.sha256,
            }
        )
        browser = self.browse(copy)
        self.assertTrue(browser.needs_key)
        with self.assertRefuses(KeyNeeded):
            browser.action_search()
        browser.key = pair.private
        hit = self.search(browser, text="photo")
        self.env.invalidate_all()
        self.assertNotIn(pair.private, str(browser.read()))
        self.assertEqual(self.fetch(hit).content, PHOTO)

    def test_a_key_of_this_server_that_cannot_be_read_is_asked_for(self):
        self.plan.write(
            {"encryption": "passphrase", "age_passphrase": "a long enough passphrase"}
        )
        copy = self.copy.copy({"encrypted": True, "plan_id": self.plan.id, "key": "x"})
        self.assertFalse(self.browse(copy).needs_key)
        sealed = self.plan.sudo().sealed_secrets
        self.plan.sudo().sealed_secrets = dict.fromkeys(sealed, "v1.broken")
        self.assertTrue(self.browse(copy).needs_key)
        with self.assertRefuses(FieldUnreadable):
            self.browse(copy).action_search()
        self.assertTrue(self.compare(copy, self.copy).needs_key)
        staging = self.env["backup.staging.wizard"].new({"copy_id": copy.id})
        self.assertTrue(staging.needs_key)

    # === RIGHTS === #

    def test_viewers_see_nothing_of_it(self):
        with self.assertRaises(AccessError):
            self.browse(user=self.viewer)
        browser = self.browse()
        hit = self.search(browser, text="photo")
        for record in (browser, hit, browser.table_ids):
            with self.assertRaises(AccessError):
                record.with_user(self.viewer).read(["display_name"])
        url = type(hit).action_download.__wrapped__(hit)["url"]
        self.authenticate("looker", "looker")
        self.assertEqual(self.url_open(url).status_code, 404)

    def test_another_manager_sees_nothing_of_it(self):
        other = new_test_user(self.env, "other", "dfr_backup.group_manager")
        with self.assertRaises(AccessError):
            self.browse().with_user(other).read(["database"])

    def test_password_is_for_one_backup_and_one_session(self):
        other = self.stored("db-2.zip", FILES)
        browser = self.browse()
        with self.assertRaises(AccessError):
            browser.copy_id = other
        with self.assertRaises(AccessError):
            browser.write({"copy_id": other.id})
        action = type(other).action_compare.__wrapped__(
            (self.copy | other).with_user(self.manager)
        )
        comparison = self.env["backup.compare"].with_user(self.manager)
        comparison = comparison.browse(action["res_id"])
        with self.assertRaises(AccessError):
            comparison.before_id = other
        comparison.action_compare()
        browser.action_search()
        self.log_in()  # the same user, elsewhere
        for again in (browser.action_search, comparison.action_compare):
            with self.assertRaises(AccessError) as caught:
                again()
            self.assertIsInstance(caught.exception.__cause__, IdentityNotConfirmed)

    def test_the_password_is_asked_for(self):
        hit = self.search(self.browse(), text="photo")
        for method in (
            self.copy.action_browse,
            hit.action_download,
            self.copy.action_compare,
        ):
            self.assertAsksForPassword(method)

    def test_nobody_makes_one_by_hand(self):
        with self.assertRaises(AccessError):
            self.env["backup.browse"].with_user(self.manager).create(
                {"copy_id": self.copy.id}
            )

    def test_a_token_of_yesterday_opens_nothing(self):
        hit = self.search(self.browse(), text="photo")
        with patch.object(backup_browse_file, "FETCH_SECONDS", -1):
            self.assertEqual(self.fetch(hit).status_code, 404)

    # === COMPARE === #

    def compare(self, *copies):
        copies = self.env["backup.copy"].union(*copies).with_user(self.manager)
        action = type(copies).action_compare.__wrapped__(copies)
        return (
            self.env["backup.compare"].with_user(self.manager).browse(action["res_id"])
        )

    def test_two_backups_are_compared(self):
        files = [FILES[0], ("new.txt", "res.partner", 9, b"new")]
        rows = {'"public"."res_partner"': 15, '"public"."account_move"': 0}
        newer = self.stored("db-2.zip", files, date="2026-10-13 02:00:00", rows=rows)
        found = self.compare(newer, self.copy)
        self.assertEqual((found.before_id, found.after_id), (self.copy, newer))
        self.assertEqual(
            found.line_ids.mapped(lambda line: (line.kind, line.name, line.difference)),
            [
                ("model", self.env["ir.model"]._get("res.partner").name, 3),
                ("addon", "base", 0),
                ("added", "new.txt", 3),
                ("removed", "photo.jpg", -len(PHOTO)),
            ],
        )
        self.assertEqual(found.line_ids[2].record, "res.partner,9")
        self.assertEqual((found.added_count, found.removed_bytes), (1, len(PHOTO)))
        self.assertFalse(found.trouble)
        self.assertEqual(found.model_line_ids.table, "res_partner")
        self.assertEqual((found.model_line_ids.added, found.rows_added), (3, 3))
        self.assertEqual(found.file_line_ids.mapped("kind"), ["added", "removed"])
        self.assertFalse(found.table_line_ids)

    def test_a_difference_of_numbers_is_not_called_like_what_came_and_went(self):
        found = self.env["backup.compare"].get_view(view_type="form")["arch"]
        arch = etree.fromstring(found)
        for name in ("added", "removed"):
            labels = [
                arch.xpath(f"//page[@name='{page}']//field[@name='{name}']/@string")
                for page in ("models", "tables", "files")
            ]
            self.assertEqual(labels[0], labels[1])
            self.assertNotEqual(labels[0], labels[2])

    def test_what_no_person_works_with_is_apart(self):
        rows = {**ROWS, '"public"."ir_cron"': 7, '"public"."a_b_rel"': 2}
        again = self.stored("db-2.zip", FILES, date="2026-10-13 02:00:00", rows=rows)
        found = self.compare(again, self.copy)
        self.assertEqual(found.table_line_ids.mapped("name"), ["a_b_rel", "ir_cron"])
        self.assertFalse(found.model_line_ids)

    def test_the_same_twice_has_no_difference(self):
        again = self.stored(
            "db-2.zip", FILES, date="2026-10-13 02:00:00", rows=ROWS, addons=ADDONS
        )
        found = self.compare(again, self.copy)
        self.assertFalse(found.line_ids or found.trouble)

    def test_what_cannot_be_compared_is_said_once(self):
        again = self.stored(
            "db-2.zip", FILES, date="2026-10-13 02:00:00", rows=ROWS, addons=ADDONS
        )
        for path in (self.root / "disk").glob("db-2.*"):
            path.unlink()
        found = self.compare(again, self.copy)
        self.assertEqual(found.trouble.count("db-2.zip"), 1)
        self.assertFalse(found.line_ids or found.table_count or found.added_count)

    def test_two_are_needed(self):
        with self.assertRaises(UserError):
            self.compare(self.copy)

    def test_names_of_files_can_be_anything(self):
        odd = [('a "quoted"\n\\name', None, None, b"odd")]
        copy = self.stored("db-3.zip", odd)
        with closing(self.fetch(self.search(self.browse(copy)))) as answer:
            self.assertEqual(answer.content, b"odd")
