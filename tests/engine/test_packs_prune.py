"""Packs that no backup needs are deleted, late, and nothing else is."""

import json
from dataclasses import replace

import pytest
from packs_world import (
    SHOP,
    MemoryStorage,
    Server,
    expected,
    packs_in,
    restored,
)

from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.packs import (
    BackupUnreadable,
    CopyNotListed,
    StorageChanged,
)
from dfr_backup.engine.errors.storage import CopyMissing
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.manifest.write import encode
from dfr_backup.engine.packs.names import condemned_key
from dfr_backup.engine.packs.needed import are_nowhere
from dfr_backup.engine.packs.prune import condemn_damaged
from dfr_backup.engine.progress import Progress

CONTENTS = [f"content {number}".encode() for number in range(8)]


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one")


@pytest.fixture
def names(server):
    return sorted(server.write(content) for content in CONTENTS)


@pytest.fixture
def unneeded(server, storage, names):
    """Store a backup of eight files, then one of the first four; forget the first.
    Return the pack that nobody needs since."""
    first, _packed = server.backup(names)
    storage.pass_time(days=2)
    server.backup(names[:4])
    server.forget(first)
    (last,) = [
        key for key in packs_in(storage) if key not in needed_by(server, storage)
    ]
    return last


def needed_by(server, storage, *keys):
    return {
        use.key
        for key in keys or server.catalogue
        for use in read_sidecar(storage, sidecar_key(key)).packs
    }


def nights(server, storage, names, count):
    for _night in range(count):
        storage.pass_time(days=1)
        server.backup(names[:4])


def keys_of(packs):
    return [pack.key for pack in packs]


def nothing_is_done(server):
    pruned = server.prune()
    return not (pruned.condemned or pruned.deleted)


def state(storage):
    return {key: data for key, (data, _modified) in storage.objects.items()}


def test_pack_is_condemned_and_deleted_later(server, storage, names, unneeded):
    assert keys_of(server.prune().condemned) == [unneeded]
    assert unneeded in packs_in(storage)
    nights(server, storage, names, 3)
    kept = packs_in(storage) - {unneeded}
    assert keys_of(server.prune().deleted) == [unneeded]
    assert packs_in(storage) == kept
    assert not [key for key in storage.objects if unneeded[:33] in key]
    for key in server.catalogue:
        assert restored(storage, key) == expected(server, names[:4])
    assert nothing_is_done(server)
    assert not list(server.place.index.glob(f"{unneeded[:33]}*"))


def test_time_alone_deletes_nothing(server, storage, names, unneeded):
    server.prune()
    storage.pass_time(days=400)
    nights(server, storage, names, 1)
    assert nothing_is_done(server)
    nights(server, storage, names, 1)
    assert keys_of(server.prune().deleted) == [unneeded]


def test_backups_alone_delete_nothing(server, storage, names, unneeded):
    server.prune()
    for _run in range(5):
        storage.pass_time(hours=1)
        server.backup(names[:4])
    assert nothing_is_done(server)


def test_backups_that_are_not_verified_do_not_count(server, storage, names, unneeded):
    server.prune()
    nights(server, storage, names, 3)
    for key, copy in list(server.catalogue.items()):
        server.catalogue[key] = replace(copy, verified=False)
    assert nothing_is_done(server)


def test_new_pack_is_not_condemned(server, storage, names):
    key, _packed = server.backup(names)
    server.forget(key)
    storage.pass_time(hours=23)
    assert nothing_is_done(server)
    storage.pass_time(hours=2)
    assert len(server.prune().condemned) == 2


def test_pack_that_only_a_stranger_needs_stays(server, storage, names, unneeded):
    """Whoever has made a backup, and whatever it says of its identity."""
    twin = Server(storage, server.folder.parent / "twin")
    for content in CONTENTS:
        twin.write(content)
    storage.pass_time(days=1)
    key, packed = twin.backup(names)
    assert packed.new_files == 0
    server.prune()
    nights(server, storage, names, 3)
    assert nothing_is_done(server)
    assert restored(storage, key) == expected(twin, names)


def test_pack_of_another_database_is_never_touched(server, storage, names, tmp_path):
    clone = Server(storage, tmp_path / "two", Identity(SHOP.uuid, SHOP.system, 20000))
    for content in CONTENTS:
        clone.write(content)
    key, _packed = clone.backup(names)
    clone.forget(key)
    before = packs_in(storage)
    for _night in range(4):
        nights(server, storage, names, 2)
        server.prune()
    assert before <= packs_in(storage)


