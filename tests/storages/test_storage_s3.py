"""S3 storages against Ceph's gateway and rclone's server, with and without TLS."""

import datetime
import hashlib
import json
import os
import time
import urllib.request
from pathlib import Path

import pytest
import s3_servers
from s3_servers import OTHER_KEY, client, config, new_bucket
from storage_contract import StorageContract

from dfr_backup.engine.catalog.newest import found_below
from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.errors import s3 as s3_errors
from dfr_backup.engine.errors.server import FoldersNotListed
from dfr_backup.engine.errors.storage import ContentDiffers
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.probe import CANNOT_LIST
from dfr_backup.engine.storages.s3 import probe as s3
from dfr_backup.engine.storages.s3 import upload as s3_upload
from dfr_backup.engine.storages.s3.config import PRESETS, S3Config
from dfr_backup.engine.storages.s3.policy import smallest_policy
from dfr_backup.engine.storages.s3.storage import S3Storage
from dfr_backup.engine.storages.s3.upload import MOST_PARTS, part_size, parts_of

MIB = 1 << 20
LIMITS = TransferLimits(timeout=20)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(s3_upload, "PART", 5 * MIB)  # the least that S3 allows


def counted(storage):
    """Return the list of operations that a storage asks its server for from now on."""
    operations = []
    call = storage._link.call

    def counting(operation, **params):
        operations.append(operation)
        return call(operation, **params)

    storage._link.call = counting
    return operations


class TestRgw(StorageContract):
    @pytest.fixture
    def storage(self, rgw_server):
        url = rgw_server.url
        return S3Storage(config(url, new_bucket(url), prefix="bäck ups/odoo"), LIMITS)


class TestRgwSecure(StorageContract):
    @pytest.fixture
    def storage(self, rgw_server):
        bucket = new_bucket(rgw_server.url)
        return S3Storage(config(rgw_server.secure_url, bucket, rgw_server.ca), LIMITS)

    def test_checksums_fall_back_once(self, storage, source):
        """This release refuses what boto3 sends with each part over TLS."""
        storage.put(source, "a.zip", Progress())
        assert storage._link._plain
        assert self.content(storage, "a.zip") == source.read_bytes()


class TestRclone(StorageContract):
    @pytest.fixture
    def storage(self, rclone_server):
        url = rclone_server.url
        return S3Storage(config(url, new_bucket(url), prefix="bäck ups/odoo"), LIMITS)


class TestRcloneSecure(StorageContract):
    @pytest.fixture
    def storage(self, rclone_secure_server):
        url, ca = rclone_secure_server.url, rclone_secure_server.ca
        return S3Storage(config(url, new_bucket(url, ca), ca), LIMITS)


@pytest.fixture
def bucket(rgw_server):
    return new_bucket(rgw_server.url)


@pytest.fixture
def storage(rgw_server, bucket):
    return S3Storage(config(rgw_server.url, bucket, prefix="odoo"), LIMITS)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.zip"
    path.write_bytes(os.urandom(17 * MIB))  # four parts
    return path


# -- parts


@pytest.mark.parametrize(
    "size", [0, 1, 5 * MIB, 17 * MIB, 79 << 30, 600 << 30, 5 << 40]
)
def test_parts_cover_the_object(size):
    parts = parts_of(size)
    assert len(parts) <= MOST_PARTS
    assert sum(part.size for part in parts) == size
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert all(part.offset == (part.number - 1) * part_size(size) for part in parts)


def test_parts_are_large_enough(monkeypatch):
    monkeypatch.undo()
    assert part_size(1) >= 8 * MIB


# -- lists


def test_list_is_of_this_folder_only(rgw_server, bucket, storage):
    raw = client(rgw_server.url)
    for key in ("a", "odoo", "odoo2/b", "odoo/", "odoo/c", "odoo/deeper/d", "odoo-e"):
        raw.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert [found.key for found in storage.list()] == ["c"]
    everything = S3Storage(config(rgw_server.url, bucket), LIMITS)
    assert [found.key for found in everything.list()] == ["a", "odoo", "odoo-e"]


