"""Object Lock at real S3 servers: how an object is locked, and a lock extended."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from s3_servers import OTHER_KEY, client, config, new_bucket

from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.errors.s3 import LegalHold, Locked
from dfr_backup.engine.errors.storage import CopyMissing, LockRefused
from dfr_backup.engine.storages.base import FOR_EVER, Lock, TransferLimits
from dfr_backup.engine.storages.s3.probe import MAY_NOT_EXTEND
from dfr_backup.engine.storages.s3.storage import S3Storage

LIMITS = TransferLimits(timeout=20)
DAY = timedelta(days=1)


class Bucket(S3Storage):
    """A bucket, for a world whose time a storage tells."""

    def __init__(self, settings):
        super().__init__(settings, LIMITS)
        self.extended = []

    def extend_lock(self, key, lock):
        self.extended.append(key)
        return super().extend_lock(key, lock)

    @property
    def now(self):
        return datetime.now(timezone.utc)

    @property
    def objects(self):
        return {found.key for found in self.list()}


def bucket(server, name, mode="GOVERNANCE", days=2):
    return Bucket(config(server.url, name, lock_mode=mode, lock_days=days))


def retention(server, name, key):
    """Return the mode of an object, and when its lock ends, as the server says it."""
    found = client(server.url).head_object(Bucket=name, Key=key)
    return found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]


def about(moment):
    return pytest.approx(moment.timestamp(), abs=120)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_lock_is_extended_in_its_mode(locking_server, locking_bucket, mode):
    storage = bucket(locking_server, locking_bucket, mode)
    storage.put_bytes(b"x", "a")
    lock = storage.lock_of("a")
    assert lock.firm == (mode == "COMPLIANCE")
    assert lock.until.timestamp() == about(storage.now + 2 * DAY)
    longer = storage.new_lock(1.5)
    assert storage.extend_lock("a", longer) == longer
    assert retention(locking_server, locking_bucket, "a") == (mode, longer.until)
    assert storage.lock_of("a") == longer


def test_lock_is_never_shortened_nor_weakened(locking_server, locking_bucket):
    storage = bucket(locking_server, locking_bucket, "COMPLIANCE", days=9)
    storage.put_bytes(b"x", "a")
    has = storage.lock_of("a")
    assert storage.extend_lock("a", Lock(storage.now + DAY)) == has
    weaker = bucket(locking_server, locking_bucket, "GOVERNANCE", days=12)
    longer = weaker.extend_lock("a", weaker.new_lock())
    assert longer.firm
    assert retention(locking_server, locking_bucket, "a") == (
        "COMPLIANCE",
        longer.until,
    )


def test_what_was_not_locked_gets_a_lock(locking_server, locking_bucket):
    storage = bucket(locking_server, locking_bucket)
    storage.put_passing(b"x", "a")
    assert storage.lock_of("a") is None
    lock = storage.new_lock()
    assert storage.extend_lock("a", lock) == lock
    assert storage.lock_of("a") == lock
    with pytest.raises(Locked):
        storage.delete("a")


def test_what_passes_can_be_deleted(locking_server, locking_bucket):
    storage = bucket(locking_server, locking_bucket)
    storage.put_passing(b"x", "a")
    storage.delete("a")
    assert storage.objects == set()


def test_storage_without_lock(locking_server, locking_bucket):
    locking = bucket(locking_server, locking_bucket)
    locking.put_bytes(b"x", "a")
    storage = Bucket(config(locking_server.url, locking_bucket))
    assert storage.new_lock() is None
    assert storage.lock_of("a") == locking.lock_of("a")
    storage.put_bytes(b"x", "b")
    assert storage.lock_of("b") is None


def test_legal_hold_has_no_end(locking_server, locking_bucket):
    storage = bucket(locking_server, locking_bucket)
    storage.put_passing(b"x", "a")
    client(locking_server.url).put_object_legal_hold(
        Bucket=locking_bucket, Key="a", LegalHold={"Status": "ON"}
    )
    assert storage.lock_of("a") == Lock(FOR_EVER)
    with pytest.raises(LegalHold):
        storage.delete("a")


def test_missing_object(locking_server, locking_bucket):
    storage = bucket(locking_server, locking_bucket)
    assert storage.lock_of("a") is None
    with pytest.raises(CopyMissing):
        storage.extend_lock("a", storage.new_lock())


def test_bucket_without_object_lock(locking_server):
    name = new_bucket(locking_server.url)
    Bucket(config(locking_server.url, name)).put_bytes(b"x", "a")
    storage = bucket(locking_server, name)
    with pytest.raises(LockRefused):
        storage.extend_lock("a", storage.new_lock())


def test_keys_that_may_not_extend(rgw_server):
    name = new_bucket(rgw_server.url, ObjectLockEnabledForBucket=True)
    owner = bucket(rgw_server, name)
    owner.put_bytes(b"x", "a")
    storage = Bucket(
        config(
            rgw_server.url,
            name,
            access_key=OTHER_KEY,
            lock_mode="GOVERNANCE",
            lock_days=9,
        )
    )
    with pytest.raises(PermanentError) as caught:
        storage.extend_lock("a", storage.new_lock())
    assert isinstance(caught.value, LockRefused)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_probe_extends_a_lock_and_leaves_nothing(locking_server, locking_bucket, mode):
    storage = bucket(locking_server, locking_bucket, mode)
    found = storage.probe()
    assert (found.can_delete, found.extends_locks) == (True, True)
    assert storage.objects == set()
    told = client(locking_server.url).list_object_versions(Bucket=locking_bucket)
    (latest,) = {version["Key"] for version in told["DeleteMarkers"]}
    assert {version["Key"] for version in told["Versions"]} == {latest}
    ends = [retained_until(locking_server, locking_bucket, v) for v in told["Versions"]]
    hour = storage.now + timedelta(hours=1)
    assert all(end < hour for end in filter(None, ends))
    assert any(ends)


def retained_until(server, name, version):
    found = client(server.url).head_object(
        Bucket=name, Key=version["Key"], VersionId=version["VersionId"]
    )
    return found.get("ObjectLockRetainUntilDate")


def test_probe_finds_a_server_that_extends_no_lock(rgw_server):
    name = new_bucket(rgw_server.url, ObjectLockEnabledForBucket=True)
    rights = ["PutObject", "GetObject", "ListBucket", "DeleteObject"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/other"]},
        "Action": [f"s3:{right}" for right in rights],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }
    denied = {**statement, "Effect": "Deny", "Action": ["s3:PutObjectRetention"]}
    policy = {"Version": "2012-10-17", "Statement": [statement, denied]}
    client(rgw_server.url).put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    keys = {"access_key": OTHER_KEY, "lock_mode": "GOVERNANCE", "lock_days": 9}
    storage = Bucket(config(rgw_server.url, name, **keys))
    found = storage.probe()
    assert (found.can_delete, found.extends_locks) == (True, False)
    assert MAY_NOT_EXTEND in {note.template for note in found.notes}
    assert storage.objects == set()


def test_probe_of_a_storage_that_locks_nothing_tries_no_lock(
    locking_server, locking_bucket
):
    storage = Bucket(config(locking_server.url, locking_bucket))
    assert storage.probe().extends_locks is None