@pytest.mark.parametrize(
    "sidecar", [None, b"", b"{}", b'{"dfr_backup": {"format": 2}}']
)
def test_orphan_is_condemned_first(server, storage, names, unneeded, sidecar):
    storage.delete(sidecar_key(unneeded))
    if sidecar is not None:
        storage.put_bytes(sidecar, sidecar_key(unneeded))
    assert keys_of(server.prune().condemned) == [unneeded]
    nights(server, storage, names, 3)
    assert keys_of(server.prune().deleted) == [unneeded]
    assert sidecar_key(unneeded) not in storage.objects


def test_condemned_pack_that_is_needed_stays_until_it_is_not(server, storage, names):
    """Nobody uses it for another backup, as long as it is there."""
    key, _packed = server.backup(names)
    pack = min(packs_in(storage))
    storage.put_bytes(b"", condemned_key(pack))
    nights(server, storage, names, 3)
    assert key in server.catalogue
    assert not server.prune().deleted
    assert restored(storage, key) == expected(server, names)
    assert pack not in needed_by(server, storage, *[*server.catalogue][1:])
    server.forget(key)
    assert keys_of(server.prune().deleted) == [pack]


def sign_anew(storage, pack, owner=None, **changes):
    """Let the sidecar of a pack be signed by somebody else, or by nobody."""
    content = json.loads(storage.objects[sidecar_key(pack)][0])
    content.pop("signature")
    content["dfr_backup"] |= changes
    signed = owner.sign(content) if owner else content
    storage.put_bytes(encode(signed), sidecar_key(pack))


@pytest.mark.parametrize("signed", [True, False])
def test_pack_of_a_lost_key_is_deleted(server, storage, names, unneeded, signed):
    """It names this database, and nobody can tell any more who has signed that."""
    lost = Server(storage, server.folder.parent / "two", key=Key(bytes(32)))
    sign_anew(storage, unneeded, lost.owner if signed else None)
    assert keys_of(server.prune().condemned) == [unneeded]
    nights(server, storage, names, 3)
    assert keys_of(server.prune().deleted) == [unneeded]


def test_pack_that_was_changed_after_it_was_signed_stays(
    server, storage, names, unneeded
):
    content = json.loads(storage.objects[sidecar_key(unneeded)][0])
    storage.put_bytes(encode({**content, "changed": True}), sidecar_key(unneeded))
    assert nothing_is_done(server)


def test_pack_that_names_another_database_stays(server, storage, names, unneeded):
    """Whoever has signed it, and under whatever name it is stored."""
    other = Identity(SHOP.uuid, SHOP.system, 20000)
    for key in (Key(bytes(32)), server.key):
        clone = Server(storage, server.folder.parent / "two", other, key)
        sign_anew(storage, unneeded, clone.owner, identity=other.to_json())
        assert nothing_is_done(server)


def test_packs_of_a_database_whose_storage_was_taken_over(server, storage, tmp_path):
    """They count, once they were read, and are deleted when nobody needs them."""
    uuid = "7b1e57c0-0000-4000-8000-000000000001"
    heir = Server(storage, tmp_path / "heir", Identity(uuid, "7", 9), Key(bytes(32)))
    heir.number = 1000
    contents = [b"one" * 50, b"two" * 50]
    names = sorted(server.write(content) for content in contents)
    server.backup(names)
    packs = packs_in(storage)
    assert sorted(map(heir.write, contents)) == names
    owner = heir.owner
    heir.owner = replace(owner, taken_over=frozenset({SHOP.uuid}))
    assert heir.backup(names)[1].new_files == 0
    heir.owner = owner  # of another database, unless somebody has said so
    assert heir.backup(names)[1].new_files == len(names)
    for key in (*heir.catalogue, *server.catalogue):
        if packs & needed_by(heir, storage, key):
            heir.forget(key)
    storage.pass_time(days=2)
    assert nothing_is_done(heir)
    heir.owner = replace(owner, taken_over=frozenset({SHOP.uuid}))
    assert {*keys_of(heir.prune().condemned)} == packs
    for _night in range(3):
        storage.pass_time(days=1)
        heir.backup(names)
    assert {*keys_of(heir.prune().deleted)} == packs


