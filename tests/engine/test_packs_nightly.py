"""Packs and files that are stored already, read again a part each night."""

from dataclasses import replace
from datetime import timedelta

import pytest
from killed import killed_at
from packs_law import changed
from packs_world import (
    BEGIN,
    SHOP,
    HereStorage,
    MemoryStorage,
    Server,
    opened_in,
    packs_in,
)

from dfr_backup.engine.encryption.files import Passphrase
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import Cancelled, RetryableError
from dfr_backup.engine.errors.local import DiskBroken
from dfr_backup.engine.errors.packs import NotNoted, SignatureWrong
from dfr_backup.engine.packs.index import Index, known_pack
from dfr_backup.engine.packs.listing import Listing
from dfr_backup.engine.packs.names import condemned_key
from dfr_backup.engine.packs.nightly import Night, Nightly
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.prune import condemn_damaged
from dfr_backup.engine.packs.readings import DAY, FILE, FOLDERS, Readings, oldest
from dfr_backup.engine.packs.terms import TERMS, Terms
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.sources.filestore_again import ReadAgain

ONE_EACH = Terms(pack_files=1, small_bytes=0)
FILES = 40
ONE_NIGHT = 2  # a thirtieth of so many packs, rounded up


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one", terms=ONE_EACH)


@pytest.fixture
def packs(server, storage):
    """The packs of a backup of which nobody knows when they were read."""
    backed_up(server)
    return sorted(packs_in(storage))


def backed_up(server):
    server.backup([server.write(f"content {n}".encode() * 9) for n in range(FILES)])
    forget(server)


def forget(server):
    (server.place.index / FILE).unlink()


def night(server, terms=ONE_EACH, owner=None, check=None):
    """Read what is due; return what was found, and which packs were read back."""
    storage, opened = server.storage, []
    before, storage.operation = storage.operation, lambda n, k: opened.append((n, k))
    owner = owner or server.owner
    found = Night()

    def condemn(use):
        condemn_damaged(storage, owner, use)

    try:
        nightly = Nightly(server.place, owner, condemn, terms)
        nightly.read(storage.now, found, Progress(check))
    finally:
        storage.operation = before
    return found, [k for n, k in opened if n == "open" and k in packs_in(storage)]


# === WHICH ARE DUE === #


class Unsaved(Readings):
    """Kept in memory: a year of nights has many notes."""

    def save(self):
        self.saved = True


@pytest.mark.parametrize("count", [1, 2, 29, 30, 31, 61, 800])
@pytest.mark.parametrize("every", [1, 2, 5, 7])
def test_all_are_read_in_time(tmp_path, count, every):
    """From the beginning on each one within thirty days, and never many at once."""
    now = BEGIN
    keys = [f"pack {number}" for number in range(count)]
    readings = Unsaved(tmp_path / FILE)
    last = dict.fromkeys(keys, now)
    for _run in range(0, 90, every):
        readings.begin_night(keys, now, TERMS)
        assert 1 <= len(readings.left) <= 2 * -(-count * every // 30)
        for key in list(readings.left):
            readings.note([key], now)
            assert now - last[key] <= timedelta(days=30 + every)
            last[key] = now
        now += timedelta(days=every)
    assert min(last.values()) >= now - timedelta(days=30 + every)


def test_longest_not_read_comes_first():
    now = BEGIN.timestamp()
    read = {"a": now - 9 * DAY, "b": now - 11 * DAY, "c": now - 10 * DAY}
    assert oldest(read, read, BEGIN, 1, TERMS) == ["b"]
    assert oldest([*read, "new"], read, BEGIN, 1, TERMS) == ["new"]


def test_what_was_read_in_the_future_was_never_read():
    now = BEGIN.timestamp()
    read = {"a": now + DAY, "b": now - 11 * DAY}
    assert oldest(read, read, BEGIN, 1, TERMS) == ["a"]


@pytest.mark.parametrize("ahead", [0, 4])
def test_what_was_read_just_now_is_not_read(ahead):
    """Nor what was packed once more, by a time that is a little later."""
    assert oldest(["a"], {"a": BEGIN.timestamp() + ahead}, BEGIN, 1, TERMS) == []


def test_new_packs_were_read(server, storage):
    names = [server.write(f"content {n}".encode()) for n in range(3)]
    server.backup(names)
    assert night(server) == (Night(packs=3, days=30), [])
    storage.pass_time(days=1)
    found, read = night(server)
    assert (found.read, len(read)) == (1, 1)


# === READ === #


def test_a_thirtieth_is_read_once_a_day(server, storage, packs):
    found, read = night(server)
    assert (found.packs, found.read, found.days) == (FILES, ONE_NIGHT, 30)
    assert len(set(read)) == ONE_NIGHT
    assert found.size == sum(len(storage.objects[key][0]) for key in read)
    storage.pass_time(hours=19)
    assert night(server)[1] == []
    storage.pass_time(hours=2)
    _found, again = night(server)
    assert len(again) == ONE_NIGHT
    assert not set(read) & set(again)


def test_every_pack_is_read_within_a_month(server, storage, packs):
    read = []
    for _day in range(30):
        storage.pass_time(days=1)
        read += night(server)[1]
    assert set(read) == set(packs)


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "changed"])
def test_damaged_pack_is_condemned(server, storage, packs, lost):
    due = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    data, modified = storage.objects[due]
    storage.objects[due] = (data[:-1] if lost else changed(data)), modified
    found, _read = night(server)
    assert list(found.damaged) == [due]
    assert found.read == ONE_NIGHT - 1
    assert condemned_key(due) in storage.objects
    storage.pass_time(days=1)
    assert night(server)[0].damaged == {}
    _key, packed = server.backup(
        [server.write(f"content {n}".encode() * 9) for n in range(FILES)]
    )
    assert packed.new_files == 1
    assert due not in {use.key for use in packed.uses}


