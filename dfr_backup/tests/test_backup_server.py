"""One Odoo watches others by their health endpoints: real HTTP on loopback."""

import contextlib
import json
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

from odoo import fields
from odoo.exceptions import AccessError, ValidationError
from odoo.tests import RecordCapturer, new_test_user, tagged
from odoo.tools import config, html2plaintext

from ..engine.errors.outbound import AnswerTooLong, PrivateNotAllowed
from ..engine.errors.runs import SwitchedOff
from ..engine.errors.watching import (
    HealthOff,
    HostNotWatched,
    NotHealth,
    NotHealthAddress,
    NotPrintable,
    TokenRefused,
    WatchedLate,
    WatchedRefused,
    WatchingOff,
)
from ..engine.monitoring import watch
from ..models.mixins.backup_secret_mixin import MASK
from ..models.server import backup_server
from .audited import AuditCase
from .common import BackupCase

PATH = "/dfr_backup/health"
TOKEN = "S3CR3T-t0ken"
PLAN = {
    "plan": "Nightly",
    "status": "ok",
    "reason": "",
    "age_seconds": 7200,
    "size": 5 << 30,
}
GOOD = {
    "ok": True,
    "status": "ok",
    "database": "shop",
    "version": "19.0.1.2.0",
    "plans": [PLAN],
}
LATE = {
    "ok": False,
    "status": "overdue",
    "plans": [{**PLAN, "status": "overdue", "reason": "No\x00 run\u202e"}],
}


class Odoo(BaseHTTPRequestHandler):
    """Answers by what stands before the path: what its server has for it."""

    def do_GET(self):
        name = self.path.removesuffix(PATH).strip("/")
        self.server.heard.append((name, dict(self.headers)))
        answer = self.server.answers.get(name, GOOD)
        if answer is None:
            self.server.ending.wait(60)
            return
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 200
    daemon_threads = True


class WatchingMixin:
    def watch_from(self, text):
        options = {"dfr_backup_watch_hosts": text}
        self.startPatcher(patch.dict(config._file_options, options))

    def serve(self):
        self.far = Server(("127.0.0.1", 0), Odoo)
        self.far.heard, self.far.answers = [], {}
        self.far.ending = threading.Event()
        thread = threading.Thread(
            target=self.far.serve_forever, kwargs={"poll_interval": 0.01}
        )
        thread.start()
        self.addCleanup(self.far.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.far.shutdown)
        self.addCleanup(self.far.ending.set)
        self.base = f"http://127.0.0.1:{self.far.server_port}"
        self.watch_from("127.0.0.1:*")

    def watched(self, name="", answer="good", **values):
        self.far.answers[name] = GOOD if answer == "good" else answer
        url = f"{self.base}/{name}{PATH}" if name else self.base
        vals = {"name": name or "Far", "url": url, "token": TOKEN, **values}
        return self.env["backup.server"].create(vals)


