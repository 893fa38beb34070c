"""What an incremental backup costs where it can be counted: requests, files opened,
temporary space. How fast it is, ``make bench WHAT=days`` says."""

import errno
import os
import resource
import threading
from datetime import timedelta

import pytest
from killed import killed_at
from packs_world import (
    HereStorage,
    MemoryStorage,
    Server,
    complete_backups,
    expected,
    opened_in,
    packs_in,
    restored,
)

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.encryption.files import Passphrase
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.packs.maker import PackMaker
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.packing import Packing
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.progress import Progress

FILES = 40
ONE_EACH = Terms(pack_files=1, small_bytes=0)
LISTS = 3  # at the beginning, before the sidecar, and after it
OWN = {"put": 2, "stat": 1, "open": 1}  # the archive, read back, and the sidecar
SECONDS = 30  # until a test gives up waiting


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one", terms=ONE_EACH)


@pytest.fixture
def names(server):
    return [server.write(f"content {n}".encode() * 20) for n in range(FILES)]


# === REQUESTS === #


def counted(server, storage, names):
    """Return what is asked of the storage by the next day's backup."""
    storage.pass_time(days=1)
    storage.counts.clear()
    server.backup(names)
    return storage.counts


def test_requests_do_not_grow_with_packs(server, storage, names):
    server.backup(names)
    assert len(packs_in(storage)) == FILES
    assert counted(server, storage, names) == {"list": LISTS, **OWN}


def test_new_pack_is_stored_read_back_and_described(server, storage, names):
    server.backup(names)
    names.append(server.write(b"new"))
    twice = {name: 2 * count for name, count in OWN.items()}
    assert counted(server, storage, names) == {"list": LISTS, **twice}


# === WHAT IS READ === #


def test_stored_files_are_not_opened(server, storage, names):
    server.backup(names)
    new = server.write(b"new")
    with opened_in(server.root) as opened:
        server.backup([*names, new])
    assert opened == [str(server.root / new)]


def test_more_packs_than_open_files(server, storage, names):
    server.backup(names)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/proc/self/fd")) + FILES // 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        _key, packed = server.backup(names)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(packed.uses) == FILES


# === TEMPORARY SPACE === #


def bytes_in(folder):
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("encrypted", [False, True])
def test_few_packs_lie_here(server, storage, tmp_path, encrypted):
    """Four at most: one that is made, one that is stored, and that one encrypted."""
    size = 1 << 20
    names = [server.write(os.urandom(size)) for _number in range(8)]
    if encrypted:
        key = Passphrase("a long passphrase", work_factor=10)
        server.encryption = PackEncryption("mark", key)
    seen = []

    def look(name, key):
        if name == "put" and "-files-" in key:
            # what is made meanwhile has time to become complete
            waited = threading.Event()
            for _number in range(20):
                seen.append(bytes_in(server.making().work))
                waited.wait(0.01)

    storage.operation = look
    server.backup(names)
    assert len(packs_in(storage)) == len(names)
    assert size < max(seen) < 4 * size
    assert not server.making().work.exists()


# === A PACK IS STORED WHILE THE NEXT ONE IS MADE === #


class Silent(MemoryStorage):
    """Falls silent with the first pack that it gets, until the transfer is ended."""

    def __init__(self):
        super().__init__()
        self.begun, self.ended = threading.Event(), threading.Event()

    def put(self, source, key, progress):
        self.begun.set()
        try:
            for _number in range(SECONDS * 100):
                self.ended.wait(0.01)
                progress.tick()
        finally:
            self.ended.set()


def test_next_pack_is_made_meanwhile(server, storage, names):
    made, waited = [], threading.Event()

    def look(name, key):
        if name == "put" and key.endswith(".zip") and not made:
            made.append(False)
            for _number in range(SECONDS * 100):
                made[0] = len(list(server.making().work.rglob("*.part"))) > 1
                if made[0]:
                    return
                waited.wait(0.01)

    storage.operation = look
    key, _packed = server.backup(names)
    assert made == [True]
    assert restored(storage, key) == expected(server, names)


