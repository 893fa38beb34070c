"""Every error of S3 says what is wrong and what to do, and never a secret."""

import socket

import pytest
from faulty_server import scripted_server
from s3_servers import SECRET_KEY, client, config, free_port, new_bucket

from dfr_backup.engine.errors import PermanentError, RetryableError
from dfr_backup.engine.storages.base import Limits
from dfr_backup.engine.storages.s3 import S3Storage
from dfr_backup.engine.storages.s3_config import S3Config

LIMITS = Limits(timeout=5)
TOKEN = "session-token-of-the-test"
REGION = "<Region>eu-west-3</Region>"
CASES = [
    # code, status, more of the answer, error, in the message, in the hint
    (
        "InvalidAccessKeyId",
        403,
        {},
        PermanentError,
        "does not know this access key",
        "revoked",
    ),
    ("SignatureDoesNotMatch", 403, {}, PermanentError, "secret key is wrong", "again"),
    ("RequestTimeTooSkewed", 403, {}, PermanentError, "clock", "chrony"),
    ("NoSuchBucket", 404, {}, PermanentError, "no bucket", "create it"),
    ("AccessDenied", 403, {}, PermanentError, "may not list", "s3:ListBucket"),
    (
        "AuthorizationHeaderMalformed",
        400,
        {"extra": REGION},
        PermanentError,
        "in the region eu-west-3",
        "Set the region to eu-west-3",
    ),
    (
        "PermanentRedirect",
        301,
        {"headers": {"x-amz-bucket-region": "eu-north-1"}},
        PermanentError,
        "in the region eu-north-1",
        "Set the region to eu-north-1",
    ),
    ("ExpiredToken", 400, {}, PermanentError, "expired", "do not expire"),
    ("QuotaExceeded", 403, {}, PermanentError, "full", "Free some space"),
    ("XMinioStorageFull", 507, {}, PermanentError, "full", "Free some space"),
    ("UserSuspended", 403, {}, PermanentError, "suspended", "bill"),
    ("InvalidBucketName", 400, {}, PermanentError, "name of the bucket", "3 to 63"),
    ("KMS.DisabledException", 400, {}, PermanentError, "encryption key", "KMS"),
    ("SlowDown", 503, {}, RetryableError, "cannot do it now", "tried again"),
    ("InternalError", 500, {}, RetryableError, "cannot do it now", "tried again"),
    ("TooManyRequests", 429, {}, RetryableError, "cannot do it now", "tried again"),
    ("RequestTimeout", 400, {}, RetryableError, "cannot do it now", "tried again"),
    ("NotImplemented", 501, {}, PermanentError, "refused ListObjectsV2", "settings"),
    ("SomethingNew", 400, {}, PermanentError, "refused ListObjectsV2", "settings"),
]


def assert_clear(caught, message, hint):
    error = caught.value
    assert message in error.message
    assert hint in error.hint
    told = f"{error.message} {error.hint} {error.log}"
    assert SECRET_KEY not in told
    assert TOKEN not in told


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server


@pytest.mark.parametrize("code, status, more, kind, message, hint", CASES)
def test_refusals(server, code, status, more, kind, message, hint):
    storage = S3Storage(config(server.url, "bucket", session_token=TOKEN), LIMITS)
    server.act("GET", code=code, status=status, message=f"{SECRET_KEY} {TOKEN}", **more)
    with pytest.raises(kind) as caught:
        list(storage.list())
    assert_clear(caught, "", hint)
    assert message in caught.value.message


@pytest.mark.parametrize(
    "operation, right",
    [("PUT", "s3:PutObject"), ("HEAD", "s3:GetObject"), ("DELETE", "s3:DeleteObject")],
)
def test_refused_rights_are_named(server, operation, right):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    attempts = {
        "PUT": lambda: storage.put_bytes(b"x", "a"),
        "HEAD": lambda: storage.stat("a"),
        "DELETE": lambda: storage.delete("a"),
    }
    server.act(operation, code="AccessDenied", status=403)
    with pytest.raises(PermanentError) as caught:
        attempts[operation]()
    assert right in caught.value.hint


def test_refused_delete_of_a_protected_object(server):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    storage.put_bytes(b"x", "a")
    said = "Access Denied because object protected by object lock."
    server.act("DELETE", code="AccessDenied", status=403, message=said)
    with pytest.raises(PermanentError, match="is protected"):
        storage.delete("a")
    assert not storage.probe().can_delete