def test_long_list(rclone_server):
    bucket = new_bucket(rclone_server.url)
    folder = rclone_server.top / "data" / bucket
    keys = [f"{number:05}" for number in range(10_001)]
    for key in keys:
        (folder / key).touch()
    storage = S3Storage(config(rclone_server.url, bucket), LIMITS)
    assert [found.key for found in storage.list()] == keys


# -- uploads


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1])
def test_sizes(storage, tmp_path, size):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    progress = Progress()
    storage.put(source, "a", progress)
    with storage.open("a") as stream:
        assert stream.read() == source.read_bytes()
    assert progress.done == progress.total == size


def test_what_is_stored_is_not_sent_again(storage, source):
    storage.put(source, "a.zip", Progress())
    operations = counted(storage)
    progress = Progress()
    storage.put(source, "a.zip", progress)
    assert operations == ["head_object"]
    assert progress.done == source.stat().st_size


def test_what_only_has_the_same_size_is_replaced(storage, source):
    storage.put(source, "a.zip", Progress())
    source.write_bytes(os.urandom(17 * MIB))
    storage.put(source, "a.zip", Progress())
    with storage.open("a.zip") as stream:
        assert stream.read() == source.read_bytes()


def foreign_upload(raw, bucket, key, *parts):
    upload = raw.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number, part in enumerate(parts, 1):
        raw.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part
        )
    return upload


def open_uploads(raw, bucket):
    return raw.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def test_fitting_parts_are_used_and_foreign_ones_are_not(
    rgw_server, bucket, storage, source
):
    raw, content = client(rgw_server.url), source.read_bytes()
    flipped = content[: 5 * MIB - 1] + bytes([content[5 * MIB - 1] ^ 1])
    foreign_upload(
        raw, bucket, "odoo/a.zip", content[: 5 * MIB], content[5 * MIB : 10 * MIB]
    )
    foreign_upload(raw, bucket, "odoo/a.zip", flipped)
    foreign_upload(raw, bucket, "odoo/a.zip", content[: 6 * MIB])
    foreign_upload(raw, bucket, "odoo/a.zip")
    other = foreign_upload(raw, bucket, "odoo/a.zip2", content[: 5 * MIB])
    operations = counted(storage)
    storage.put(source, "a.zip", Progress())
    assert operations.count("upload_part") == 2
    with storage.open("a.zip") as stream:
        assert stream.read() == content
    assert [one["UploadId"] for one in open_uploads(raw, bucket)] == [other]


def test_discard_partial(rgw_server, bucket, storage):
    raw = client(rgw_server.url)
    foreign_upload(raw, bucket, "odoo/a.zip", b"x" * 5 * MIB)
    foreign_upload(raw, bucket, "odoo/a.zip")
    other = foreign_upload(raw, bucket, "odoo/a.zip2")
    storage.discard_partial("a.zip")
    storage.discard_partial("b.zip")
    assert [one["UploadId"] for one in open_uploads(raw, bucket)] == [other]


def test_bandwidth(rgw_server, bucket, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(6 * MIB))
    storage = S3Storage(config(rgw_server.url, bucket), TransferLimits(4 * MIB, 20))
    started = time.monotonic()
    storage.put(source, "a", Progress())
    sent = time.monotonic()
    storage.verify(
        "a", 6 * MIB, hashlib.sha256(source.read_bytes()).hexdigest(), Progress()
    )
    assert sent - started > 1.4
    assert time.monotonic() - sent > 1.4


# -- reading


def test_few_requests_for_much(storage, tmp_path, monkeypatch):
    """One for 16 MiB in each direction, and a few for each object."""
    monkeypatch.setattr(s3_upload, "PART", 16 * MIB)
    path, size = tmp_path / "large.zip", 96 * MIB
    path.write_bytes(os.urandom(size))
    operations = counted(storage)
    storage.put(path, "large.zip", Progress())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    storage.verify("large.zip", size, digest, Progress())
    assert len(operations) <= 10 + 2 * size // (16 * MIB)