def test_cancel_ends_what_is_stored(tmp_path):
    storage = Silent()
    server = Server(storage, tmp_path / "one", terms=ONE_EACH)
    names = [server.write(f"content {n}".encode()) for n in range(FILES)]
    own = ArchiveWriter.create(tmp_path / "own.zip")

    def cancel(_progress):
        if storage.begun.is_set():
            raise Cancelled

    with pytest.raises(Cancelled):
        Packing(server.making()).pack(
            own, server.root, lambda: server.attachments(names), Progress(cancel)
        )
    assert storage.ended.is_set()
    assert not server.making().work.exists()
    assert storage.objects == {}
    own.release()


def test_error_in_storing_ends_the_run(server, storage, names):
    def refuse(name, key):
        if name == "put" and key.endswith(".zip") and len(packs_in(storage)) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    storage.operation = refuse
    with pytest.raises(OSError) as caught:  # noqa: PT011
        server.backup(names)
    assert caught.value.errno == errno.EIO
    storage.operation = lambda name, key: None
    assert not server.making().work.exists()
    storage.pass_time(days=1)
    _key, packed = server.backup(names)
    assert packed.new_files == FILES - 3


KILLED = [
    ("packs.pack.stored", 5),
    ("packs.sidecar.stored", 5),
    ("archive.finalized", 5),
    ("archive.directory.written", 5),
    ("archive.journal.written", 9),
]


@pytest.fixture
def killed(tmp_path):
    """What makes a server whose backup was killed at a checkpoint, met so many times;
    it returns (server, names of the files)."""

    def make(point, times, encryption=None):
        storage = HereStorage(tmp_path / "storage")
        server = Server(storage, tmp_path / "one", terms=ONE_EACH)
        server.encryption = encryption
        names = [server.write(f"content {n}".encode()) for n in range(FILES)]
        killed_at(point, times, lambda: server.backup(names))
        assert complete_backups(storage) == set()
        return server, names

    return make


@pytest.mark.parametrize("point, times", KILLED)
def test_kill_costs_nothing_of_what_was_packed(killed, monkeypatch, point, times):
    server, names = killed(point, times)
    there = server.storage.objects.keys()
    stored = sum(sidecar_key(key) in there for key in packs_in(server.storage))
    work = server.making().work
    assert list(work.rglob("*.part"))
    read, really = [], PackMaker.add_prepared

    def add_prepared(maker, prepared):
        read.append(prepared.name)
        really(maker, prepared)

    monkeypatch.setattr(PackMaker, "add_prepared", add_prepared)
    server.storage.now += timedelta(days=1)
    key, packed = server.backup(names, again=True)
    is_described = point == "packs.sidecar.stored"
    assert len(read) <= FILES - stored - (not is_described)
    assert len(packs_in(server.storage)) == FILES, "none is stored twice"
    assert packed.new_files == FILES - stored
    assert restored(server.storage, key) == expected(server, names)
    assert not work.exists()


def test_kill_while_a_pack_is_encrypted_costs_that_one(killed):
    key = PackEncryption("mark", Passphrase("a long passphrase", work_factor=10))
    server, names = killed("packs.pack.stored", 5, key)
    server.storage.now += timedelta(days=1)
    server.backup(names, again=True)
    assert len(packs_in(server.storage)) == FILES


@pytest.mark.parametrize("damage", ["cut", "journal", "content", "other"])
def test_what_is_left_of_a_pack_and_damaged_is_packed_again(killed, damage):
    server, names = killed("archive.finalized", 5)
    for path in server.making().work.rglob("*.part"):
        journal = next(path.parent.glob("*journal*"))
        if damage == "cut":
            os.truncate(path, 20)
        elif damage == "journal":
            journal.unlink()
        elif damage == "content":
            data = path.read_bytes()
            path.unlink()  # the storage may have the same file
            path.write_bytes(data.replace(b"content", b"CONTENT"))
        else:
            (path.parent / "0").mkdir()
    server.storage.now += timedelta(days=1)
    key, _packed = server.backup(names, again=True)
    assert restored(server.storage, key) == expected(server, names)
    assert not server.making().work.exists()


def test_kill_of_the_day_before_costs_a_day(killed):
    """Its working folder is gone: what it has stored is used."""
    server, names = killed("packs.sidecar.stored", 5)
    server.storage.now += timedelta(days=1)
    key, packed = server.backup(names)
    assert FILES - 5 <= packed.new_files <= FILES - 4
    assert restored(server.storage, key) == expected(server, names)