@pytest.mark.parametrize(
    "values, message",
    [
        ({"access_key": "UNKNOWNKEY0000000001"}, "does not know this access key"),
        ({"secret_key": "wrong"}, "secret key is wrong"),
        ({"bucket": "no-such-bucket"}, "no bucket"),
    ],
)
def test_real_refusals(rgw_server, values, message):
    bucket = new_bucket(rgw_server.url)
    storage = S3Storage(config(rgw_server.url, **{"bucket": bucket, **values}), LIMITS)
    attempts = (storage.probe, storage.check, lambda: storage.put_bytes(b"x", "a"))
    for attempt in attempts:
        with pytest.raises(PermanentError) as caught:
            attempt()
        assert_clear(caught, message, "")
        assert caught.value.hint


def test_expired_credentials_of_a_role_are_retryable(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server.act("GET", code="ExpiredToken", status=400)
    with pytest.raises(RetryableError, match="expired"):
        list(S3Storage(S3Config("bucket", endpoint=server.url), LIMITS).list())


def test_no_credentials():
    storage = S3Storage(S3Config("bucket", endpoint="http://127.0.0.1:1"), LIMITS)
    with pytest.raises(PermanentError, match="no credentials") as caught:
        storage.probe()
    assert "role" in caught.value.hint


def test_refused_connection():
    storage = S3Storage(config(f"http://127.0.0.1:{free_port()}", "bucket"), LIMITS)
    with pytest.raises(RetryableError, match="refused the connection"):
        storage.check()


def test_unknown_host():
    storage = S3Storage(config("http://s3.invalid", "bucket"), LIMITS)
    with pytest.raises(RetryableError, match="cannot be resolved") as caught:
        storage.check()
    assert "DNS" in caught.value.hint


def test_certificate_that_is_not_trusted(rgw_server):
    storage = S3Storage(config(rgw_server.secure_url, "bucket"), LIMITS)
    with pytest.raises(PermanentError, match="not trusted: self.signed") as caught:
        storage.check()
    assert "CA bundle" in caught.value.hint


def test_certificate_of_another_host(rgw_server):
    port = rgw_server.secure_url.rpartition(":")[2]
    host = socket.gethostbyname("127.0.0.2")
    storage = S3Storage(
        config(f"https://{host}:{port}", "bucket", rgw_server.ca), LIMITS
    )
    with pytest.raises((PermanentError, RetryableError)):
        storage.check()


def test_server_without_tls(rgw_server):
    storage = S3Storage(
        config(rgw_server.url.replace("http:", "https:"), "bucket"), LIMITS
    )
    with pytest.raises(PermanentError, match="does not speak TLS"):
        storage.check()


def test_missing_ca_bundle(rgw_server):
    storage = S3Storage(
        config(rgw_server.secure_url, "bucket", "/no/such/file"), LIMITS
    )
    with pytest.raises(PermanentError, match="/no/such/file"):
        storage.check()


@pytest.mark.parametrize(
    "status, kind, message",
    [
        (404, PermanentError, "not an S3 server"),
        (502, RetryableError, "cannot do it now"),
    ],
)
def test_something_else_than_s3(server, status, kind, message):
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n"
    )
    page = head + "<html><body/>"
    server.act("GET", raw=page.encode())
    with pytest.raises(kind, match=message) as caught:
        list(S3Storage(config(server.url, "bucket"), LIMITS).list())
    assert "S3 interface" in caught.value.hint


def test_checksums_that_a_server_does_not_know(server):
    """Over plain http, too, a server may refuse the header."""
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    server.act("PUT", code="NotImplemented", status=501, times=1)
    storage.put_bytes(b"x", "a")
    assert storage._link._plain
    assert server.count("PUT") == 2


def test_checksums_are_not_blamed_for_everything(server):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    server.act("PUT", code="NotImplemented", status=501, times=2)
    with pytest.raises(PermanentError, match="refused PutObject"):
        storage.put_bytes(b"x", "a")
    assert not storage._link._plain


def test_missing_boto3(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(PermanentError, match="boto3") as caught:
        S3Storage(config("http://127.0.0.1:1", "bucket"), LIMITS).check()
    assert "pip install boto3" in caught.value.hint


def test_nothing_secret_in_a_link(rgw_server):
    storage = S3Storage(config(rgw_server.url, "bucket"), LIMITS)
    assert SECRET_KEY not in storage.download_url("a", "a", 60)
    assert client(rgw_server.url)  # the link needs no request at all
