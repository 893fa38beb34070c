"""One complete zip of an incremental backup, sent to a browser."""

import io
import zipfile

from odoo.tests import HttpCase, new_test_user, tagged

from .archives import store_fname
from .incremental import IncrementalCase

ONE, TWO = b"one" * 1000, b"two" * 100_000


@tagged("post_install", "-at_install")
class TestDownloadComplete(IncrementalCase, HttpCase):
    def setUp(self):
        super().setUp()
        new_test_user(self.env, "boss", "dfr_backup.group_manager", password="boss")
        self.authenticate("boss", "boss")

    def url_of(self, copy):
        copy = copy.with_user(self.env.ref("base.user_admin").browse(self.session.uid))
        return type(copy).action_download_complete.__wrapped__(copy)["url"]

    def test_zip_has_everything(self):
        copy = self.backup(ONE, TWO)
        url = self.url_of(copy)
        answer = self.url_open(url)
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(int(answer.headers["Content-Length"]), len(answer.content))
        self.assertIn(copy.key, answer.headers["Content-Disposition"])
        with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
            self.assertIsNone(zipped.testzip())
            for content in (ONE, TWO):
                found = zipped.read(f"filestore/{store_fname(content)}")
                self.assertEqual(found, content)
        head = self.url_open(url, method="HEAD")
        self.assertEqual(head.headers["Content-Length"], str(len(answer.content)))

    def test_lost_pack_is_said(self):
        copy = self.backup(ONE)
        url = self.url_of(copy)
        (pack,) = self.packs()
        pack.unlink()
        self.assertEqual(self.url_open(url).status_code, 409)

    def test_token_of_another_is_not_taken(self):
        copy = self.backup(ONE)
        url = self.url_of(copy)
        new_test_user(self.env, "other", "dfr_backup.group_manager", password="other")
        self.authenticate("other", "other")
        self.assertEqual(self.url_open(url).status_code, 404)