@tagged("post_install", "-at_install")
class TestBackupServer(WatchingMixin, BackupCase):
    def setUp(self):
        super().setUp()
        self.serve()
        self.boss = new_test_user(
            self.env, "watcher", "base.group_system", email="watcher@example.com"
        )

    def ask_all(self):
        """Let the scheduled action ask; return the mails that it has made."""
        with (
            patch.object(self.env.cr, "commit", lambda: None),
            RecordCapturer(self.env["mail.mail"], []) as capture,
        ):
            self.env["backup.server"]._cron_watch()
        self.env.flush_all()
        return capture.records

    # === WHERE ODOO.CONF SAYS SO === #

    def test_without_a_list_nothing_is_watched(self):
        server = self.watched()
        menu = self.env.ref("dfr_backup.menu_server")
        hidden = self.env["ir.ui.menu"]._load_menus_blacklist
        self.assertNotIn(menu.id, hidden())
        self.watch_from("")
        self.assertIn(menu.id, hidden())
        with self.assertRefuses(WatchingOff):
            server.action_check()
        with self.assertRaises(ValidationError) as caught:
            self.watched("second")
        self.assertIsInstance(caught.exception.__cause__, WatchingOff)
        self.ask_all()
        self.assertFalse(self.far.heard)
        self.assertEqual(server.state, "never")

    def test_only_what_is_named_is_asked(self):
        for url, error in (
            ("https://odoo.example.com", HostNotWatched),
            ("ftp://127.0.0.1", NotHealthAddress),
            (f"{self.base}{PATH}?token=x", NotHealthAddress),
        ):
            with self.assertRaises(ValidationError) as caught:
                self.env["backup.server"].create({"name": "x", "url": url})
            self.assertIsInstance(caught.exception.__cause__, error)
        for name in ("token", "database"):
            with self.assertRaises(ValidationError) as caught:
                self.watched("x", **{name: "a\r\nX-Evil: b"})
            self.assertIsInstance(caught.exception.__cause__, NotPrintable)

    def test_private_addresses_that_a_pattern_names(self):
        private = {"dfr_backup_private_hosts": "none"}
        self.startPatcher(patch.dict(config._file_options, private))
        server = self.watched()
        self.watch_from("127.0.0.?:*")
        server.action_check()
        self.assertEqual(server.error_code, PrivateNotAllowed.code)
        self.watch_from("127.0.0.1:*")
        server.action_check()
        self.assertEqual(server.state, "good")

    def test_the_list_may_become_shorter(self):
        server = self.watched()
        self.watch_from("odoo.example.com")
        server.action_check()
        self.assertEqual(server.error_code, HostNotWatched.code)
        self.assertFalse(self.far.heard)

    # === WHAT IS SAID === #

    def test_what_a_server_says(self):
        server = self.watched(database="shop")
        self.assertEqual(server.url, f"{self.base}{PATH}")
        before = fields.Datetime.now()
        server.action_check()
        [(_name, headers)] = self.far.heard
        self.assertEqual(headers["Authorization"], f"Bearer {TOKEN}")
        self.assertEqual(headers["X-Odoo-Database"], "shop")
        self.assertEqual((server.state, server.failures), ("good", 0))
        self.assertEqual((server.version, server.size), ("19.0.1.2.0", 5 << 30))
        self.assertEqual(server.reported_database, "shop")
        self.assertGreaterEqual(server.answered_at, before)
        self.assertAlmostEqual(server.age_hours, 2, delta=0.1)
        self.assertFalse(server.situation or server.code)

    def test_what_this_addon_says_is_understood(self):
        """The real report, through the shape check of the watcher."""
        job = self.run_now()
        job.write({"date_start": fields.Datetime.now(), "state": "running"})
        self.finalize(job)
        self.record_copy(job)
        self.end(job)
        report = self.env["backup.monitor"]._health()
        server = self.watched("", report)
        server.action_check()
        self.assertIn(server.state, ("good", "warning", "failing"))
        self.assertEqual(server.reported_database, self.env.cr.dbname)
        self.assertEqual(server.size, job.archive_size)
        self.assertTrue(server.size and server.version and server.last_good)
        mismatch = {**self.env["backup.monitor"]._version_health(SwitchedOff())}
        self.far.answers[""] = (503, mismatch)
        server.action_check()
        self.assertEqual((server.state, server.alarm), ("failing", "stopped"))
        self.assertEqual(server.code, SwitchedOff.code)

    def test_answers_of_a_hostile_server(self):
        found = {
            "page": (b"<!DOCTYPE html><script>1</script>", NotHealth),
            "list": (b"[]", NotHealth),
            "types": ({**GOOD, "plans": {"a": 1}}, NotHealth),
            "number": ({**GOOD, "plans": [{**PLAN, "size": 10**40}]}, NotHealth),
            "deep": (b"[" * 500_000, NotHealth),
            "huge": (b" " * (2 << 20), AnswerTooLong),
            "refuses": ((401, b""), TokenRefused),
            "off": ((404, b""), HealthOff),
            "elsewhere": ((302, b""), WatchedRefused),
            "broken": ((502, b""), WatchedRefused),
        }
        servers = self.env["backup.server"]
        for name, (answer, _error) in found.items():
            servers += self.watched(name, answer)
        servers.action_check()
        for server in servers:
            with self.subTest(server.name):
                self.assertEqual(server.error_code, found[server.name][1].code)
                self.assertEqual((server.state, server.failures), ("warning", 1))
                self.assertNotIn(TOKEN, f"{server.error} {server.error_values}")
                self.assertTrue(server.situation)

    def test_texts_are_one_plain_line(self):
        server = self.watched("", LATE)
        server.action_check()
        self.assertEqual(server.situation, "Nightly: No run")

    # === WHO IS TOLD === #

    def test_overdue_is_told_once(self):
        people = {"alert_user_ids": [(6, 0, self.boss.ids)], "alert_emails": "a@b.lan"}
        server = self.watched("", **people)
        self.assertFalse(self.ask_all())
        self.far.answers[""] = (503, LATE)
        mails = self.ask_all()
        self.assertEqual((server.state, server.alarm), ("failing", "overdue"))
        self.assertEqual(
            set(mails.mapped("email_to")), {"watcher@example.com", "a@b.lan"}
        )
        text = html2plaintext(mails[0].body_html)
        for told in (server.name, "Nightly", "backup-servers"):
            self.assertIn(told, text)
        self.assertNotIn(TOKEN, mails[0].body_html)
        self.assertFalse(self.ask_all())
        self.far.answers[""] = GOOD
        self.assertEqual(len(self.ask_all()), 2)
        self.assertEqual((server.state, server.alarm), ("good", False))
        self.assertFalse(self.ask_all())

    def test_silence_is_told_once_when_it_lasts(self):
        server = self.watched("", (502, b""), patience=2)
        server.alert_user_ids = self.boss
        self.assertFalse(self.ask_all())
        self.assertEqual(server.state, "warning")
        self.assertEqual(len(self.ask_all()), 1)
        self.assertEqual((server.state, server.alarm), ("silent", "silent"))
        self.assertFalse(self.ask_all())
        self.far.answers[""] = GOOD
        self.assertEqual(len(self.ask_all()), 1)
        self.assertFalse(server.failures or server.situation)

    def test_a_mail_that_cannot_be_made_loses_no_answer(self):
        server = self.watched("", (503, LATE))
        with (
            patch.object(backup_server, "tell", side_effect=ValueError),
            self.assertLogs("odoo.addons.dfr_backup", "ERROR"),
        ):
            self.ask_all()
        self.assertEqual((server.state, server.alarm), ("failing", "overdue"))

    # === MANY === #

    def test_many_and_some_are_silent(self):
        self.startPatcher(patch.object(backup_server, "ANSWER_SECONDS", 3))
        silent = [self.watched(f"silent{n}", None) for n in range(40)]
        good = [self.watched(f"good{n}") for n in range(60)]
        begun = time.monotonic()
        self.ask_all()
        self.assertLess(time.monotonic() - begun, 60)
        self.assertEqual({server.state for server in good}, {"good"})
        codes = {server.error_code for server in silent}
        self.assertEqual(codes, {WatchedLate.code})
        self.assertEqual(len(self.far.heard), 100)

    def test_queries_do_not_grow_with_the_servers(self):
        self.watched("first")
        self.ask_all()  # fills the caches
        few = self.queries()
        for number in range(20):
            self.watched(f"more{number}")
        self.assertLessEqual(self.queries(), few + 2)

    def queries(self):
        self.env.flush_all()
        self.env.invalidate_all()
        before = self.env.cr.sql_log_count
        self.ask_all()
        return self.env.cr.sql_log_count - before

    def test_no_transaction_is_held_while_others_answer(self):
        self.watched()
        heard = []
        with patch.object(
            self.env.cr, "commit", lambda: heard.append(len(self.far.heard))
        ):
            self.env["backup.server"]._cron_watch()
        self.assertEqual(heard[0], 0)
        self.assertEqual(len(self.far.heard), 1)

    def test_who_has_waited_for_longest_comes_first(self):
        late, early = self.watched("late"), self.watched("early")
        now = fields.Datetime.now()
        late.sudo().asked_at = now
        early.sudo().asked_at = now - timedelta(hours=1)
        self.watched("new")
        with patch.object(watch, "AT_ONCE", 1):
            self.ask_all()
        asked = [name for name, _headers in self.far.heard]
        self.assertEqual(asked, ["new", "early", "late"])

    # === THE SCHEDULED ACTION === #

    def test_the_action_sleeps_while_there_is_nobody_to_ask(self):
        action = self.env.ref("dfr_backup.ir_cron_watch")
        self.env["backup.server"].search([]).unlink()
        self.assertFalse(action.active)
        server = self.watched()
        self.assertTrue(action.active)
        server.active = False
        self.assertFalse(action.active)
        server.active = True
        self.assertTrue(action.active)
        server.unlink()
        self.assertFalse(action.active)

    def test_a_copy_leaves_it_to_the_original(self):
        self.watched()
        identities = self.env.registry["backup.identity"]
        with patch.object(identities, "_objection", lambda self: SwitchedOff()):
            self.ask_all()
        with patch.dict(config._file_options, {"dfr_backup_enabled": "False"}):
            self.ask_all()
        self.assertFalse(self.far.heard)

    def test_a_neutralized_copy_watches_nobody(self):
        server = self.watched()
        self.env.flush_all()
        data = Path(__file__).resolve().parents[1] / "data/neutralize.sql"
        self.env.cr.execute(data.read_text())
        self.env.invalidate_all()
        self.assertFalse(server.active)
        self.assertFalse(server.sudo().sealed_secrets)
        self.env.cr.execute("DROP TABLE backup_server CASCADE")
        self.env.cr.execute(data.read_text())  # of a release without it

    # === SECRETS === #

    def test_the_token_stays_with_its_address(self):
        server = self.watched()
        server.action_check()
        self.env.invalidate_all()
        self.assertEqual(server.token, MASK)
        self.assertNotIn(TOKEN, str(server.sudo().sealed_secrets))
        for vals in ({"name": "y"}, {"url": f"{self.base}/"}, {"token": MASK}):
            server.write(vals)
            self.assertEqual(server._read_secret("token"), TOKEN)
            self.assertEqual(server.state, "good")
        for name, value in (
            ("url", f"{self.base}/other{PATH}"),
            ("database", "another"),
        ):
            server.write({name: value, "token": MASK})
            self.env.invalidate_all()
            self.assertFalse(server.token)
            self.assertEqual(server.state, "never")
            server.write({"token": TOKEN})
        server.write({"url": self.base, "token": "new"})
        self.assertEqual(server._read_secret("token"), "new")

    def test_nobody_writes_what_a_server_says(self):
        server = self.watched().with_user(self.boss)
        for name, value in (
            ("state", "good"),
            ("alarm", False),
            ("last_good", "2026-01-01"),
            ("error", "x"),
            ("version", "1.0"),
        ):
            with self.assertRaises(AccessError):
                server.write({name: value})


