"""Packs stay locked as long as the newest backup that names them, in a storage that
locks what it gets."""

import shutil
from datetime import timedelta

import pytest
from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.errors.packs import PackGone
from dfr_backup.engine.errors.s3 import Locked
from dfr_backup.engine.errors.storage import LockRefused
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.packs.locking import FILE
from dfr_backup.engine.packs.names import CONDEMNATION
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import Lock

DAYS = 10
LOCKED = timedelta(days=DAYS)


@pytest.fixture
def storage():
    return MemoryStorage(LOCKED)


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one")


@pytest.fixture
def names(server):
    return sorted(server.write(f"content {n}".encode()) for n in range(8))


def asked(storage):
    """Return how many locks were asked for since, but for those of the backup itself:
    its archive's and its sidecar's."""
    return storage.counts.pop("extend_lock", 0) - 2


def require_locked(storage, key, lock):
    packs = [use.key for use in read_sidecar(storage, sidecar_key(key)).packs]
    assert packs
    for each in (key, sidecar_key(key), *packs):
        assert storage.locks[each].covers(lock), each


# === STORING === #


def test_all_that_a_backup_needs_is_locked_as_long(server, storage, names):
    lock = storage.new_lock()
    storage.operation = lambda name, key: storage.pass_time(minutes=7)
    key, _packed = server.backup(names)
    require_locked(storage, key, lock)
    sidecar = storage.locks[sidecar_key(key)]
    require_locked(storage, key, sidecar)


def test_packs_and_what_describes_them_are_locked_at_once(server, storage, names):
    def look(name, key):
        if name == "list" and storage.objects:  # the one before the sidecar
            about = [key for key in storage.objects if "-files-" in key]
            assert about
            assert storage.locks.keys() >= set(about)

    storage.operation = look
    server.backup(names)