def test_reader_seeks(storage, source):
    content = source.read_bytes()
    storage.put(source, "a.zip", Progress())
    with storage.open("a.zip", 3) as stream:
        assert stream.read(10) == content[3:13]
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == content[-5:]
        stream.seek(9 * MIB)
        assert stream.read(2 * MIB) == content[9 * MIB : 11 * MIB]
        assert stream.tell() == 11 * MIB
    with storage.open("a.zip", len(content)) as stream:
        assert stream.read() == b""


def test_object_that_changes_while_it_is_read(storage, source):
    storage.put(source, "a.zip", Progress())
    with storage.open("a.zip") as stream:
        stream.read(1)
        storage.put_bytes(b"another", "a.zip")
        with pytest.raises(s3_errors.ObjectChanged):
            stream.read()


def test_download_url(storage):
    storage.put_bytes(b"content", "a b.zip")
    url = storage.download_url("a b.zip", 'Bäckup "1".zip', 60)
    assert s3_servers.SECRET_KEY not in url
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == b"content"
        disposition = answer.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="B_ckup _1_.zip"')
    assert "filename*=UTF-8''B%C3%A4ckup%20%221%22.zip" in disposition


def test_download_url_is_given_for_what_checksums_prove(rgw_server, bucket, source):
    storage = S3Storage(config(rgw_server.url, bucket, verify="checksum"), LIMITS)
    storage.put(source, "a", Progress())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert storage.download_url("a", "a", 60, digest)
    assert storage.download_url("a", "a", 60, "0" * 64) is None
    them = client(rgw_server.url)
    claims = them.head_object(Bucket=bucket, Key="a")["Metadata"]
    other = os.urandom(source.stat().st_size)
    them.put_object(Bucket=bucket, Key="a", Body=other, Metadata=claims)
    assert storage.download_url("a", "a", 60, digest) is None
    reading = S3Storage(config(rgw_server.url, bucket, verify="read"), LIMITS)
    assert reading.download_url("a", "a", 60, digest)


def test_location(storage, bucket):
    assert storage.location("a.zip") == f"s3://{bucket}/odoo/a.zip"


# -- verify


@pytest.mark.parametrize("size", [1000, 17 * MIB])
def test_verify_by_checksum_reads_nothing(rgw_server, bucket, tmp_path, size):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage = S3Storage(config(rgw_server.url, bucket, verify="checksum"), LIMITS)
    storage.put(source, "a", Progress())
    operations = counted(storage)
    progress = Progress()
    storage.verify("a", size, digest, progress)
    assert operations == ["head_object"]
    assert progress.done == size
    with pytest.raises(ContentDiffers):
        storage.verify("a", size, "0" * 64, Progress())


def test_verify_by_checksum_does_not_believe_metadata(rgw_server, bucket):
    good, bad = os.urandom(1000), os.urandom(1000)
    digest, md5 = (
        hashlib.sha256(good).hexdigest(),
        hashlib.md5(good, usedforsecurity=False).hexdigest(),
    )
    claims = {"dfr-sha256": digest, "dfr-etag": md5}
    client(rgw_server.url).put_object(Bucket=bucket, Key="a", Body=bad, Metadata=claims)
    storage = S3Storage(config(rgw_server.url, bucket, verify="checksum"), LIMITS)
    with pytest.raises(ContentDiffers):
        storage.verify("a", 1000, digest, Progress())


def test_verify_by_checksum_reads_back_where_it_must(rclone_server, source):
    """rclone gives an object in parts another ETag than S3 does."""
    url = rclone_server.url
    storage = S3Storage(config(url, new_bucket(url), verify="checksum"), LIMITS)
    storage.put(source, "a", Progress())
    operations = counted(storage)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage.verify("a", source.stat().st_size, digest, Progress())
    assert "get_object" in operations


def test_only_amazon_is_trusted_by_itself():
    assert S3Config("bucket").trusts_checksums
    assert not S3Config("bucket", endpoint="https://s3.example.com").trusts_checksums
    assert not S3Config("bucket", verify="read").trusts_checksums


