"""What other sites make of our addresses, and what a browser makes of our answers."""

from odoo.tests import HttpCase, new_test_user, tagged

from ..models.copy.downloading import SCOPE as DOWNLOAD_SCOPE
from ..models.grants import grant, remember_opened
from ..models.plan.recovery_kit import KIT_SCOPE
from ..wizards.backup_browse_file import FETCH_SCOPE
from ..wizards.backup_import_wizard import UPLOAD_SCOPE, UPLOADED
from .archives import store_archive
from .common import BackupCase

OURS = "odoo.addons.dfr_backup.controllers"
ODD = "a\"b';\r\nSet-Cookie: stolen=1\n/../ü😀%0d%0a\\.html"
ZIP = b"PK\x03\x04" + bytes(60)
# how another site lets a browser send something: its kinds need no consent
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


@tagged("post_install", "-at_install")
class TestRequests(BackupCase, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.other = new_test_user(cls.env, "other", "dfr_backup.group_manager")
        cls.viewer = new_test_user(cls.env, "looker", "dfr_backup.group_viewer")

    def setUp(self):
        super().setUp()
        self.log_in()
        self.authenticate("boss", "boss")

    # === OTHER SITES === #

    def test_what_changes_something_wants_a_token(self):
        """Each address only reads, or is one that no other site can know."""
        for rule in self.env["ir.http"].routing_map().iter_rules():
            if not rule.endpoint.func.__module__.startswith(OURS):
                continue
            routing = rule.endpoint.routing
            with self.subTest(rule.rule):
                self.assertTrue(routing["methods"])
                reads = {*routing["methods"]} <= {"GET", "HEAD"}
                if reads and routing.get("readonly"):
                    continue
                hidden = "<string:token>" in rule.rule
                self.assertTrue(hidden or "token" in self.taken_by(rule))

    def taken_by(self, rule):
        function = rule.endpoint.func
        code = getattr(function, "original_endpoint", function).__code__
        return code.co_varnames[: code.co_argcount]

    def test_a_kit_that_another_site_asks_for_is_not_noted(self):
        path = f"/dfr_backup/recovery_kit/{self.plan.id}"
        theirs = grant(self.plan.with_user(self.other), KIT_SCOPE, 60)
        download = grant(self.plan.with_user(self.manager), DOWNLOAD_SCOPE, 60)
        for token in ("", "?token=", f"?token={theirs}", f"?token={download}"):
            answer = self.url_open(path + token, headers={"Origin": "https://evil.com"})
            self.assertEqual(answer.status_code, 200)
            self.assertFalse(self.plan.kit_downloaded_at, token)
        button = self.plan.with_user(self.manager).action_recovery_kit()
        self.assertEqual(self.url_open(button["url"]).status_code, 200)
        self.assertTrue(self.plan.kit_downloaded_at)

    def test_an_upload_that_another_site_sends_is_not_taken(self):
        wizard = self.upload_of(self.manager)
        theirs = grant(wizard.with_user(self.other), UPLOAD_SCOPE, 60)
        expired = grant(wizard.with_user(self.manager), UPLOAD_SCOPE, -1)
        for token in ("", "0" * 80, theirs, expired):
            for kind in FORMS:
                headers = {"Content-Type": kind, "Origin": "https://evil.com"}
                address = f"/dfr_backup/upload/{wizard.id}/{token}?offset=0"
                answer = self.url_open(address, data=ZIP, headers=headers)
                self.assertIn(answer.status_code, (303, 404), (token, kind))
                self.assertFalse((wizard._folder() / UPLOADED).exists())
        answer = self.url_open(f"{wizard._upload_path()}?offset=0", data=ZIP)
        self.assertEqual(answer.json(), {"received": len(ZIP)})

    def upload_of(self, user):
        wizard = self.env["backup.import.wizard"].with_user(user).sudo()
        wizard = wizard.create({"storage_id": self.storage.id}).with_user(user)
        remember_opened(wizard)
        wizard.start_upload("db.zip", len(ZIP), 0)
        self.env.flush_all()
        return wizard

    # === ANSWERS === #

    def test_what_is_sent_is_saved_and_never_shown_nor_kept(self):
        for name, address in self.downloads().items():
            with self.subTest(name):
                headers = self.url_open(address).headers
                self.assertTrue(
                    headers["Content-Disposition"].startswith("attachment;")
                )
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertIn("no-store", headers["Cache-Control"])
                kind = headers["Content-Type"]
                ours = name == "recovery kit" and kind.startswith("text/html")
                self.assertTrue(ours or kind == "application/octet-stream", kind)

    def test_no_name_reaches_beyond_its_header(self):
        for name, address in self.downloads(ODD).items():
            with self.subTest(name):
                # of a copy nothing is opened: its name is one that no storage has
                method = "HEAD" if name == "archive" else "GET"
                answer = self.url_open(address, method=method)
                self.assertEqual(answer.status_code, 200)
                self.assertNotIn("stolen", answer.headers.get("Set-Cookie", ""))
                said = answer.headers["Content-Disposition"]
                self.assertTrue(said.isascii())
                self.assertNotRegex(said.partition("''")[2], r"[\"'/\\;\r\n]")

    def test_what_monitors_get_is_not_kept(self):
        for monitor in ("health", "metrics"):
            token = self.env["backup.monitor"].sudo()._new_token(monitor)
            headers = self.url_open(f"/dfr_backup/{monitor}?token={token}").headers
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("no-store", headers["Cache-Control"])

    def downloads(self, odd=""):
        """Return an address of each kind that sends a file, called ``odd`` if given."""
        files = [(odd or "page.html", "res.partner", 3, b"<script>alert(1)</script>")]
        sealed = store_archive(self.root / "disk", "db-1.zip", files)
        copy = (
            self.env["backup.copy"]
            .create(
                {
                    "storage_id": self.storage.id,
                    "key": "db-1.zip",
                    "date": "2026-10-12 02:00:00",
                    "state": "verified",
                    "size": sealed.size,
                    "sha256": sealed.sha256,
                    "contents": "database, filestore",
                }
            )
            .with_user(self.manager)
        )
        shown = type(copy).action_browse.__wrapped__(copy)["res_id"]
        browser = self.env["backup.browse"].with_user(self.manager).browse(shown)
        browser.action_search()
        hit = browser.hit_ids
        named = copy.sudo().copy({"key": odd}) if odd else copy
        self.plan.name = odd or "Nightly"
        self.env.flush_all()
        return {
            "archive": f"/dfr_backup/download/{named.id}/"
            + grant(named.with_user(self.manager), DOWNLOAD_SCOPE, 60),
            "attachment": f"/dfr_backup/attachment/{hit.id}/"
            + grant(hit, FETCH_SCOPE, 60),
            "recovery kit": f"/dfr_backup/recovery_kit/{self.plan.id}",
        }
