"""Whose a location is."""

import json
import shutil
import stat
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from dfr_backup.engine.errors.local import DirectoryMissing
from dfr_backup.engine.errors.places import (
    NotOwnInShared,
    OtherPlace,
    PlaceLost,
    PlaceNotEmpty,
    PlaceOfAnother,
    PlaceRaced,
    RecordUnreadable,
)
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.ownership.guarded import GuardedStorage
from dfr_backup.engine.ownership.locations import (
    Door,
    Guest,
    Purpose,
    Stored,
    open_for_reading,
    open_to,
)
from dfr_backup.engine.ownership.marker import MARKER, Marker, read_marker
from dfr_backup.engine.ownership.owners import Owners, Record
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.storages.base import FOR_EVER, UNKNOWN, Lock
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

A = Identity("aaaa", "7001", 16001, "shop")
B = Identity("bbbb", "7001", 16002, "office")
MOVED = Identity("aaaa", "7002", 17001, "shop")
SHA = "ab" * 32
KEYS = {one: f"{one.name}-20261124T023000Z-abcdefgh.zip" for one in (A, B)}


@pytest.fixture
def owners(tmp_path):
    return Owners(tmp_path / "data" / "owners")


@pytest.fixture
def storage(tmp_path):
    made = LocalStorage(tmp_path / "place", LocalRules([tmp_path]))
    made.prepare()
    return made


def guest(identity, **values):
    return Guest(identity, **{"lent": True, **values})


def enter(storage, owners, visitor, purpose=Purpose.WRITE):
    return Door(storage, owners, visitor).admit(purpose)


def known(storage):
    return read_marker(storage).place_id


def put_backup(storage, identity):
    """What a run of a database leaves in a storage."""
    key = KEYS[identity]
    ours = {
        "job": "abcdefgh-1234",
        "run": "B00007",
        "database_uuid": identity.uuid,
        "snapshot_at": datetime(2026, 11, 24, 3, 30, tzinfo=timezone.utc),
        "contents": ["database"],
        "missing": [],
    }
    odoo = {"db_name": identity.name, "modules": {}}
    storage.put_bytes(b"x", key)
    sidecar = manifest.sidecar(manifest.build(odoo, ours), key, 1, SHA)
    storage.put_bytes(sidecar, sidecar_key(key))
    return Stored(key, SHA)


def guarded(storage, owners, visitor, may_write=True):
    door = Door(storage, owners, visitor).enter
    return GuardedStorage(
        storage, door, lambda uuid: uuid == visitor.identity.uuid, may_write
    )


def test_who_writes_first_owns_an_empty_location(storage, owners):
    record = enter(storage, owners, guest(A))
    assert record.owner == A
    assert owners.find(known(storage)) == record
    assert enter(storage, owners, guest(A), Purpose.READ) == record


def test_it_is_as_patient_as_what_it_stands_before(storage, owners):
    storage.retries = RetryPolicy(patience=7)
    assert guarded(storage, owners, guest(A)).retries == storage.retries


def test_the_records_are_only_ours_to_read(storage, owners, tmp_path):
    enter(storage, owners, guest(A))
    folder = tmp_path / "data" / "owners"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("purpose", Purpose)
def test_lent_access_opens_nothing_of_another_database(storage, owners, purpose):
    enter(storage, owners, guest(A))
    with pytest.raises(PlaceOfAnother) as caught:
        enter(storage, owners, guest(B), purpose)
    assert caught.value.hint.template is PlaceOfAnother.remedy
    assert "backup open" in caught.value.hint.values["command"]
    # nor to one that calls itself so: read is what another system or OID does not
    if purpose is Purpose.READ:
        with pytest.raises(PlaceOfAnother):
            enter(storage, owners, guest(MOVED), purpose)
    # nor where the marker was taken away
    (storage.local_path(MARKER)).unlink()
    put_backup(storage, A)
    with pytest.raises(PlaceNotEmpty):
        enter(storage, owners, guest(B), purpose)


def test_a_guard_refuses_whatever_it_is_asked(storage, owners, tmp_path):
    enter(storage, owners, guest(A))
    key = put_backup(storage, A).key
    theirs = guarded(storage, owners, guest(B))
    (tmp_path / "source").write_bytes(b"x")
    for use in (
        lambda: list(theirs.list()),
        lambda: theirs.open(key),
        lambda: theirs.stat(key),
        lambda: theirs.delete(key),
        lambda: theirs.download_url(key, key, 1),
        lambda: theirs.local_path(key),
        lambda: theirs.put(tmp_path / "source", key, Progress()),
        lambda: theirs.put_bytes(b"", key),
        lambda: theirs.put_passing(b"", key),
        lambda: theirs.lock_of(key),
        lambda: theirs.extend_lock(key, Lock(FOR_EVER)),
        lambda: theirs.create(b"", "new"),
        lambda: theirs.peek(key, 1),
        lambda: theirs.discard_partial(key),
        lambda: theirs.verify(key, 1, SHA, Progress()),
        lambda: theirs.probe(),
        lambda: theirs.check(),
        lambda: theirs.free_space(),
    ):
        with pytest.raises(PlaceOfAnother):
            use()
    assert theirs.location(key) == storage.location(key)
    ours = guarded(storage, owners, guest(A))
    assert [found.key for found in ours.list()] == sorted([key, sidecar_key(key)])


