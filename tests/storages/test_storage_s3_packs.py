"""Incremental backups in buckets of real S3 servers that lock what they get."""

from datetime import timedelta

import pytest
from packs_world import Server, expected, packs_in, restored
from s3_servers import client
from test_storage_s3_lock import DAY, about, bucket

from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.packs.terms import Terms

NOW = timedelta(seconds=-5)  # a list knows less than a second, and a question does not
AT_ONCE = Terms(pack_files=2, young=NOW, grace=NOW, backups=0)


@pytest.fixture
def storage(locking_server, locking_bucket):
    return bucket(locking_server, locking_bucket)


@pytest.fixture
def shop(storage, tmp_path):
    return Server(storage, tmp_path / "one", terms=AT_ONCE)


@pytest.fixture
def names(shop):
    return sorted(shop.write(f"content {n}".encode()) for n in range(4))


def locked_as_long(storage, key, packed):
    lock = storage.lock_of(sidecar_key(key))
    needed = [key, *(use.key for use in packed.uses)]
    return all(storage.lock_of(each).covers(lock) for each in needed)


def test_packs_are_locked_with_each_backup(storage, shop, names):
    key, packed = shop.backup(names)
    assert len(packed.uses) == 2
    assert locked_as_long(storage, key, packed)
    for use in packed.uses:
        until = storage.lock_of(use.key).until
        assert until.timestamp() == about(storage.now + 3 * DAY)
    storage.extended.clear()
    key, packed = shop.backup(names)
    assert locked_as_long(storage, key, packed)
    assert storage.extended == [key, sidecar_key(key)]
    assert restored(storage, key) == expected(shop, names)


def test_longer_lock_of_the_settings_reaches_stored_packs(
    locking_server, locking_bucket, shop, names, tmp_path
):
    _key, before = shop.backup(names)
    longer = bucket(locking_server, locking_bucket, days=6)
    later = Server(longer, tmp_path / "one", terms=AT_ONCE, number=9)
    key, packed = later.backup(names)
    assert {use.key for use in packed.uses} == {use.key for use in before.uses}
    assert locked_as_long(longer, key, packed)
    packs = [use.key for use in packed.uses]
    assert longer.extended == [key, *packs, sidecar_key(key)]


def test_prune_leaves_what_is_locked(
    locking_server, locking_bucket, storage, shop, names
):
    """Nobody needs the packs, and all that says something about them can go."""
    shop.backup(names)
    packs = packs_in(storage)
    for key in list(shop.catalogue):
        # hidden, as by somebody who has the keys of the bucket
        for each in (sidecar_key(key), key):
            client(locking_server.url).delete_object(Bucket=locking_bucket, Key=each)
        shop.catalogue.pop(key)
    condemned = shop.prune()
    assert len(condemned.condemned) == len(packs) == 2
    pruned = shop.prune()
    assert {pack.key for pack in pruned.locked} == packs
    assert pruned.deleted == []
    assert packs_in(storage) == packs
    assert not any(storage.lock_of(key) for key in storage.objects - both(packs))


def both(packs):
    return packs | set(map(sidecar_key, packs))