# -- rights, quota, locks


def restricted(rgw_server, *allowed):
    """Return a storage of a user who has only the rights that are named.

    The others are denied in so many words: whoever writes an object may else read it.
    """
    url = rgw_server.url
    bucket = new_bucket(url)
    statements = [_statement(bucket, "Allow", allowed)]
    if set(ALL) - set(allowed):
        statements.append(_statement(bucket, "Deny", set(ALL) - set(allowed)))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client(url).put_bucket_policy(Bucket=bucket, Policy=policy)
    return S3Storage(config(url, bucket, access_key=OTHER_KEY), LIMITS)


def _statement(bucket, effect, actions):
    return {
        "Effect": effect,
        "Principal": {"AWS": ["arn:aws:iam:::user/other"]},
        "Action": [f"s3:{action}" for action in actions],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }


ALL = ("PutObject", "GetObject", "ListBucket", "DeleteObject")


@pytest.mark.parametrize("missing", ["PutObject", "GetObject"])
def test_probe_names_the_missing_right(rgw_server, missing):
    storage = restricted(rgw_server, *(action for action in ALL if action != missing))
    with pytest.raises(s3_errors.AccessDenied) as caught:
        storage.probe()
    assert caught.value.hint.values["right"] == f"s3:{missing}"


def test_probe_without_the_right_to_list(rgw_server):
    storage = restricted(rgw_server, "PutObject", "GetObject", "DeleteObject")
    found = storage.probe()
    assert (found.can_list, found.can_delete) == (False, True)
    assert CANNOT_LIST in {note.template for note in found.notes}
    assert not storage.may_list()
    with pytest.raises(s3_errors.AccessDenied):
        list(storage.list())


def test_storage_that_fails_is_not_one_that_may_not_be_listed(rgw_server):
    storage = S3Storage(config(rgw_server.url, "no-such-bucket"), LIMITS)
    with pytest.raises(s3_errors.NoBucket):
        storage.may_list()


@pytest.mark.parametrize("server", ["rgw", "moto"])
def test_bucket_without_rules_is_known_to_have_none(request, server):
    url = request.getfixturevalue(f"{server}_server").url
    storage = S3Storage(config(url, new_bucket(url)), LIMITS)
    found = storage.probe()
    assert (found.rules_unknown, found.takes_away) == (False, False)
    assert storage.may_list()


def test_rules_that_may_not_be_read_are_unknown(rgw_server):
    storage = restricted(rgw_server, *ALL)
    found = storage.probe()
    assert (found.rules_unknown, found.takes_away) == (True, False)
    assert s3.RULES_UNKNOWN in {note.template for note in found.notes}


def documented(heading):
    """Return the first JSON document of docs/providers.rst below a heading."""
    page = Path(__file__).parents[2].joinpath("docs/providers.rst").read_text()
    text = page.partition(f"\n{heading}\n-")[2]
    return json.JSONDecoder().raw_decode(text[text.index("{") :])[0]


def test_policy_of_the_documentation_is_enough(rgw_server, source):
    """Whatever it does not name is denied in so many words."""
    url = rgw_server.url
    bucket = new_bucket(url)
    text = json.dumps(documented("The smallest policy")).replace("BUCKET", bucket)
    policy = json.loads(text)
    named = [right for rule in policy["Statement"] for right in rule["Action"]]
    everything = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    denied = {"Effect": "Deny", "NotAction": named, "Resource": everything}
    policy["Statement"].append(denied)
    for rule in policy["Statement"]:
        rule["Principal"] = {"AWS": ["arn:aws:iam:::user/other"]}
    client(url).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    values = config(url, bucket, access_key=OTHER_KEY, prefix="odoo")
    storage = S3Storage(values, LIMITS)
    assert storage.probe().notes == ()  # it may delete, read rules, list open uploads
    storage.put(source, "a.zip", Progress())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage.verify("a.zip", source.stat().st_size, digest, Progress())
    assert [found.key for found in storage.list()] == ["a.zip"]
    storage.discard_partial("a.zip")
    storage.delete("a.zip")
    assert list(storage.list()) == []


