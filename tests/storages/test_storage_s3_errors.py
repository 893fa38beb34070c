"""Every error of S3 says what is wrong and what to do, and never a secret."""

import pytest
from faulty_server import scripted_server
from s3_servers import SECRET_KEY, client, config, free_port, new_bucket

from dfr_backup.engine.errors import s3
from dfr_backup.engine.storages.base import UNKNOWN, TransferLimits
from dfr_backup.engine.storages.s3.config import S3Config
from dfr_backup.engine.storages.s3.storage import S3Storage

LIMITS = TransferLimits(timeout=5)
TOKEN = "session-token-of-the-test"
REGION = "<Region>eu-west-3</Region>"
CASES = [
    # code, status, more of the answer, error
    ("InvalidAccessKeyId", 403, {}, s3.UnknownAccessKey),
    ("SignatureDoesNotMatch", 403, {}, s3.WrongSecretKey),
    ("RequestTimeTooSkewed", 403, {}, s3.ClockSkewed),
    ("NoSuchBucket", 404, {}, s3.NoBucket),
    ("AccessDenied", 403, {}, s3.AccessDenied),
    ("ExpiredToken", 400, {}, s3.TokenExpired),
    ("QuotaExceeded", 403, {}, s3.BucketFull),
    ("XMinioStorageFull", 507, {}, s3.BucketFull),
    ("UserSuspended", 403, {}, s3.AccountSuspended),
    ("InvalidBucketName", 400, {}, s3.BucketNameRefused),
    ("KMS.DisabledException", 400, {}, s3.EncryptionKeyUnusable),
    ("SlowDown", 503, {}, s3.ServerBusy),
    ("InternalError", 500, {}, s3.ServerBusy),
    ("TooManyRequests", 429, {}, s3.ServerBusy),
    ("RequestTimeout", 400, {}, s3.ServerBusy),
    ("NotImplemented", 501, {}, s3.RequestRefused),
    ("SomethingNew", 400, {}, s3.RequestRefused),
]
REGIONS = [
    ("AuthorizationHeaderMalformed", 400, {"extra": REGION}, "eu-west-3"),
    (
        "PermanentRedirect",
        301,
        {"headers": {"x-amz-bucket-region": "eu-north-1"}},
        "eu-north-1",
    ),
]


def assert_clear(error):
    assert error.hint
    told = f"{error.message} {error.hint} {error.log}"
    assert SECRET_KEY not in told
    assert TOKEN not in told


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server


@pytest.mark.parametrize("code, status, more, kind", CASES)
def test_refusals(server, code, status, more, kind):
    storage = S3Storage(config(server.url, "bucket", session_token=TOKEN), LIMITS)
    server.act("GET", code=code, status=status, message=f"{SECRET_KEY} {TOKEN}", **more)
    with pytest.raises(kind) as caught:
        list(storage.list())
    assert_clear(caught.value)


@pytest.mark.parametrize("code, status, more, region", REGIONS)
def test_the_right_region_is_named(server, code, status, more, region):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    server.act("GET", code=code, status=status, **more)
    with pytest.raises(s3.WrongRegion) as caught:
        list(storage.list())
    assert caught.value.hint.values["region"] == region


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
    with pytest.raises(s3.AccessDenied) as caught:
        attempts[operation]()
    assert caught.value.hint.values["right"] == right


def test_denied_is_not_missing(server):
    """Without the right to list, S3 denies what is not there."""
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    server.act("HEAD", code="AccessDenied", status=403)
    assert storage.peek("a", 10) is UNKNOWN


@pytest.mark.parametrize(
    "code, status, said",
    [
        ("AccessDenied", 403, "Access Denied because object protected by object lock."),
        ("InvalidRequest", 400, "Object is WORM protected and cannot be overwritten"),
    ],
)
def test_refused_delete_of_a_protected_object(server, code, status, said):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    storage.put_bytes(b"x", "a")
    server.act("DELETE", code=code, status=status, message=said)
    with pytest.raises(s3.ObjectProtected) as caught:
        storage.delete("a")
    assert caught.value.message.values["reason"] == said
    assert not storage.probe().can_delete


@pytest.mark.parametrize(
    "code, status, unknown",
    [
        ("NoSuchLifecycleConfiguration", 404, False),
        ("AccessDenied", 403, True),
        ("NotImplemented", 501, True),
        ("MethodNotAllowed", 405, True),
        ("InternalError", 500, True),
    ],
)
def test_only_a_server_that_says_so_has_no_rules(server, code, status, unknown):
    storage = S3Storage(config(server.url, "bucket"), LIMITS)
    server.act("GET .*lifecycle", code=code, status=status)
    found = storage.probe()
    assert (found.rules_unknown, found.takes_away) == (unknown, False)


def test_the_name_of_a_bucket_decides_nothing(server):
    """Only what the server says tells that an object is protected."""
    storage = S3Storage(config(server.url, "protected-worm"), LIMITS)
    storage.put_bytes(b"x", "a")
    server.act("DELETE", code="SomethingNew", status=400, message="protected-worm")
    with pytest.raises(s3.RequestRefused):
        storage.delete("a")
    with pytest.raises(s3.RequestRefused):
        storage.probe()