@tagged("post_install", "-at_install")
class TestAuditedServer(WatchingMixin, AuditCase):
    def test_changes_take_the_password(self):
        self.serve()
        server = self.watched()
        self.become(new_test_user(self.env, "chief", "base.group_system"))
        self.before = self.audit.search([])
        for values in (
            {"url": f"{self.base}/other{PATH}"},
            {"database": "another"},
            {"token": "another"},
            {"active": False},
        ):
            with self.subTest(values=values):
                self.enter_password(at=0)
                known = self.noted()
                self.assertAsked(self.call(server, "write", values))
                self.assertAsked(self.call_from_outside(server, "write", values))
                self.assertFalse(self.noted() - known)
                self.enter_password()
                self.assertTrue(self.call(server, "write", values)["result"])
                line = self.noted() - known
                action = "active" if "active" in values else "server"
                self.assertEqual(line.mapped("action"), [action])
                self.assertEqual(line.user_id, self.user)
                self.assertNotEqual(line.old_value, line.new_value)
                self.assertNotIn(TOKEN, f"{line.old_value} {line.new_value}")
        self.enter_password(at=0)
        self.assertAsked(self.call(server, "unlink"))
        self.assertTrue(server.exists())

    def test_a_new_server_is_noted(self):
        self.serve()
        server = self.watched()
        line = self.noted()
        self.assertEqual((line.action, line.res_id), ("server", server.id))
        self.assertIn(self.base, line.new_value)
        self.assertNotIn(TOKEN, line.new_value)