def test_policy_of_the_form_is_that_of_the_documentation():
    made = smallest_policy(S3Config("BUCKET", prefix="odoo"))
    assert made == documented("The smallest policy")


def rights_of(**values):
    statements = smallest_policy(S3Config("bucket", **values))["Statement"]
    return {right for rule in statements for right in rule["Action"]}


def test_policy_names_what_a_lock_or_a_key_needs():
    assert "s3:PutObjectRetention" not in rights_of()
    assert "s3:PutObjectRetention" in rights_of(lock_mode="GOVERNANCE", lock_days=1)
    key = "arn:aws:kms:eu-west-1:1:key/2"
    assert "kms:Decrypt" in rights_of(encryption="aws:kms", kms_key=key)
    whole = smallest_policy(S3Config("bucket"))["Statement"]
    assert not any("Condition" in rule for rule in whole)


def test_lifecycle_rules_of_the_documentation_are_accepted(rgw_server):
    """They take no backup away, and old versions do not pile up."""
    rules = documented("Lifecycle rules")
    url, bucket = rgw_server.url, new_bucket(rgw_server.url)
    client(url).put_bucket_versioning(
        Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    storage = S3Storage(config(url, bucket, prefix="odoo"), LIMITS)
    assert [note.template for note in storage.probe().notes] == [s3.KEEPS_VERSIONS]
    client(url).put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration=rules
    )
    found = storage.probe()
    assert (found.takes_away, found.expires_after, found.notes) == (False, None, ())
    elsewhere = S3Storage(config(url, bucket, prefix="other"), LIMITS)
    assert s3.KEEPS_VERSIONS in {note.template for note in elsewhere.probe().notes}


def test_probe_notices_a_default_retention(rgw_server):
    url = rgw_server.url
    bucket = new_bucket(url, ObjectLockEnabledForBucket=True)
    storage = S3Storage(config(url, bucket), LIMITS)
    found = storage.probe()
    assert not found.locks_by_default
    assert s3.LOCKS_BY_DEFAULT not in {one.template for one in found.notes}
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client(url).put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    found = storage.probe()
    assert (found.can_delete, found.locks_by_default) == (False, True)
    told = {one.template for one in found.notes}
    assert s3.LOCKS_BY_DEFAULT in told
    assert s3.MAY_NOT_DELETE not in told


def test_default_retention_shows_by_what_becomes_of_the_probe(rgw_server):
    """Without the right to ask the bucket for it."""
    url = rgw_server.url
    bucket = new_bucket(url, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    client(url).put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
    )
    rights = (*ALL, "GetObjectRetention")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            _statement(bucket, "Allow", rights),
            _statement(bucket, "Deny", ["GetBucketObjectLockConfiguration"]),
        ],
    }
    client(url).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    storage = S3Storage(config(url, bucket, access_key=OTHER_KEY), LIMITS)
    found = storage.probe()
    assert (found.can_delete, found.locks_by_default) == (False, True)


def test_probe_says_after_how_many_days_the_bucket_deletes(rgw_server):
    url, bucket = rgw_server.url, new_bucket(rgw_server.url)
    one = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    rules = [
        {**one, "ID": str(days), "Expiration": {"Days": days}} for days in (90, 30)
    ]
    client(url).put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": rules}
    )
    found = S3Storage(config(url, bucket), LIMITS).probe()
    assert (found.takes_away, found.expires_after) == (True, 30)


def test_probe_without_the_right_to_delete(rgw_server, source):
    storage = restricted(rgw_server, *ALL[:3])
    abilities = storage.probe()
    assert not abilities.can_delete
    assert {note.template for note in abilities.notes} == {
        s3.MAY_NOT_DELETE,
        s3.RULES_UNKNOWN,
        s3.MAY_NOT_LIST_UPLOADS,
    }
    storage.put(source, "a.zip", Progress())
    with pytest.raises(s3_errors.AccessDenied) as caught:
        storage.delete("a.zip")
    assert caught.value.hint.values["right"] == "s3:DeleteObject"