def test_what_describes_a_pack_that_is_gone_is_removed(server, storage, names):
    server.backup(names)
    pack = max(packs_in(storage))
    storage.delete(pack)
    server.prune()
    assert sidecar_key(pack) in storage.objects  # it may be about to come
    storage.pass_time(hours=25)
    for key in list(server.catalogue):
        server.forget(key)
    server.prune()
    assert sidecar_key(pack) not in storage.objects


def test_pack_that_is_only_not_listed_keeps_what_describes_it(
    server, storage, names, unneeded
):
    server.prune()
    storage.hidden = {unneeded}
    storage.pass_time(hours=25)
    server.prune()
    assert {sidecar_key(unneeded), condemned_key(unneeded)} <= storage.objects.keys()


def test_look_changes_nothing_and_says_what_a_prune_does(
    server, storage, names, unneeded
):
    def look():
        before = state(storage)
        found = server.looking().look(storage.now, Progress())
        assert state(storage) == before
        return found

    (fresh,) = look()
    assert (fresh.key, fresh.since, fresh.due) == (unneeded, None, False)
    assert fresh.size == len(storage.objects[unneeded][0])
    server.prune()
    (condemned,) = look()
    assert (condemned.since, condemned.due) == (storage.now, False)
    nights(server, storage, names, 3)
    (gone,) = look()
    assert gone.due
    assert server.prune().deleted == [gone]
    assert look() == []


def test_look_can_be_cancelled_while_packs_are_asked_for(
    server, storage, names, unneeded
):
    """Once all backups are read, and each pack that none needs is looked into."""
    asked = []

    class Watching(Progress):
        def tick(self):
            asked.append(None)

    def count():
        asked.clear()
        server.looking().look(storage.now, Watching())
        return len(asked)

    before = count()
    del storage.objects[unneeded]
    assert count() == before - 2, "one less to list, and one less to look into"


# === WHAT STOPS IT === #


def due(server, storage, names):
    """Let a condemned pack be due."""
    server.prune()
    nights(server, storage, names, 3)


def stops(server, storage, error):
    before = state(storage)
    with pytest.raises(error):
        server.prune()
    assert state(storage) == before


def test_incomplete_list_deletes_nothing(server, storage, names, unneeded):
    due(server, storage, names)
    for key in list(server.catalogue):
        for hidden in (key, sidecar_key(key)):
            storage.hidden = {hidden}
            stops(server, storage, CopyNotListed)
    storage.hidden = set()
    assert keys_of(server.prune().deleted) == [unneeded]


def test_all_that_is_not_listed_is_named(server, storage, names, unneeded):
    due(server, storage, names)
    first, second, *_others = server.catalogue
    storage.hidden = {first, sidecar_key(second)}
    with pytest.raises(CopyNotListed) as error:
        server.prune()
    assert error.value.message.values["count"] == 2
    assert error.value.log.splitlines() == sorted([first, second])
    assert not list(are_nowhere(storage, [first, second], Progress()))
    server.forget(first)
    assert list(are_nowhere(storage, [first, second], Progress())) == [first]


def test_another_object_than_the_catalogue_knows_deletes_nothing(
    server, storage, names, unneeded
):
    due(server, storage, names)
    first, second, *_others = server.catalogue
    data, modified = storage.objects[sidecar_key(first)]
    storage.objects[sidecar_key(first)] = data + b"\n", modified
    stops(server, storage, CopyNotListed)
    storage.objects[sidecar_key(first)] = data, modified
    storage.objects[second] = storage.objects[second][0] + b"?", modified
    stops(server, storage, CopyNotListed)


@pytest.mark.parametrize(
    "key, data",
    [
        ("shop-20261127T083041Z-00000099.json", b'{"dfr_backup": {"format": 9}}'),
        ("other.json", b'{"dfr_backup": '),
        ("with-zip.json", b"{}"),
    ],
)
def test_unreadable_manifest_deletes_nothing(
    server, storage, names, unneeded, key, data
):
    due(server, storage, names)
    storage.put_bytes(data, key)
    storage.put_bytes(b"PK", "with-zip.zip")
    stops(server, storage, BackupUnreadable)