@pytest.mark.parametrize(
    "said",
    [
        "not authorized to perform s3:DeleteObject on arn:aws:s3:::worm-x/a",
        "User arn:aws:iam::1:user/retention may not do this",
        'denied by the policy "legal hold"',
        "no right in the bucket worm-x",
    ],
)
def test_names_in_the_words_of_a_server_decide_nothing(server, said):
    storage = S3Storage(config(server.url, "worm-x"), LIMITS)
    server.act("DELETE", code="AccessDenied", status=403, message=said)
    with pytest.raises(s3.AccessDenied):
        storage.delete("a")


@pytest.mark.parametrize(
    "values, kind",
    [
        ({"access_key": "UNKNOWNKEY0000000001"}, s3.UnknownAccessKey),
        ({"secret_key": "wrong"}, s3.WrongSecretKey),
        ({"bucket": "no-such-bucket"}, s3.NoBucket),
    ],
)
def test_real_refusals(rgw_server, values, kind):
    bucket = new_bucket(rgw_server.url)
    storage = S3Storage(config(rgw_server.url, **{"bucket": bucket, **values}), LIMITS)
    attempts = (storage.probe, storage.check, lambda: storage.put_bytes(b"x", "a"))
    for attempt in attempts:
        with pytest.raises(kind) as caught:
            attempt()
        assert_clear(caught.value)


def test_expired_credentials_of_a_role_are_retryable(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server.act("GET", code="ExpiredToken", status=400)
    with pytest.raises(s3.RoleExpired):
        list(S3Storage(S3Config("bucket", endpoint=server.url), LIMITS).list())


def test_no_credentials():
    storage = S3Storage(S3Config("bucket", endpoint="http://127.0.0.1:1"), LIMITS)
    with pytest.raises(s3.NoCredentials) as caught:
        storage.probe()
    assert caught.value.hint


def test_refused_connection():
    storage = S3Storage(config(f"http://127.0.0.1:{free_port()}", "bucket"), LIMITS)
    with pytest.raises(s3.ConnectionRefused):
        storage.check()


def test_unknown_host():
    storage = S3Storage(config("http://s3.invalid", "bucket"), LIMITS)
    with pytest.raises(s3.S3HostNotFound) as caught:
        storage.check()
    assert caught.value.message.values["host"] == "http://s3.invalid"


def test_certificate_that_is_not_trusted(rgw_server):
    storage = S3Storage(config(rgw_server.secure_url, "bucket"), LIMITS)
    with pytest.raises(s3.CertificateNotTrusted) as caught:
        storage.check()
    assert "signed" in caught.value.message.values["reason"]  # OpenSSL's words


def test_certificate_of_another_host(rgw_server):
    """The same server under a name that its certificate does not have."""
    url = rgw_server.secure_url.replace("127.0.0.1", "127.1")
    storage = S3Storage(config(url, "bucket", rgw_server.ca), LIMITS)
    with pytest.raises(s3.CertificateNotTrusted) as caught:
        storage.check()
    assert caught.value.hint.template == s3.CertificateNotTrusted.remedy_name


def test_server_without_tls(rgw_server):
    storage = S3Storage(
        config(rgw_server.url.replace("http:", "https:"), "bucket"), LIMITS
    )
    with pytest.raises(s3.NoTls):
        storage.check()


def test_missing_ca_bundle(rgw_server):
    storage = S3Storage(
        config(rgw_server.secure_url, "bucket", "/no/such/file"), LIMITS
    )
    with pytest.raises(s3.NoCaBundle) as caught:
        storage.check()
    assert caught.value.message.values["path"] == "/no/such/file"


@pytest.mark.parametrize(
    "status, kind, remedy",
    [
        (404, s3.NotS3, s3.NotS3.remedy),
        (502, s3.ServerBusy, s3.ServerBusy.remedy_page),
    ],
)
def test_something_else_than_s3(server, status, kind, remedy):
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n"
    )
    page = head + "<html><body/>"
    server.act("GET", raw=page.encode())
    with pytest.raises(kind) as caught:
        list(S3Storage(config(server.url, "bucket"), LIMITS).list())
    assert caught.value.hint.template == remedy


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
    with pytest.raises(s3.RequestRefused) as caught:
        storage.put_bytes(b"x", "a")
    assert caught.value.message.values["operation"] == "PutObject"
    assert not storage._link._plain


def test_missing_boto3(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(s3.Boto3Missing) as caught:
        S3Storage(config("http://127.0.0.1:1", "bucket"), LIMITS).check()
    assert caught.value.hint


def test_nothing_secret_in_a_link(rgw_server):
    storage = S3Storage(config(rgw_server.url, "bucket"), LIMITS)
    assert SECRET_KEY not in storage.download_url("a", "a", 60)
    assert client(rgw_server.url)  # the link needs no request at all