def test_folders_that_may_not_be_listed(rgw_server):
    storage = restricted(rgw_server, "GetObject", "PutObject")
    with pytest.raises(FoldersNotListed):
        list(found_below(storage, Progress(), lambda *_told: None))


def test_a_folder_that_may_be_listed_alone(rgw_server):
    """Credentials of one database: a list of its own folder is all they have."""
    url = rgw_server.url
    bucket = new_bucket(url)
    for name in ("crm", "shop"):
        S3Storage(config(url, bucket, prefix=name), LIMITS).put_bytes(b"{}", "a.json")
    own = _statement(bucket, "Allow", ["ListBucket", "GetObject"])
    own["Condition"] = {"StringLike": {"s3:prefix": ["shop/*"]}}
    reading = _statement(bucket, "Allow", ["GetObject"])
    policy = {"Version": "2012-10-17", "Statement": [own, reading]}
    client(url).put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    shop = S3Storage(config(url, bucket, access_key=OTHER_KEY, prefix="shop"), LIMITS)
    found = found_below(shop, Progress(), lambda *_told: None)
    assert [one.key for _storage, one in found] == ["a.json"]
    everything = S3Storage(config(url, bucket, access_key=OTHER_KEY), LIMITS)
    with pytest.raises(FoldersNotListed):
        list(found_below(everything, Progress(), lambda *_told: None))


def test_folders_share_their_connections(storage):
    assert storage.subfolder("shop")._link is storage._link


def test_right_to_write_is_enough_for_an_upload(rgw_server, source):
    storage = restricted(rgw_server, "PutObject")
    storage.check()
    storage.put(source, "a.zip", Progress())
    with pytest.raises(s3_errors.AccessDenied):
        storage.stat("a.zip")


def test_quota(rgw_server, source):
    url = rgw_server.url
    raw = client(url, access_key=OTHER_KEY)
    bucket = f"quota-{os.getpid()}"
    raw.create_bucket(Bucket=bucket)
    rgw_server.admin(
        *f"quota set --uid other --quota-scope user --max-size {3 * MIB}".split()
    )
    rgw_server.admin(*["quota", "enable", "--uid", "other", "--quota-scope", "user"])
    try:
        storage = S3Storage(config(url, bucket, access_key=OTHER_KEY), LIMITS)
        with pytest.raises(s3_errors.BucketFull):
            storage.put(source, "a.zip", Progress())
        assert open_uploads(raw, bucket) == []
    finally:
        rgw_server.admin(
            *["quota", "disable", "--uid", "other", "--quota-scope", "user"]
        )


RULES = [  # of a bucket: what it says, and whether it takes away what lies in "f/"
    ({"Expiration": {"Days": 30}, "Filter": {"Prefix": ""}}, True),
    ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "f/"}}, True),
    ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "f/x"}}, True),
    ({"Expiration": {"Days": 30}, "Filter": {"Prefix": "other/"}}, False),
    ({"Expiration": {"Days": 30}, "Filter": {"Prefix": ""}, "Status": "Disabled"}, 0),
    ({"Expiration": {"Days": 30}, "Filter": {"Tag": {"Key": "a", "Value": "b"}}}, 0),
    ({"NoncurrentVersionExpiration": {"NoncurrentDays": 3}, "Filter": {}}, False),
    (
        {
            "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
            "Filter": {"Prefix": ""},
        },
        True,
    ),
    (
        {
            "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}],
            "Filter": {"Prefix": ""},
        },
        False,
    ),
]


def test_a_bucket_says_that_it_takes_objects_away(tmp_path):
    with s3_servers.moto(tmp_path) as server:
        bucket = new_bucket(server.url)
        storage = S3Storage(config(server.url, bucket, prefix="f"), LIMITS)
        assert not storage.probe().takes_away
        for rule, takes in RULES:
            rules = {"Rules": [{"ID": "a", "Status": "Enabled", **rule}]}
            client(server.url).put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration=rules
            )
            assert storage.probe().takes_away == bool(takes), rule