def test_encrypted_packs_are_read(server, storage):
    key = Passphrase("a long passphrase", work_factor=10)
    server.encryption = PackEncryption("mark", key)
    backed_up(server)
    found, read = night(server)
    assert (found.read, len(read)) == (ONE_NIGHT, ONE_NIGHT)


def test_packs_of_another_database_are_not_judged(server, storage, tmp_path):
    """A clone with the same uuid reads its own, and says nothing about these."""
    clone = Server(storage, tmp_path / "clone", replace(SHOP, oid=7), terms=ONE_EACH)
    backed_up(clone)
    for key in packs_in(storage):
        data, modified = storage.objects[key]
        storage.objects[key] = changed(data), modified
    server.place.index.mkdir(parents=True, exist_ok=True)
    found, read = night(server)
    assert (found.damaged, found.unread, read) == ({}, {}, [])
    assert len(night(clone)[0].damaged) == ONE_NIGHT


def test_damaged_packs_of_a_lost_key_are_condemned(server, storage, packs):
    for key in packs:
        data, modified = storage.objects[key]
        storage.objects[key] = changed(data), modified
    signer = type(server.owner.signer)(Key(bytes(32)))
    found, _read = night(server, owner=replace(server.owner, signer=signer))
    assert len(found.damaged) == ONE_NIGHT
    condemned = {key for key in storage.objects if key.endswith(".condemned")}
    assert condemned == set(map(condemned_key, found.damaged))


def test_only_what_was_compared_is_forgotten(server, storage, packs):
    """A changed manifest may call a good pack something else."""
    index = Index(server.place, server.owner)
    use = known_pack(server.place.index, packs[0]).about.use(None)
    index.forget_damaged(replace(use, sha256="0" * 64))
    assert known_pack(server.place.index, packs[0])
    index.forget_damaged(use)
    assert not known_pack(server.place.index, packs[0])
    index.forget_damaged(use)


def test_pack_that_cannot_be_read_stops_no_other(server, storage, packs):
    due = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    beside = due.replace(".zip", ".json")
    storage.objects[beside] = b"{}", storage.objects[beside][1]
    found, read = night(server)
    assert (list(found.unread), found.read, len(read)) == ([due], 1, 1)


def test_pack_that_goes_meanwhile(server, storage, packs):
    """Another server has pruned it: it stands in the list, and is gone."""
    listed = dict(Listing.of(storage, Progress()).objects)
    due = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    for key in (due, due.replace(".zip", ".json")):
        del storage.objects[key]
    storage.list = lambda: iter(listed.values())
    found, _read = night(server)
    assert (list(found.unread), found.read) == ([due], 1)
    assert condemned_key(due) not in storage.objects


