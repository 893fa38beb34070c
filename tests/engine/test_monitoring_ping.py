"""Pings to a real HTTP server on loopback, good and bad."""

import contextlib
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from dfr_backup.engine.errors.monitors import (
    MonitorBusy,
    MonitorLate,
    MonitorRefused,
    MonitorUnreachable,
    NotAMonitor,
)
from dfr_backup.engine.errors.outbound import AddressNeverCalled, PrivateNotAllowed
from dfr_backup.engine.monitoring import ping
from dfr_backup.engine.outbound import OutboundRules

SUMMARY = {"uuid": "0b2f", "plan": "Nuit d’été", "error": "", "seconds": 1.5}


class Monitor(BaseHTTPRequestHandler):
    """Answers with what its server has in stock, then with 200."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.heard.append((self.command, self.path, body))
        status = self.server.answers.pop(0) if self.server.answers else 200
        time.sleep(self.server.delay)
        with contextlib.suppress(BrokenPipeError):
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

    do_GET = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture
def monitor(monkeypatch):
    monkeypatch.setattr(ping, "RETRY_PAUSE", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Monitor)
    server.heard, server.answers, server.delay = [], [], 0
    server.url = f"http://127.0.0.1:{server.server_port}/s3cr3t"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # and nobody listens
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    "event, path",
    [
        ("started", "/s3cr3t/start"),
        ("success", "/s3cr3t"),
        ("partial", "/s3cr3t/fail"),
        ("failure", "/s3cr3t/fail"),
        ("cancelled", "/s3cr3t/log"),
    ],
)
def test_healthchecks(monitor, event, path):
    assert ping.send_all([ping.healthchecks(monitor.url, event, SUMMARY)], 5) == []
    ((method, target, body),) = monitor.heard
    assert (method, target) == ("POST", f"{path}?rid=0b2f")
    assert json.loads(body) == SUMMARY


def test_healthchecks_keeps_what_the_address_asks_for(monitor):
    made = ping.healthchecks(f"{monitor.url}/?create=1", "failure", SUMMARY)
    assert urlsplit(made.url).path == "/s3cr3t/fail"
    assert parse_qs(urlsplit(made.url).query) == {"create": ["1"], "rid": ["0b2f"]}


def test_uptime_kuma(monitor):
    pasted = f"{monitor.url}?status=up&msg=OK&ping="
    failed = {**SUMMARY, "error": "The disk is full & more"}
    made = [
        ping.uptime_kuma(pasted, "success", SUMMARY),
        ping.uptime_kuma(pasted, "failure", failed),
    ]
    for one in made:
        assert ping.send_all([one], 5) == []
    told = [
        parse_qs(urlsplit(target).query) for _method, target, _body in monitor.heard
    ]
    assert told == [
        {"status": ["up"], "msg": ["OK"], "ping": ["1500"]},
        {"status": ["down"], "msg": ["The disk is full & more"], "ping": ["1500"]},
    ]
    assert {method for method, _target, _body in monitor.heard} == {"GET"}
    assert ping.uptime_kuma(pasted, "started", SUMMARY) is None


def test_webhook(monitor):
    assert ping.send_all([ping.webhook(monitor.url, "partial", SUMMARY)], 5) == []
    assert json.loads(monitor.heard[0][2]) == {"event": "partial", **SUMMARY}


def test_a_bad_minute_of_the_service_is_outlasted(monitor):
    monitor.answers = [503, 429]
    assert ping.send_all([ping.webhook(monitor.url, "success", SUMMARY)], 5) == []
    assert len(monitor.heard) == 3


def test_attempts_are_bounded(monitor):
    monitor.answers = [500] * 9
    (error,) = ping.send_all([ping.webhook(monitor.url, "success", SUMMARY)], 5)
    assert isinstance(error, MonitorBusy)
    assert dict(error.message.values) == {
        "service": "Webhook",
        "host": "127.0.0.1",
        "status": 500,
    }
    assert len(monitor.heard) == 3


def test_what_stays_wrong_is_not_repeated(monitor):
    monitor.answers = [404]
    (error,) = ping.send_all([ping.webhook(monitor.url, "success", SUMMARY)], 5)
    assert isinstance(error, MonitorRefused)
    assert error.message.values["status"] == 404
    assert error.hint
    assert len(monitor.heard) == 1


def test_redirects_are_not_followed(monitor):
    monitor.answers = [302]
    assert ping.send_all([ping.webhook(monitor.url, "success", SUMMARY)], 5)
    assert [target for _method, target, _body in monitor.heard] == ["/s3cr3t"]


def test_nobody_waits_longer_than_agreed(monitor):
    monitor.delay = 120
    begin = time.monotonic()
    pings = [ping.webhook(f"{monitor.url}/{n}", "success", SUMMARY) for n in range(3)]
    errors = ping.send_all(pings, 0.3)
    assert time.monotonic() - begin < 45
    assert [type(error) for error in errors] == [MonitorLate] * 3


def test_no_error_tells_the_address(closed_port):
    """The path and the user's part of an address are passwords."""
    url = f"http://user:p4ss@127.0.0.1:{closed_port}/s3cr3t"
    made = ping.webhook(url, "success", SUMMARY)
    with pytest.raises(MonitorUnreachable) as caught:
        ping.send(made, OutboundRules())
    texts = [str(caught.value.in_full), caught.value.log, repr(made)]
    assert caught.value.__cause__ is None
    assert not any("s3cr3t" in text or "p4ss" in text for text in texts)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hc-ping.com/x",
        "file:///etc/passwd",
        "ftp://host/x",
        "https://",
        "http://[::1",
        "http://h:x/",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(NotAMonitor):
        ping.check_url(url)


