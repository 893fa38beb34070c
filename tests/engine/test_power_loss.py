"""The power fails while a local storage is written: only what was synced survives.
Whatever is there afterwards, a manifest means a complete archive, and the next
attempt ends well."""

import hashlib
import json
import os

import pytest
from power import recorded

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.encryption.age_keys import generate_key, parse_recipients
from dfr_backup.engine.encryption.files import encrypt_file
from dfr_backup.engine.encryption.secret_box import load_or_create_key
from dfr_backup.engine.errors import Mismatch
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.ownership.originals import Originals
from dfr_backup.engine.ownership.owners import Owners, Record
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.marker import Marker
from dfr_backup.engine.storages.local import storage as local
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

KEY, MANIFEST = "db.zip", "db.json"
IDENTITY = Identity("u-1")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """An archive of three pieces, on the disk."""
    monkeypatch.setattr(local, "COPY_CHUNK", 8)
    path = tmp_path / "work.zip"
    path.write_bytes(os.urandom(24))
    return path


def storage_in(folder):
    storage = LocalStorage(folder, LocalRules([folder.parent]))
    storage.prepare()
    return storage


def store(storage, source):
    """What a run does with its archive: store, verify, and again when that fails."""
    for _attempt in range(2):
        storage.put(source, KEY, Progress())
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        storage.put_bytes(json.dumps({"sha256": digest}).encode(), MANIFEST)
        try:
            storage.verify(KEY, source.stat().st_size, digest, Progress())
            return
        except Mismatch:
            storage.delete(MANIFEST)
            storage.delete(KEY)
    raise AssertionError("stored twice, and damaged twice")


def holds(state):
    """A manifest that is there can be read, and its archive is the one that it tells
    of."""
    if MANIFEST not in state:
        return False
    told = json.loads(state[MANIFEST])["sha256"]
    assert hashlib.sha256(state[KEY]).hexdigest() == told
    return True


def lay_out(folder, state):
    folder.mkdir(mode=0o700)
    for name, content in state.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("how", ["second name", "copy"])
def test_manifest_means_a_complete_archive(tmp_path, source, how):
    if how == "copy":
        (tmp_path / "another name").hardlink_to(source)
    storage = storage_in(tmp_path / "disk")
    with recorded(tmp_path / "disk", source) as recorder:
        store(storage, source)
    assert recorder.count >= 7  # or the recorder hears nothing
    states = recorder.crashes
    assert {*map(holds, states)} == {True, False}
    assert all(map(holds, recorder.at_the_end))
    for number, state in enumerate(states):
        folder = tmp_path / f"after{number}"
        lay_out(folder, state)
        store(storage_in(folder), source)
        assert sorted(
            path.name for path in folder.iterdir() if path.suffix != ".part"
        ) == [
            MANIFEST,
            KEY,
        ]
        assert (folder / KEY).read_bytes() == source.read_bytes()


def test_a_power_loss_while_a_backup_is_deleted(tmp_path, source):
    storage = storage_in(tmp_path / "disk")
    store(storage, source)
    with recorded(tmp_path / "disk") as recorder:
        storage.delete(MANIFEST)
        storage.delete(KEY)
    assert {*map(holds, recorder.crashes)} == {True, False}
    assert recorder.at_the_end == [{}]


def test_a_new_directory_stays(tmp_path):
    with recorded(tmp_path) as recorder:
        storage_in(tmp_path / "one" / "two")
    assert all("one" in state for state in recorder.at_the_end)


def test_a_finalized_archive_stays(tmp_path):
    with recorded(tmp_path) as recorder:
        writer = ArchiveWriter.create(tmp_path / "archive.part")
        writer.add_bytes("dump.sql", b"SELECT 1;")
        finalized = writer.close()
    for state in recorder.at_the_end:
        assert hashlib.sha256(state["archive.part"]).hexdigest() == finalized.sha256


def test_what_was_saved_stays(tmp_path):
    path = tmp_path / "work" / "archive.part"
    path.parent.mkdir()
    with recorded(path.parent) as recorder:
        writer = ArchiveWriter.create(path)
        writer.add_bytes("dump.sql", b"SELECT 1;")
        saved = writer.save()
        writer.release()
    for number, state in enumerate(recorder.at_the_end):
        folder = tmp_path / f"after{number}"
        lay_out(folder, state)
        writer = ArchiveWriter.resume(folder / path.name, at_least=saved)
        assert [member.name for member in writer.members()] == ["dump.sql"]
        writer.release()


def test_an_encrypted_archive_stays(tmp_path, source):
    recipients = parse_recipients(generate_key().public)
    with recorded(tmp_path) as recorder:
        encrypted = encrypt_file(
            source, tmp_path / "archive.age", recipients, Progress()
        )
    contents = {hashlib.sha256(state.get("archive.age", b"")).hexdigest()
                for state in recorder.at_the_end}  # fmt: skip
    assert encrypted.sha256 in contents
    assert len(contents) <= 2


# === WHAT THE SERVER KNOWS === #


def original_in(folder):
    Originals(folder).claim(IDENTITY)


def handed_over_in(folder):
    Originals(folder).hand_over(IDENTITY)


def owner_in(folder):
    Owners(folder).claim("0" * 32, Record(IDENTITY))


def key_in(folder):
    load_or_create_key(folder / "key")


def restore_in(folder):
    Marker.create(folder / "dfr_restore_1", {"database": "new"}).close()


@pytest.mark.parametrize(
    "write", [original_in, handed_over_in, owner_in, key_in, restore_in]
)
def test_what_the_server_knows_stays(tmp_path, write):
    """The key that secrets are encrypted with, who is whose, what a restore is about to
    make: nobody could tell them again."""
    (tmp_path / "known").mkdir()
    with recorded(tmp_path / "known") as recorder:
        write(tmp_path / "known")
    written = {path.name for path in (tmp_path / "known").iterdir()} - {"lock"}
    (name,) = written
    content = (tmp_path / "known" / name).read_bytes()
    assert content
    assert all(state.get(name) == content for state in recorder.at_the_end)


@pytest.mark.parametrize("write", [original_in, handed_over_in, owner_in, key_in])
def test_what_the_server_knows_is_whole(tmp_path, write):
    (tmp_path / "known").mkdir()
    with recorded(tmp_path / "known") as recorder:
        write(tmp_path / "known")
    (end,) = recorder.at_the_end
    for state in recorder.crashes:
        assert all(end[name] == state[name] for name in end.keys() & state.keys())


@pytest.mark.parametrize("write", [original_in, owner_in, key_in, restore_in])
def test_the_folder_of_what_the_server_knows_stays(tmp_path, write):
    with recorded(tmp_path) as recorder:
        write(tmp_path / "known")
    assert all("known" in state for state in recorder.at_the_end)