# === BOUNDED, AND INTERRUPTED === #


def test_time_is_up(server, storage, packs):
    hurried = replace(ONE_EACH, read_seconds=-1.0)
    found, read = night(server, hurried)
    assert (found.read, len(read), found.days) == (1, 1, FILES)
    assert night(server, hurried)[1] == []  # not before the next night
    storage.pass_time(days=1)
    assert set(night(server, hurried)[1]).isdisjoint(read)


def test_storage_that_does_not_answer(server, storage, packs):
    class Busy(RetryableError):
        pass

    def refuse(name, key):
        if name == "open" and key in packs:
            raise Busy

    nightly = Nightly(server.place, server.owner, lambda use: None, ONE_EACH)
    storage.retries = replace(storage.retries, patience=0)
    storage.operation = refuse
    with pytest.raises(Busy):
        nightly.read(storage.now, Night(), Progress())
    storage.operation = lambda name, key: None
    assert night(server)[1] == []  # hourly runs do not wait for it again and again
    storage.pass_time(days=1)
    assert night(server)[0].read == 2 * ONE_NIGHT


def unreadable(storage, *keys):
    """Let a disk have a bad sector in each of these packs."""

    def refuse(name, key):
        if name == "open" and key in keys:
            raise DiskBroken(folder=key)

    storage.retries = replace(storage.retries, patience=0)
    storage.operation = refuse


def watched_night(server):
    found = Night()
    nightly = Nightly(server.place, server.owner, lambda use: None, ONE_EACH)
    nightly.read(server.storage.now, found, Progress())
    return found


def test_unreadable_pack_stops_no_other(server, storage, packs):
    """It is tried behind the others in the next nights, for as long as it is there."""
    bad = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    unreadable(storage, bad)
    found = watched_night(server)
    assert (list(found.unread), found.nights) == ([bad], {})
    read = found.read
    for nights in (2, 3, 4):
        assert watched_night(server).unread == {}  # a run of the same night
        storage.pass_time(days=1)
        found = watched_night(server)
        assert found.nights == {bad: nights}
        read += found.read
    assert read == 4 * ONE_NIGHT - 1
    assert bad not in Readings.of(server.place.index).packs
    storage.operation = lambda name, key: None
    storage.pass_time(days=1)
    found = watched_night(server)
    assert (found.unread, found.nights) == ({}, {})
    readings = Readings.of(server.place.index)
    assert bad in readings.packs
    assert readings.unread == {}


def test_where_time_is_short_an_unreadable_pack_is_tried_again(server, storage, packs):
    bad = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    unreadable(storage, bad)
    watched_night(server)
    readings = Readings.of(server.place.index)
    readings.begin_night(packs, storage.now + timedelta(days=1), ONE_EACH)
    assert readings.left.index(bad) == 1


def test_many_unreadable_packs_do_not_hide_the_others(server, storage, packs):
    bad = oldest(packs, {}, storage.now, 30, ONE_EACH)[:6]
    unreadable(storage, *bad)
    seen, failures = Night(), 0
    for _day in range(40):
        found = Night()
        nightly = Nightly(server.place, server.owner, lambda use: None, ONE_EACH)
        try:
            nightly.read(storage.now, found, Progress())
        except DiskBroken:
            failures += 1
        seen.nights |= found.nights
        storage.pass_time(days=1)
    assert set(seen.nights) == set(bad)
    assert failures == len(bad) / 2
    assert set(Readings.of(server.place.index).packs) == set(packs) - set(bad)


def test_description_that_was_changed_is_told(server, storage, packs):
    due = oldest(packs, {}, storage.now, 1, ONE_EACH)[0]
    beside = due.replace(".zip", ".json")
    data, modified = storage.objects[beside]
    storage.objects[beside] = data.replace(b'"files": 1', b'"files": 2'), modified
    found, _read = night(server)
    assert isinstance(found.unread[due], SignatureWrong)
    assert due not in Readings.of(server.place.index).packs