@pytest.mark.parametrize(
    "url", ["https://hc-ping.com/x", "http://[::1]:3001/api/push/x?a=b"]
)
def test_what_is_one(url):
    ping.check_url(url)


def test_an_address_that_may_not_be_called_hears_nothing(monitor):
    made = [ping.webhook(monitor.url, "success", SUMMARY)]
    nobody, somebody = map(OutboundRules.from_text, ("none", "127.0.0.0/8"))
    (error,) = ping.send_all(made, 5, outbound=nobody)
    assert isinstance(error, PrivateNotAllowed)
    assert not monitor.heard
    assert "s3cr3t" not in f"{error.in_full} {error.log}"
    assert ping.send_all(made, 5, outbound=somebody) == []
    (error,) = ping.send_all([ping.webhook("http://169.254.1.1/", "", SUMMARY)], 5)
    assert isinstance(error, AddressNeverCalled)


def test_a_monitor_answers_at_length(monitor, monkeypatch):
    """Nobody reads it: neither a long answer nor one that never ends costs anything."""
    monkeypatch.setattr(Monitor, "do_POST", _endless_answer)
    begin = time.monotonic()
    assert ping.send_all([ping.webhook(monitor.url, "success", SUMMARY)], 120) == []
    assert time.monotonic() - begin < 45


def _endless_answer(self):
    self.rfile.read(int(self.headers.get("Content-Length") or 0))
    self.send_response(200)
    self.end_headers()
    with contextlib.suppress(OSError):
        while True:
            self.wfile.write(bytes(1 << 16))


def test_the_name_of_a_monitor_is_checked_and_its_address_is_called(
    monitor, monkeypatch
):
    """The connection guard by itself, where the name is another at the second look."""
    monkeypatch.setattr(OutboundRules, "check", lambda *_args: None)
    made = [ping.webhook(monitor.url, "success", SUMMARY)]
    (error,) = ping.send_all(made, 5, outbound=OutboundRules.from_text("none"))
    assert isinstance(error, PrivateNotAllowed)
    assert not monitor.heard
