"""Storages lead to allowed addresses only: real clients, and servers that listen."""

import pytest
from faulty_server import scripted_server
from s3_servers import config
from sftp_servers import config_of

from dfr_backup.engine.errors.outbound import (
    AddressNeverCalled,
    AnswerTooLong,
    PrivateNotAllowed,
)
from dfr_backup.engine.errors.s3 import S3HostNotFound, WrongRegion
from dfr_backup.engine.outbound import OutboundRules
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.s3.storage import S3Storage
from dfr_backup.engine.storages.sftp.link import fetch_host_key
from dfr_backup.engine.storages.sftp.storage import SftpStorage

pytest_plugins = ["sftp_fixtures"]
NOBODY = TransferLimits(timeout=5, outbound=OutboundRules.from_text("none"))
LISTED = TransferLimits(timeout=5, outbound=OutboundRules.from_text("localhost"))


@pytest.fixture
def s3():
    with scripted_server() as server:
        yield server


def test_s3(s3):
    storage = S3Storage(config(s3.url, "bucket"), NOBODY)
    for call in (lambda: list(storage.list()), lambda: storage.put_bytes(b"1", "a")):
        with pytest.raises(PrivateNotAllowed):
            call()
    assert not s3.requests


def test_s3_connections_are_checked_themselves(s3, monkeypatch):
    """Without the early check: a name may lead elsewhere at the second look."""
    monkeypatch.setattr(OutboundRules, "check", lambda *_args: None)
    storage = S3Storage(config(s3.url, "bucket"), NOBODY)
    with pytest.raises(PrivateNotAllowed):
        storage.put_bytes(b"1", "a")
    assert not s3.requests


def test_s3_by_a_listed_name(s3):
    url = s3.url.replace("127.0.0.1", "localhost")
    S3Storage(config(url, "bucket"), LISTED).put_bytes(b"1", "a")
    assert s3.objects


def test_s3_of_the_provider():
    storage = S3Storage(
        config("http://169.254.169.254", "latest"), TransferLimits(timeout=5)
    )
    with pytest.raises(AddressNeverCalled):
        list(storage.list())


def test_s3_name_that_does_not_exist():
    storage = S3Storage(config("http://no-such-host.invalid", "bucket"), NOBODY)
    with pytest.raises(S3HostNotFound):
        list(storage.list())


def test_s3_follows_no_redirect(s3):
    with scripted_server() as other:
        headers = {"Location": f"{other.url}/bucket/a"}
        s3.act("GET|PUT", code="TemporaryRedirect", status=307, headers=headers)
        storage = S3Storage(config(s3.url, "bucket"), TransferLimits(timeout=5))
        for call in (lambda: list(storage.list()), lambda: storage.put_bytes(b"", "a")):
            with pytest.raises(WrongRegion):
                call()
        assert s3.requests
        assert not other.requests


def test_s3_answer_that_does_not_end(s3):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<a>"
    s3.act("GET", raw=head + bytes(20 << 20))
    storage = S3Storage(config(s3.url, "bucket"), TransferLimits(timeout=5))
    with pytest.raises(AnswerTooLong):
        list(storage.list())


def test_sftp(server):
    storage = SftpStorage(config_of(server), NOBODY)
    with pytest.raises(PrivateNotAllowed):
        storage.check()
    with pytest.raises(PrivateNotAllowed):
        fetch_host_key("127.0.0.1", server.port, 5, NOBODY.outbound)
    with pytest.raises(AddressNeverCalled):
        fetch_host_key("169.254.169.254", 22, 5)
    SftpStorage(config_of(server, host="localhost"), LISTED).check()
