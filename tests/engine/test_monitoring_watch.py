"""Other servers are asked: real HTTP on loopback, good and bad."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dfr_backup.engine.errors.outbound import (
    AddressNeverCalled,
    AnswerTooLong,
    PrivateNotAllowed,
)
from dfr_backup.engine.errors.watching import (
    HealthOff,
    HostNotWatched,
    NotHealth,
    NotHealthAddress,
    NotPrintable,
    TokenRefused,
    WatchedLate,
    WatchedRefused,
    WatchedUnreachable,
    WatchingOff,
)
from dfr_backup.engine.monitoring import watch
from dfr_backup.engine.monitoring.health import Health
from dfr_backup.engine.monitoring.watch import (
    PATH,
    Target,
    Watcher,
    WatchRules,
    check_header,
    health_address,
)
from dfr_backup.engine.outbound import OutboundRules

ANY = WatchRules.from_text("*:*")
REPORT = {"ok": True, "status": "ok", "plans": []}
TOKEN = "s3cr3t"


class Odoo(BaseHTTPRequestHandler):
    """Answers as its server says: a status, or the name of a method."""

    def do_GET(self):
        self.server.heard.append((self.path, dict(self.headers)))
        does = self.server.does
        if isinstance(does, int):
            self.answer(does, json.dumps(REPORT).encode())
        else:
            with contextlib.suppress(OSError):
                getattr(self, does)()

    def answer(self, status, body):
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/elsewhere")
        self.send_header("Set-Cookie", "session_id=x")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self):
        self.answer(200, b"<!DOCTYPE html><html></html>")

    def slow(self):
        with self.server.lock:
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        time.sleep(0.02)
        with self.server.lock:
            self.server.now -= 1
        self.answer(200, json.dumps(REPORT).encode())

    def silent(self):
        self.server.ending.wait(60)

    def drip(self, text=b"HTTP/1.1 200 OK\r\n"):
        """Send a byte now and then, for ever."""
        self.wfile.write(text)
        while not self.server.ending.wait(0.05):
            self.wfile.write(b"x")

    def drip_body(self):
        self.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")

    def endless(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not self.server.ending.is_set():
            self.wfile.write(b" " * 65536)

    def bomb(self):
        """Compressed, though nobody has asked for it."""
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b" + bytes(1000))

    def rude(self):
        self.wfile.write(b"\x00\x01\x02 not HTTP\r\n\r\n")

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 200
    daemon_threads = True


@contextlib.contextmanager
def serving(does=200, tls=None):
    server = Server(("127.0.0.1", 0), Odoo)
    server.heard, server.does, server.ending = [], does, threading.Event()
    server.lock, server.now, server.most = threading.Lock(), 0, 0
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    server.url = f"{scheme}://127.0.0.1:{server.server_port}{PATH}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}
    )
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url, rules=ANY, outbound=None, each=5.0, **target):
    watcher = Watcher(rules, outbound or OutboundRules(), each)
    (answer,) = watcher.ask_all([Target(url, token=TOKEN, **target)])
    return answer


def test_a_server_is_asked_with_token_and_database():
    with serving() as server:
        assert ask(server.url, database="shop") == Health(ok=True, status="ok")
        ask(server.url)
    (path, headers), (_path, bare) = server.heard
    assert path == PATH
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["X-Odoo-Database"] == "shop"
    assert "X-Odoo-Database" not in bare
    assert "Cookie" not in bare, "Odoo refuses a session beside the header"


def test_503_is_an_answer():
    with serving(503) as server:
        assert isinstance(ask(server.url), Health)


@pytest.mark.parametrize(
    "does, error",
    [
        (401, TokenRefused),
        (403, WatchedRefused),
        (404, HealthOff),
        (302, WatchedRefused),
        (502, WatchedRefused),
        ("page", NotHealth),
        ("bomb", NotHealth),
        ("endless", AnswerTooLong),
        ("rude", WatchedUnreachable),
    ],
)
def test_other_answers(does, error):
    with serving(does) as server:
        answer = ask(server.url)
    assert type(answer) is error
    assert len(server.heard) == 1, "no redirect is followed"
    assert TOKEN not in f"{answer.in_full} {answer.log}"


@pytest.mark.parametrize("does", ["silent", "drip", "drip_body"])
def test_nobody_keeps_it_longer_than_its_time(does):
    with serving(does) as server:
        begun = time.monotonic()
        answer = ask(server.url, each=0.5)
        assert time.monotonic() - begun < 10  # one that is not ended goes on for ever
    assert type(answer) is WatchedLate


def test_a_handshake_that_does_not_end():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        answer = ask(f"https://127.0.0.1:{port}{PATH}", each=0.5)
    assert type(answer) is WatchedLate


def test_nobody_listens():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        answer = ask(f"http://127.0.0.1:{port}{PATH}")
    assert type(answer) is WatchedUnreachable


@pytest.fixture
def certificate(tmp_path):
    files = [tmp_path / "key.pem", tmp_path / "cert.pem"]
    subject = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-keyout", files[0], "-out", files[1], "-days", "2"]
    command = ["openssl", "req", "-x509", *keys, *out, *subject]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    return context, files[1]


def test_certificates_are_checked(certificate, monkeypatch):
    context, authority = certificate
    with serving(tls=context) as server:
        answer = ask(server.url)
        assert type(answer) is WatchedUnreachable
        assert server.heard == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert isinstance(ask(server.url), Health)
        other_name = server.url.replace("127.0.0.1", "localhost")
        assert type(ask(other_name)) is WatchedUnreachable
        assert len(server.heard) == 1


# === WHICH === #


@pytest.mark.parametrize(
    "text, url, may",
    [
        ("odoo.example.com", "https://odoo.example.com", True),
        ("odoo.example.com", "http://odoo.example.com", True),
        ("Odoo.Example.com.", "https://ODOO.example.COM", True),
        ("odoo.example.com", "https://odoo.example.com:8069", False),
        ("odoo.example.com", "https://x.odoo.example.com", False),
        ("odoo.example.com:8069", "http://odoo.example.com:8069", True),
        ("odoo.example.com:8069", "http://odoo.example.com", False),
        ("odoo.example.com:*", "http://odoo.example.com:5432", True),
        ("*.example.com", "https://a.b.example.com", True),
        ("*.example.com", "https://example.com", False),
        ("*.example.com", "https://example.com.evil.org", False),
        ("a.lan, b.lan:81", "http://b.lan:81", True),
        ("10.0.0.?", "http://10.0.0.7", True),
        ("[fd00::7]:8069", "http://[fd00::7]:8069", True),
        ("fd00::7", "http://[fd00::7]", True),
        ("fd00::7", "http://[fd00::8]", False),
    ],
)
def test_which_servers_odoo_conf_names(text, url, may):
    rules = WatchRules.from_text(text)
    if may:
        rules.check(health_address(url))
    else:
        with pytest.raises(HostNotWatched) as caught:
            rules.check(health_address(url))
        # what the remedy says to add is enough
        added = dict(caught.value.hint.values)["host"]
        WatchRules.from_text(str(added)).check(health_address(url))


@pytest.mark.parametrize("text", ["", " , "])
def test_without_a_list_nobody_is_asked(text):
    rules = WatchRules.from_text(text)
    assert not rules
    with serving() as server:
        assert type(ask(server.url, rules=rules)) is WatchingOff
    assert server.heard == []


def test_private_addresses_are_those_that_are_named():
    none = OutboundRules.from_text("none")
    with serving() as server:
        port = server.server_port
        assert type(ask(server.url, ANY, none)) is PrivateNotAllowed
        named = WatchRules.from_text(f"127.0.0.1:{port}")
        assert isinstance(ask(server.url, named, none), Health)
    assert len(server.heard) == 1


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0"])
def test_what_is_never_called(host):
    named = WatchRules.from_text(f"{host}, *:*")
    answer = ask(f"http://{host}:80{PATH}", named)
    assert type(answer) is AddressNeverCalled


@pytest.mark.parametrize(
    "typed, complete",
    [
        ("https://a.lan", f"https://a.lan{PATH}"),
        (" HTTPS://A.lan/ ", f"https://a.lan{PATH}"),
        (f"http://a.lan:8069{PATH}/", f"http://a.lan:8069{PATH}"),
        (f"https://a.lan/odoo{PATH}", f"https://a.lan/odoo{PATH}"),
    ],
)
def test_addresses(typed, complete):
    assert health_address(typed) == complete


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "a.lan",
        "ftp://a.lan",
        "file:///etc/passwd",
        "https://",
        "https://a.lan:0",
        "https://a.lan:x",
        "https://[::1",
        "https://u:p@a.lan",
        f"https://a.lan{PATH}?token=x",
        f"https://a.lan{PATH}#x",
        "https://a.lan/web/database/manager",
        "https://a.lan\\@b.lan",
        "https://a.lan\r\nX: y",
        "https://ä.lan",
    ],
)
def test_what_is_no_address(typed):
    with pytest.raises(NotHealthAddress):
        health_address(typed)


@pytest.mark.parametrize("text", ["", "a b", "a\r\nX: y", "é", "a\0"])
def test_what_no_header_carries(text):
    with pytest.raises(NotPrintable):
        check_header(text)
    check_header("aZ09-_~!")


def test_a_token_is_shown_by_nobody():
    assert TOKEN not in repr(Target("https://a.lan", token=TOKEN))


# === MANY === #


def test_a_few_at_once_and_each_gets_its_answer():
    with serving() as good, serving("silent") as bad, serving(404) as off:
        servers = [good, off, bad, good] * 4
        begun = time.monotonic()
        watcher = Watcher(ANY, OutboundRules(), each=3)
        answers = watcher.ask_all([Target(s.url, token=TOKEN) for s in servers])
        assert time.monotonic() - begun < 40
    kinds = [Health, HealthOff, WatchedLate, Health] * 4
    assert [type(answer) for answer in answers] == kinds


def test_the_whole_has_an_end():
    """Those that there was no time for are not said to be late."""
    with serving("silent") as bad:
        watcher = Watcher(ANY, OutboundRules(), each=0.6, total=0.9)
        answers = watcher.ask_all([Target(bad.url)] * (3 * watch.AT_ONCE))
    late = [type(answer) is WatchedLate for answer in answers]
    assert late == sorted(late, reverse=True)
    assert watch.AT_ONCE <= sum(late) < len(answers)
    assert answers[-1] is None


def test_there_is_time_for_a_hundred_that_are_silent():
    """Were each as slow as it may be."""
    with serving("silent") as bad:
        answers = Watcher(ANY, OutboundRules(), each=1).ask_all([Target(bad.url)] * 100)
        assert len(bad.heard) == 100
    assert {type(answer) for answer in answers} == {WatchedLate}
    assert -(-100 // watch.AT_ONCE) * watch.EACH_SECONDS < watch.TOTAL_SECONDS


def test_never_more_than_a_few_at_once():
    with serving("slow") as server:
        watcher = Watcher(ANY, OutboundRules())
        answers = watcher.ask_all([Target(server.url)] * 50)
    assert [type(answer) for answer in answers] == [Health] * 50
    assert 1 < server.most <= watch.AT_ONCE
