"""What this server calls, and what never."""

import ipaddress
import socket

import pytest

from dfr_backup.engine import outbound
from dfr_backup.engine.errors.outbound import (
    AddressNeverCalled,
    AnswerTooLong,
    PrivateNotAllowed,
)
from dfr_backup.engine.outbound import OutboundRules, embedded

NEVER = [
    "169.254.169.254",
    "169.254.1.2",
    "0.0.0.0",  # noqa: S104
    "0",
    "0xa9fea9fe",
    "2852039166",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]
PRIVATE = ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.9", "100.64.0.1", "fd12::1"]
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
NOBODY = OutboundRules.from_text("none")


@pytest.mark.parametrize("host", NEVER)
@pytest.mark.parametrize("text", ["", "169.254.0.0/16, ::/0, 0.0.0.0/0"])
def test_never_whatever_the_operator_allows(host, text):
    with pytest.raises(AddressNeverCalled):
        OutboundRules.from_text(text).resolve(host, 80)


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_allowed_unless_odoo_conf_has_a_list(host):
    assert OutboundRules.from_text("").resolve(host, 80) == [host]
    for text in ("none", "minio.example.com, 172.16.0.0/12"):
        with pytest.raises(PrivateNotAllowed):
            OutboundRules.from_text(text).resolve(host, 80)


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_need_no_list(host):
    assert NOBODY.resolve(host, 443) == [host]


@pytest.mark.parametrize(
    "entry, host",
    [
        ("10.1.0.0/16", "10.1.2.3"),
        ("10.1.2.3", "::ffff:10.1.2.3"),
        ("localhost", "localhost"),
        ("Localhost.", "LOCALHOST"),
        ("fd12::/16", "fd12::1"),
    ],
)
def test_what_the_list_allows(entry, host):
    assert OutboundRules.from_text(f"other.lan,{entry}").resolve(host, 80)


def test_subdomains_of_a_listed_host_go_with_it(name_server):
    """S3 puts the bucket before the name of the endpoint."""
    name_server.answers = ["10.1.2.3"]
    rules = OutboundRules.from_text("minio.lan")
    assert rules.resolve("bucket.minio.lan", 9000) == ["10.1.2.3"]
    with pytest.raises(PrivateNotAllowed):
        rules.resolve("notminio.lan", 9000)


def test_addresses_that_may_not_be_called_are_left_out(name_server):
    """A name on the inside network often has a link-local address, too."""
    name_server.answers = ["fe80::1%lo", "10.1.2.3"]
    assert OutboundRules().resolve("nas.local", 80) == ["10.1.2.3"]


def test_a_name_is_resolved_once(name_server):
    """Who answers for a name may answer otherwise the next time."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    name_server.answers = ["127.0.0.1"]
    name_server.later = ["169.254.169.254"]

    def dial(address):
        return socket.create_connection((address, port), 5)

    with OutboundRules().connect("rebind.example", port, dial) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    listener.close()
    assert name_server.asked == ["rebind.example"]


def test_the_next_address_is_tried(name_server):
    name_server.answers = ["127.0.0.1", "127.0.0.2"]
    tried = []

    def dial(address):
        tried.append(address)
        if address == "127.0.0.1":
            raise ConnectionRefusedError
        return address

    assert OutboundRules().connect("two.example", 80, dial) == "127.0.0.2"
    assert tried == ["127.0.0.1", "127.0.0.2"]


def test_an_address_is_told_before_anything_is_sent():
    OutboundRules().check("https://127.0.0.1:9000")
    NOBODY.check("https://no-such-name.invalid/")  # a proxy may know it
    with pytest.raises(AddressNeverCalled):
        OutboundRules().check("http://[fd00:ec2::254]/latest")


def test_addresses_in_others():
    for text, inner in [
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"),
        ("64:ff9b:1::7f00:1", "127.0.0.1"),
        ("::1", "::1"),
        ("2001:db8::1", "2001:db8::1"),
    ]:
        assert str(embedded(ipaddress.ip_address(text))) == inner


def test_an_answer_has_an_end(monkeypatch):
    def endless():
        while True:
            yield bytes(1 << 20)

    with pytest.raises(AnswerTooLong):
        for _chunk in outbound._bounded(endless)():
            pass
    monkeypatch.setattr(outbound, "LONGEST_ANSWER", -1.0)
    with pytest.raises(AnswerTooLong):
        list(outbound._bounded(lambda: iter([b"slow"]))())


class NameServer:
    """Stands in for DNS: ``answers`` the first time, ``later`` after that."""

    def __init__(self, real):
        self.real, self.asked, self.answers, self.later = real, [], [], []

    def __call__(self, host, port, *args, **kwargs):
        try:
            ipaddress.ip_address(host)
            return self.real(host, port, *args, **kwargs)
        except ValueError:
            pass
        found = self.later if self.later and self.asked else self.answers
        self.asked.append(host)
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (kinds[ipaddress.ip_address(a).version], 1, 6, "", (a, port)) for a in found
        ]


@pytest.fixture
def name_server(monkeypatch):
    server = NameServer(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", server)
    return server