def test_backup_that_was_changed_after_it_was_signed_stops_it(
    server, storage, names, unneeded
):
    """Also one that no catalogue knows, which may have needed any pack."""
    due(server, storage, names)
    key = sidecar_key(min(server.catalogue))
    about = json.loads(storage.objects[key][0])
    storage.put_bytes(encode({**about, "packs": []}), key)
    server.catalogue.clear()
    stops(server, storage, BackupUnreadable)


def test_foreign_files_stop_nothing(server, storage, names, unneeded):
    storage.put_bytes(b'{"name": "package"}', "package.json")
    storage.put_bytes(b"not JSON", "notes.json")
    due(server, storage, names)
    assert keys_of(server.prune().deleted) == [unneeded]


def test_backup_that_comes_meanwhile_stops_it(server, storage, names, unneeded):
    due(server, storage, names)
    lists = []

    def operation(name, _key):
        lists.append(name)
        if lists.count("list") == 2 and name == "list":
            storage.objects["new.json"] = b"{}", storage.now

    storage.operation = operation
    with pytest.raises(StorageChanged):
        server.prune()
    assert unneeded in packs_in(storage)


def test_list_that_fails_deletes_nothing(server, storage, names, unneeded):
    due(server, storage, names)

    def operation(name, key):
        if name == "open" and "-files-" not in key:
            raise CopyMissing(key=key)

    before = state(storage)
    storage.operation = operation
    with pytest.raises(EngineError):
        server.prune()
    assert state(storage) == before


# === KILLS === #


class Killed(BaseException):
    """The process has ended."""


def test_kill_at_each_step_leaves_too_much(server, storage, names, unneeded):
    due(server, storage, names)
    saved = dict(storage.objects)
    steps = 0
    while True:
        storage.objects = dict(saved)
        left = [steps]

        def operation(_name, _key, left=left):
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        storage.operation = operation
        try:
            server.prune()
        except Killed:
            pass
        else:
            break
        storage.operation = lambda name, key: None
        for key in server.catalogue:
            assert restored(storage, key) == expected(server, names[:4])
        server.prune()
        assert unneeded not in packs_in(storage)
        assert not [key for key in storage.objects if unneeded[:33] in key]
        steps += 1
    assert steps > 8


def test_a_damaged_pack_is_condemned_and_stored_anew(server, storage):
    key, _packed = server.backup([server.write(b"one" * 50)])
    (use,) = read_sidecar(storage, sidecar_key(key)).packs
    assert condemn_damaged(storage, server.owner, use)
    assert condemned_key(use.key) in storage.objects
    storage.pass_time(days=1)
    _key, packed = server.backup([server.write(b"one" * 50)])
    assert packed.new_files == 1


def test_a_manifest_of_others_condemns_no_pack(server, storage, tmp_path):
    """Whoever writes into the storage may name our pack with another checksum; and
    nobody speaks for the pack of another database."""
    key, _packed = server.backup([server.write(b"one" * 50)])
    (use,) = read_sidecar(storage, sidecar_key(key)).packs
    forged = replace(use, sha256="0" * 64)
    assert not condemn_damaged(storage, server.owner, forged)
    assert not condemn_damaged(storage, server.owner, replace(use, size=1))
    clone = Server(storage, tmp_path / "clone", replace(SHOP, oid=7), Key(bytes(32)))
    assert not condemn_damaged(storage, clone.owner, use)
    assert condemned_key(use.key) not in storage.objects


def test_a_damaged_pack_of_a_lost_key_is_condemned(server, storage, tmp_path):
    key, _packed = server.backup([server.write(b"one" * 50)])
    (use,) = read_sidecar(storage, sidecar_key(key)).packs
    now = Server(storage, tmp_path / "now", key=Key(bytes(32)))
    assert condemn_damaged(storage, now.owner, use)
    assert condemned_key(use.key) in storage.objects


def test_a_pack_whose_description_was_changed_is_not_condemned(server, storage):
    """By whoever writes into the storage, after it was signed here."""
    key, _packed = server.backup([server.write(b"one" * 50)])
    (use,) = read_sidecar(storage, sidecar_key(key)).packs
    beside = sidecar_key(use.key)
    data, modified = storage.objects[beside]
    forged = replace(use, sha256="0" * 64)
    changed = data.replace(use.sha256.encode(), forged.sha256.encode())
    storage.objects[beside] = changed, modified
    assert not condemn_damaged(storage, server.owner, forged)
    assert condemned_key(use.key) not in storage.objects