def test_typed_credentials_read_and_do_not_write(storage, owners):
    enter(storage, owners, guest(A))
    assert enter(storage, owners, guest(B, lent=False), Purpose.READ).owner == A
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(B, lent=False))
    heir = guest(B, lent=False, former=frozenset({A.uuid}))
    assert enter(storage, owners, heir).owner == A


def test_a_location_of_another_server(storage, tmp_path):
    """Its marker names the owner, and no record of this server does."""
    enter(storage, Owners(tmp_path / "elsewhere"), guest(A))
    here = Owners(tmp_path / "here")
    for purpose in Purpose:
        with pytest.raises(PlaceOfAnother):
            enter(storage, here, guest(B), purpose)
    with pytest.raises(PlaceOfAnother):  # whoever writes there could say so
        enter(storage, here, guest(A), Purpose.READ)
    newest = put_backup(storage, A)  # the data directory was lost
    assert enter(storage, here, guest(A, newest=lambda: [newest])).owner == A
    assert here.find(known(storage)).owner == A


def test_a_database_that_was_moved_goes_on_to_add(storage, owners):
    enter(storage, owners, guest(A))
    assert enter(storage, owners, guest(MOVED)).owner == A
    assert owners.move_to(MOVED) == 1
    assert owners.move_to(MOVED) == 0
    assert enter(storage, owners, guest(MOVED), Purpose.READ).owner == MOVED
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(A), Purpose.READ)


@pytest.mark.parametrize("marked", [True, False])
def test_the_operator_opens_a_location(storage, owners, tmp_path, marked):
    if marked:
        enter(storage, Owners(tmp_path / "elsewhere"), guest(A))
    put_backup(storage, A)
    open_to(storage, owners, B)
    for purpose in Purpose:
        assert enter(storage, owners, guest(B), purpose).owner == B


@pytest.mark.parametrize("known_here", [True, False])
def test_the_operator_opens_a_location_for_reading(
    storage, owners, tmp_path, known_here
):
    first = owners if known_here else Owners(tmp_path / "elsewhere")
    record = enter(storage, first, guest(A))
    key = put_backup(storage, A).key
    assert open_for_reading(storage, owners, B)
    seen = guarded(storage, owners, guest(B), may_write=False)
    with seen.open(key) as stream:
        assert stream.read() == b"x"
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(B))
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(MOVED), Purpose.READ)
    assert owners.find(known(storage)) == (record if known_here else None)
    moved = replace(B, oid=17002)
    owners.move_to(moved)
    enter(storage, owners, guest(moved), Purpose.READ)
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(B), Purpose.READ)


def test_a_reader_of_a_shared_folder_sees_its_own_only(storage, owners):
    ours, theirs = put_backup(storage, A), put_backup(storage, B)
    enter(storage, owners, guest(A, was_there=True, newest=lambda: [ours]))
    open_for_reading(storage, owners, B)
    seen = guarded(storage, owners, guest(B), may_write=False)
    keys = {found.key for found in seen.list()}
    assert theirs.key in keys
    assert ours.key not in keys


def test_a_location_without_a_marker_is_not_written_to(storage, owners):
    put_backup(storage, A)
    before = [found.key for found in storage.list()]
    assert not open_for_reading(storage, owners, B)
    assert [found.key for found in storage.list()] == before
    with pytest.raises(PlaceNotEmpty):
        enter(storage, owners, guest(B), Purpose.READ)


def test_the_owner_is_found_where_somebody_else_may_read(storage, owners, tmp_path):
    """The data directory was lost, and a copy was restored first."""
    enter(storage, Owners(tmp_path / "elsewhere"), guest(A))
    newest = put_backup(storage, A)
    open_for_reading(storage, owners, B)
    assert enter(storage, owners, guest(A, newest=lambda: [newest])).owner == A


def test_files_without_an_owner_are_opened_to_nobody(storage, owners):
    storage.put_bytes(b"x", "backup.zip")
    for purpose in Purpose:
        with pytest.raises(PlaceNotEmpty):
            enter(storage, owners, guest(A), purpose)
    typed = guest(A, lent=False)
    assert enter(storage, owners, typed, Purpose.READ) is None
    assert enter(storage, owners, typed).owner == A