def test_cancel_is_heard_and_the_night_goes_on(server, storage, packs):
    calls = []

    def cancel(_progress):
        calls.append(1)
        raise Cancelled

    progress = Progress(cancel)
    progress._next_report = 0  # as if a second had passed
    nightly = Nightly(server.place, server.owner, lambda use: None, ONE_EACH)
    with pytest.raises(Cancelled):
        nightly.read(storage.now, Night(), progress)
    assert calls
    assert night(server)[0].read == ONE_NIGHT


def test_kill_forgets_only_the_pack_that_is_being_read(tmp_path):
    storage = HereStorage(tmp_path / "storage")
    server = Server(storage, tmp_path / "one", terms=ONE_EACH)
    names = [server.write(f"content {n}".encode()) for n in range(61)]
    server.backup(names)
    forget(server)
    nightly = Nightly(server.place, server.owner, lambda use: None, ONE_EACH)
    killed_at("packs.read", 2, lambda: nightly.read(storage.now, Night(), Progress()))
    found = Night()
    nightly.read(storage.now, found, Progress())
    assert found.read == 3 - 2
    found = Night()
    nightly.read(storage.now, found, Progress())
    assert found.read == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"packs": 1}', b"\xff"])
def test_damaged_notes_are_no_notes(server, storage, packs, content):
    night(server)
    (server.place.index / FILE).write_bytes(content)
    assert Readings.of(server.place.index) == Readings(server.place.index / FILE)
    assert night(server)[0].read == ONE_NIGHT


def test_nothing_can_be_noted(server, storage, packs):
    (server.place.index / FILE).mkdir()
    with pytest.raises(NotNoted):
        night(server)


def test_notes_of_packs_that_are_gone_go(server, storage, packs):
    night(server)
    storage.pass_time(days=1)
    for key in packs[1:]:
        del storage.objects[key]
    night(server)
    assert set(Readings.of(server.place.index).packs) == {packs[0]}


# === THE FILESTORE === #


def test_every_folder_is_read_within_a_month(tmp_path):
    readings, now, seen = Unsaved(tmp_path / FILE), BEGIN, set()
    for _day in range(30):
        folders = readings.folders(now, TERMS)
        assert 0 < len(folders) <= FOLDERS // 30 + 1
        readings.note_folders(folders, now)
        assert readings.folders(now + timedelta(hours=1), TERMS) == set()
        seen |= folders
        now += timedelta(days=1)
    assert len(seen) == FOLDERS


def test_only_what_is_due_is_read(server):
    one, two = server.write(b"one"), server.write(b"two")
    again = ReadAgain(server.root, lambda name: name == one)
    with opened_in(server.root) as opened:
        assert again.problem(one, 3, Progress()) is None
        assert again.problem(two, 3, Progress()) is None
    assert opened == [str(server.root / one)]
    assert (again.files, again.bytes) == (1, 3)


def test_other_content_is_a_problem(server):
    one = server.write(b"one")
    (server.root / one).write_bytes(b"eno")
    again = ReadAgain(server.root, lambda name: True)
    assert one in str(again.problem(one, 3, Progress()))


def test_what_was_seen_already_is_none(server):
    """Missing files, and those of another size, were reported when they were looked
    at."""
    one, two = server.write(b"one"), server.write(b"two")
    (server.root / one).write_bytes(b"longer")
    (server.root / two).unlink()
    again = ReadAgain(server.root, lambda name: True)
    assert again.problem(one, 3, Progress()) is None
    assert again.problem(two, 3, Progress()) is None
    assert again.files == 0


def test_damage_in_the_filestore_is_reported_and_the_backup_is_whole(server, storage):
    from dfr_backup.engine.archive.writer import ArchiveWriter
    from dfr_backup.engine.packs.packing import Packing

    names = [server.write(f"content {n}".encode()) for n in range(4)]
    server.backup(names)
    (server.root / names[1]).write_bytes(b"CONTENT 1")
    (server.root / names[2]).write_bytes(b"longer than it was")
    own = ArchiveWriter.create(server.folder / "own.zip")
    packed = Packing(server.making()).pack(
        own,
        server.root,
        lambda: server.attachments(names),
        Progress(),
        ReadAgain(server.root, lambda name: True),
    )
    own.release()
    assert packed.report.damaged_count == 2
    assert {issue.store_fname for issue in packed.report.troubles} == {*names[1:3]}
    assert (packed.new_files, packed.content.files) == (0, 4)