def test_locked_object(rgw_server, source):
    url = rgw_server.url
    bucket = new_bucket(url, ObjectLockEnabledForBucket=True)
    storage = S3Storage(
        config(url, bucket, lock_mode="COMPLIANCE", lock_days=2), LIMITS
    )
    storage.put(source, "a.zip", Progress())
    storage.put_bytes(b"x", "a.json")
    day = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    for key in ("a.zip", "a.json"):
        with pytest.raises(s3_errors.Locked) as caught:
            storage.delete(key)
        assert caught.value.message.values["until"].startswith(f"{day:%Y-%m-%d}")
    assert [found.key for found in storage.list()] == ["a.json", "a.zip"]
    abilities = storage.probe()
    assert abilities.can_delete
    assert s3.KEEPS_VERSIONS in {note.template for note in abilities.notes}


def test_kms(rgw_server, bucket, source):
    values = {"encryption": "aws:kms", "kms_key": s3_servers.KMS_KEY}
    storage = S3Storage(config(rgw_server.url, bucket, **values), LIMITS)
    storage.put(source, "a.zip", Progress())
    storage.put_bytes(b"x", "b")
    for key in ("a.zip", "b"):
        head = client(rgw_server.url).head_object(Bucket=bucket, Key=key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == (
            "aws:kms",
            "testkey-1",
        )
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage.verify("a.zip", source.stat().st_size, digest, Progress())


def test_storage_class_and_encryption_are_asked_for(moto_server, source):
    bucket = new_bucket(moto_server.url)
    values = {"encryption": "AES256", "storage_class": "STANDARD_IA"}
    storage = S3Storage(config(moto_server.url, bucket, **values), LIMITS)
    storage.put(source, "a.zip", Progress())
    storage.put_bytes(b"x", "b")
    for key in ("a.zip", "b"):
        head = client(moto_server.url).head_object(Bucket=bucket, Key=key)
        assert (head["ServerSideEncryption"], head["StorageClass"]) == (
            "AES256",
            "STANDARD_IA",
        )


# -- configuration


@pytest.mark.parametrize(
    "values",
    [
        {"bucket": ""},
        {"bucket": "s3://bucket"},
        {"bucket": "bucket/folder"},
        {"prefix": "/odoo"},
        {"prefix": "a/../b"},
        {"prefix": ".."},
        {"prefix": "a//b"},
        {"prefix": "a\nb"},
        {"endpoint": "s3.example.com"},
        {"endpoint": "https://user:topsecret@s3.example.com"},
        {"endpoint": "https://s3.example.com/bucket"},
        {"access_key": "only"},
        {"secret_key": "topsecret"},
        {"encryption": "rot13"},
        {"addressing": "dns"},
        {"lock_mode": "GOVERNANCE"},
        {"parallel": 0},
    ],
    ids=str,
)
def test_config_refuses(values):
    with pytest.raises(PermanentError) as caught:
        S3Config(**{"bucket": "bucket", **values})
    assert caught.value.hint
    assert "topsecret" not in f"{caught.value.message} {caught.value.hint}"


def test_secrets_are_not_shown():
    shown = repr(
        S3Config("b", access_key="key", secret_key="topsecret", session_token="token!")
    )
    assert "topsecret" not in shown
    assert "token!" not in shown


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_usable(name):
    preset = PRESETS[name]
    url = preset.url("eu-1", "0123")
    assert "{" not in url
    S3Config(
        "b", endpoint=url, addressing=preset.addressing, checksums=preset.checksums
    )
    assert preset.notes
    assert preset.source.startswith("https://")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_its_address_when_it_has_all_that_it_asks_for(name):
    """An address that is half built would lead to a stranger, and none to AWS."""
    preset = PRESETS[name]
    given = {"region": "eu-1", "account": "0123"}
    asked = {key: given[key] for key in preset.asks if key in given}
    whole = preset.url(**asked)
    assert whole or name == "aws" or "endpoint" in preset.asks
    for key in asked:
        less = {other: value for other, value in asked.items() if other != key}
        assert preset.url(**less) == ("" if preset.endpoint else whole)