def test_lock_is_extended_once_in_half_of_its_time(server, storage, names):
    server.backup(names)
    count = len(packs_in(storage))
    assert asked(storage) == count
    extended = []
    for _night in range(2 * DAYS):
        storage.pass_time(days=1)
        key, _packed = server.backup(names)
        require_locked(storage, key, storage.new_lock())
        extended.append(asked(storage) // count)
    half = [0] * (DAYS // 2)
    assert extended == [*half, 1, *half, 1, *half, 1, 0, 0]


def test_only_new_packs_are_asked_for(server, storage, names):
    server.backup(names)
    storage.pass_time(days=1)
    storage.counts.clear()
    new = server.write(b"new")
    key, _packed = server.backup([*names, new])
    assert asked(storage) == 1
    require_locked(storage, key, storage.new_lock())


def test_lock_is_never_shortened(server, storage, names):
    server.backup(names)
    far = Lock(storage.now + timedelta(days=400))
    for pack in packs_in(storage):
        storage.locks[pack] = far
    storage.pass_time(days=DAYS)
    server.backup(names)
    assert {storage.locks[pack] for pack in packs_in(storage)} == {far}
    storage.counts.clear()
    storage.pass_time(days=DAYS)
    server.backup(names)
    assert asked(storage) == 0  # that was remembered


@pytest.mark.parametrize("left", [None, b"", b"[]", b'{"x": 1}', b"\xff"])
def test_lost_memory_costs_a_question_each(server, storage, names, left):
    server.backup(names)
    before = {pack: storage.locks[pack] for pack in packs_in(storage)}
    path = server.place.index / FILE
    if left is None:
        path.unlink()
    else:
        path.write_bytes(left)
    storage.counts.clear()
    key, _packed = server.backup(names)
    assert asked(storage) == len(before)
    require_locked(storage, key, storage.new_lock())
    storage.counts.clear()
    server.backup(names)
    assert asked(storage) == 0


def test_copy_of_the_bucket_is_asked(server, storage, names):
    """A copy has the same objects, and no locks."""
    server.backup(names)
    storage.pass_time(hours=1)
    for key, (data, _modified) in storage.objects.items():
        storage.objects[key] = data, storage.now
    storage.locks.clear()
    key, _packed = server.backup(names)
    require_locked(storage, key, storage.new_lock())


def test_longer_and_firmer_lock_of_the_settings(server, storage, names):
    server.backup(names)
    storage.lock_time = timedelta(days=60)
    key, _packed = server.backup(names)
    require_locked(storage, key, storage.new_lock())
    storage.firm = True
    key, _packed = server.backup(names)
    require_locked(storage, key, storage.new_lock())
    storage.firm = False
    server.backup(names)
    assert all(storage.locks[pack].firm for pack in packs_in(storage))


def test_locks_that_come_later(tmp_path):
    """Packs from before the storage locked anything are locked with the next backup."""
    storage = MemoryStorage()
    server = Server(storage, tmp_path / "one")
    names = [server.write(b"one"), server.write(b"two")]
    server.backup(names)
    assert storage.locks == {}
    storage.lock_time = LOCKED
    key, packed = server.backup(names)
    assert not packed.new_files
    require_locked(storage, key, storage.new_lock())


def test_archive_of_an_earlier_attempt_is_locked_as_long(server, storage, names):
    put = storage.put

    def keep(source, key, progress):
        put(source, key, progress)
        if "-files-" not in key:
            storage.locks[key] = Lock(storage.now + timedelta(days=1))

    storage.put = keep
    key, _packed = server.backup(names)
    require_locked(storage, key, storage.new_lock())


def refusing(storage, kind):
    """Let a storage refuse to lock objects whose key has this in it."""

    def refuse(name, key):
        if name == "extend_lock" and kind in key:
            raise LockRefused(key=key, location="", problem="")

    storage.operation = refuse


@pytest.mark.parametrize("kind", ["-files-", ".json"])
def test_refused_lock_fails_the_backup(server, storage, names, kind):
    server.backup(names)
    before = set(storage.objects)
    storage.pass_time(days=DAYS)
    refusing(storage, kind)
    with pytest.raises(LockRefused):
        server.backup(names)
    new = set(storage.objects) - before
    assert len(new) == 1  # the archive, and no sidecar
    assert new.pop().endswith(".zip")


def test_what_was_extended_before_an_error_is_remembered(server, storage, names):
    server.backup(names)
    storage.pass_time(days=DAYS)
    last = max(packs_in(storage))
    refusing(storage, last)
    with pytest.raises(LockRefused):
        server.backup(names)
    storage.operation = lambda name, key: None
    storage.counts.clear()
    server.backup(names)
    assert asked(storage) < len(packs_in(storage))


def test_pack_that_is_gone_is_stored_again(server, storage, names):
    server.backup(names)
    shutil.rmtree(server.place.index)
    gone = max(packs_in(storage))

    def lose(name, key):
        if name == "extend_lock" and key == gone:
            storage.objects.pop(gone, None)

    storage.operation = lose
    with pytest.raises(PackGone):
        server.backup(names)


def test_backup_that_is_withdrawn_was_not_locked(server, storage, names):
    def lose(name, key):
        if name == "put" and key.endswith(".json") and "-files-" not in key:
            storage.objects.pop(max(packs_in(storage)))

    storage.operation = lose
    with pytest.raises(PackGone):
        server.backup(names)
    assert not [k for k in storage.objects if k.endswith(".json") and "-f" not in k]


# === PRUNING === #


@pytest.fixture
def unneeded(server, storage, names):
    """Return the pack that nobody needs any more, and whose lock has not ended: the
    backup that named it is forgotten."""
    first, _packed = server.backup(names)
    storage.pass_time(days=DAYS, hours=1)
    server.backup(names[:4])
    server.forget(first)
    needed = {
        use.key
        for key in server.catalogue
        for use in read_sidecar(storage, sidecar_key(key)).packs
    }
    (pack,) = packs_in(storage) - needed
    return pack


def nights(server, storage, names, count):
    for _night in range(count):
        storage.pass_time(days=1)
        server.backup(names[:4])


def test_locked_pack_is_condemned_and_deleted_when_it_may_be(
    server, storage, names, unneeded
):
    assert [pack.key for pack in server.prune().condemned] == [unneeded]
    nights(server, storage, names, 3)
    pruned = server.prune()
    assert [pack.key for pack in pruned.locked] == [unneeded]
    assert pruned.locked[0].locked_until == storage.locks[unneeded].until
    assert pruned.locked == pruned.left
    assert [*pruned.deleted, *pruned.condemned] == []
    assert not pruned.left[0].due
    assert unneeded in storage.objects
    nights(server, storage, names, DAYS)
    pruned = server.prune()
    assert [pack.key for pack in pruned.deleted] == [unneeded]
    assert pruned.left == pruned.locked == []
    assert not [key for key in storage.objects if unneeded[:33] in key]


def test_deletion_of_what_is_locked_is_never_tried(server, storage, names, unneeded):
    tried = []

    def look(name, key):
        if name == "delete" and storage.locks.get(key):
            tried.append(storage.locks[key].until > storage.now)

    server.prune()
    nights(server, storage, names, 3)
    storage.operation = look
    server.prune()
    assert not any(tried)


def test_one_that_is_locked_holds_up_no_other(server, storage, names, unneeded):
    far = storage.now + timedelta(days=400)
    storage.locks[unneeded] = Lock(far)
    last = [server.write(b"last")]
    key, _packed = server.backup(names[:4] + last)
    storage.pass_time(days=DAYS, hours=1)
    server.forget(key)
    server.prune()
    nights(server, storage, names, DAYS)
    pruned = server.prune()
    assert len(pruned.deleted) == 1
    assert [pack.key for pack in pruned.left] == [unneeded]


def test_sidecar_of_a_pack_holds_it_up_as_well(server, storage, names, unneeded):
    server.prune()
    nights(server, storage, names, DAYS)
    late = storage.now + timedelta(minutes=1)
    storage.locks[sidecar_key(unneeded)] = Lock(late)
    assert [pack.locked_until for pack in server.prune().locked] == [late]
    storage.pass_time(minutes=2)
    assert [pack.key for pack in server.prune().deleted] == [unneeded]


def test_locked_leftovers_stay_until_they_may_go(server, storage, names, unneeded):
    server.prune()
    storage.locks.pop(unneeded)
    storage.locks[sidecar_key(unneeded)] = Lock(storage.now + timedelta(days=1))
    storage.delete(unneeded)
    server.prune()
    about = [key for key in storage.objects if unneeded[:33] in key]
    assert len(about) == 2
    assert any(map(CONDEMNATION.fullmatch, about))
    storage.pass_time(days=2)
    server.prune()
    assert not [key for key in storage.objects if unneeded[:33] in key]


def test_look_counts_what_is_locked(server, storage, names, unneeded):
    server.prune()
    nights(server, storage, names, 3)
    (found,) = server.looking().look(storage.now, Progress())
    assert found.locked_until
    assert not found.due


def test_locked_backup_cannot_be_forgotten(server, storage, names):
    key, _packed = server.backup(names)
    with pytest.raises(Locked):
        server.forget(key)