def test_a_marker_that_is_gone_is_written_again_beside_our_newest(storage, owners):
    enter(storage, owners, guest(A))
    place_id, newest = known(storage), put_backup(storage, A)
    storage.delete(MARKER)
    there = guest(A, known_id=place_id, newest=lambda: [newest])
    assert enter(storage, owners, there).owner == A
    assert known(storage) == place_id


def test_an_unmounted_location_is_neither_written_nor_read(storage, owners, tmp_path):
    enter(storage, owners, guest(A))
    place_id, newest = known(storage), put_backup(storage, A)
    for found in list(storage.list()):
        storage.delete(found.key)
    there = guest(A, known_id=place_id, newest=lambda: [newest])
    for lent in (True, False):
        for purpose in Purpose:
            with pytest.raises(PlaceLost):
                enter(storage, owners, replace(there, lent=lent), purpose)
    assert list(storage.list()) == []
    shutil.rmtree(tmp_path / "place")
    with pytest.raises(DirectoryMissing):
        enter(storage, owners, there)


def test_another_manifest_under_our_name_proves_nothing(storage, owners):
    enter(storage, owners, guest(A))
    place_id, newest = known(storage), put_backup(storage, A)
    storage.delete(MARKER)
    other = replace(newest, sha256="cd" * 32)
    with pytest.raises(PlaceLost):
        enter(storage, owners, guest(A, known_id=place_id, newest=lambda: [other]))


def test_another_disk_is_not_taken_for_the_first(storage, owners):
    enter(storage, owners, guest(A))
    with pytest.raises(OtherPlace):
        enter(storage, owners, guest(A, known_id="0" * 32))


def test_a_folder_that_was_shared_stays_shared(storage, owners):
    ours, theirs = put_backup(storage, A), put_backup(storage, B)
    first = guest(A, was_there=True, newest=lambda: [ours])
    second = guest(B, was_there=True, newest=lambda: [theirs])
    assert enter(storage, owners, first).owner == A
    assert enter(storage, owners, second).is_shared_for(B)
    for visitor, own, foreign in ((first, ours, theirs), (second, theirs, ours)):
        seen = guarded(storage, owners, visitor)
        assert {found.key for found in seen.list()} == {
            own.key,
            sidecar_key(own.key),
        }
        with seen.open(own.key) as stream:
            assert stream.read() == b"x"
        for key in (foreign.key, sidecar_key(foreign.key)):
            with pytest.raises(NotOwnInShared):
                seen.open(key)
        with pytest.raises(NotOwnInShared):
            seen.download_url(foreign.key, foreign.key, 1)
    newcomer = Identity("cccc", "7001", 16003, "third")
    for visitor in (guest(newcomer), guest(newcomer, was_there=True)):
        with pytest.raises(PlaceOfAnother):  # it has no backups there
            enter(storage, owners, visitor)
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, guest(MOVED, was_there=True), Purpose.READ)


def test_whoever_comes_first_into_a_shared_folder_sees_its_own_only(storage, owners):
    """The others may be upgraded much later, or never."""
    ours, theirs = put_backup(storage, A), put_backup(storage, B)
    first = guest(A, was_there=True, newest=lambda: [ours])
    assert enter(storage, owners, first).is_shared_for(A)
    seen = guarded(storage, owners, first)
    assert ours.key in {found.key for found in seen.list()}
    assert theirs.key not in {found.key for found in seen.list()}
    with pytest.raises(NotOwnInShared):
        seen.open(theirs.key)


@pytest.mark.parametrize("former", [frozenset(), frozenset([B.uuid])])
def test_a_folder_of_one_database_is_not_shared(storage, owners, former):
    ours = put_backup(storage, A)
    if former:  # it has taken the place of the one that has stored there
        put_backup(storage, B)
    storage.put_bytes(b"{", "odd.json")
    first = guest(A, was_there=True, newest=lambda: [ours], former=former)
    assert not enter(storage, owners, first).is_shared_for(A)


def test_the_operator_opens_all_of_a_shared_folder(storage, owners):
    ours, theirs = put_backup(storage, A), put_backup(storage, B)
    first = guest(A, was_there=True, newest=lambda: [ours])
    second = guest(B, was_there=True, newest=lambda: [theirs])
    for visitor in (first, second):
        enter(storage, owners, visitor)
    open_to(storage, owners, A)
    assert theirs.key in {found.key for found in guarded(storage, owners, first).list()}
    seen = {found.key for found in guarded(storage, owners, second).list()}
    assert theirs.key in seen
    assert ours.key not in seen


def test_a_new_archive_in_a_shared_folder_is_read_back_before_its_manifest(
    storage, owners, tmp_path
):
    ours, theirs = put_backup(storage, A), put_backup(storage, B)
    enter(storage, owners, guest(A, was_there=True, newest=lambda: [ours]))
    second = guest(B, was_there=True, newest=lambda: [theirs])
    (tmp_path / "source").write_bytes(b"y")
    seen = guarded(storage, owners, second)
    key = "office-20261125T023000Z-abcdefgh.zip"
    seen.put(tmp_path / "source", key, Progress())
    with seen.open(key) as stream:
        assert stream.read() == b"y"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"[" * 100_000,
        b"null",
        b'{"id": "../../x", "owner": null}',
        b'{"id": 5, "owner": null}',
        b'{"id": "' + b"0" * 32 + b'", "owner": [1]}',
        b'{"id": "' + b"0" * 32 + b'", "owner": {"uuid": 5}}',
        b"\xff",
    ],
)
def test_a_marker_is_not_believed(storage, owners, data):
    storage.put_bytes(data, MARKER)
    assert read_marker(storage) is None
    assert enter(storage, owners, guest(A)).owner == A
    assert owners.find(known(storage)).owner == A


def test_a_second_claim_of_a_moment_is_refused(storage, owners, monkeypatch):
    create = storage.create

    def create_late(data, key):
        enter(late, owners, guest(B))
        return create(data, key)

    late = LocalStorage(storage.local_path("x") or storage._path, LocalRules(["/"]))
    monkeypatch.setattr(storage, "create", create_late)
    with pytest.raises(PlaceRaced):
        enter(storage, owners, guest(A))
    assert owners.find(known(storage)).owner == B


def test_a_marker_that_a_writer_has_forged_opens_nothing(storage, owners):
    enter(storage, owners, guest(A))
    put_backup(storage, A)
    storage.put_bytes(Marker("0" * 32, B).to_bytes(), MARKER)
    for purpose in Purpose:
        with pytest.raises(PlaceOfAnother):
            enter(storage, owners, guest(B), purpose)


def test_whoever_is_killed_while_claiming_owns_the_location(
    storage, owners, monkeypatch
):
    class Killed(BaseException):
        pass

    create = storage.create

    def create_and_die(data, key):
        create(data, key)
        raise Killed

    monkeypatch.setattr(storage, "create", create_and_die)
    with pytest.raises(Killed):
        enter(storage, owners, guest(A))
    monkeypatch.undo()
    assert enter(storage, owners, guest(A)).owner == A


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
@pytest.mark.parametrize("suffix, identity", [(".json", A), (".readers", B)])
def test_what_cannot_be_read_opens_nothing(
    storage, owners, tmp_path, text, suffix, identity
):
    enter(storage, owners, guest(A))
    path = tmp_path / "data" / "owners" / f"{known(storage)}{suffix}"
    path.write_text(text)
    with pytest.raises(RecordUnreadable):
        enter(storage, owners, guest(identity), Purpose.READ)


def test_a_storage_that_does_not_tell_is_not_empty(storage, owners, monkeypatch):
    monkeypatch.setattr(storage, "peek", lambda key, most: UNKNOWN)
    with pytest.raises(PlaceNotEmpty):
        enter(storage, owners, guest(A))
    assert enter(storage, owners, guest(A, lent=False)).owner == A
    there = guest(A, lent=False, known_id="0" * 32)
    assert enter(storage, owners, there) is None  # not “missing”


@pytest.mark.parametrize("purpose", Purpose)
def test_a_storage_that_does_not_tell_opens_nothing_of_another_database(
    storage, owners, monkeypatch, purpose
):
    enter(storage, owners, guest(A))
    copied = guest(B, known_id=known(storage))  # the id came with a raw copy
    monkeypatch.setattr(storage, "peek", lambda key, most: UNKNOWN)
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, copied, purpose)
    assert enter(storage, owners, guest(A, known_id=copied.known_id), purpose)


def test_who_may_only_read_does_so_where_the_storage_does_not_tell(
    storage, owners, monkeypatch
):
    enter(storage, owners, guest(A))
    reader = guest(B, known_id=known(storage))
    owners.open_for_reading(reader.known_id, B)
    monkeypatch.setattr(storage, "peek", lambda key, most: UNKNOWN)
    assert enter(storage, owners, reader, Purpose.READ).owner == A
    with pytest.raises(PlaceOfAnother):
        enter(storage, owners, reader, Purpose.WRITE)


def test_records_outlive_their_json(owners):
    record = Record(A, "/x/", (B,), (MOVED,))
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
