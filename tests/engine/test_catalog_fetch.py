import hashlib
import os

import pytest

from dfr_backup.engine.catalog.catalogued import (
    NO_MANIFEST,
    NOT_OURS,
    Catalogued,
    compare_stored,
)
from dfr_backup.engine.catalog.fetch import fetch
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.errors import Mismatch, RetryableError
from dfr_backup.engine.errors.fetch import (
    FetchedDiffers,
    ManifestReplaced,
    NotAtStorage,
)
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

KEY = "db-20261124T020000Z-5424c813.zip"
CONTENT = os.urandom((3 << 20) + 11)
OURS = {
    "job": "5424c813-0000-0000-0000-000000000000",
    "run": "B1",
    "plan": "Nightly",
    "database_uuid": "1",
    "snapshot_at": "2026-11-24T02:00:00+00:00",
    "contents": ["database"],
    "missing": [],
}


class LineDead(RetryableError):
    template = "The line is dead."


class Far(LocalStorage):
    """A storage whose objects have to be fetched; ``offsets`` are those that were
    asked for."""

    def __init__(self, path):
        super().__init__(path, LocalRules([path]))
        self.local_folder = path
        self.offsets = []
        self.failures = 0

    def _local_path(self, key):
        return None

    def _open(self, key, offset):
        if key.endswith(".zip"):
            self.offsets.append(offset)
            if self.failures:
                self.failures -= 1
                raise LineDead
        return super()._open(key, offset)


@pytest.fixture
def far(tmp_path):
    storage = Far(tmp_path / "far")
    storage.prepare()
    storage.put_bytes(CONTENT, KEY)
    about = manifest.build({"db_name": "db", "version": "19.0", "modules": {}}, OURS)
    beside = manifest.sidecar(
        about, KEY, len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
    )
    storage.put_bytes(beside, sidecar_key(KEY))
    return storage


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "here"


def test_archive_is_brought_here(far, folder):
    progress = Progress()
    path = fetch(far, KEY, folder, progress).path
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o600
    assert progress.done == progress.total == len(CONTENT)


def test_interrupted_fetch_goes_on(far, folder):
    folder.mkdir()
    (folder / KEY).write_bytes(CONTENT[: 1 << 20])
    assert fetch(far, KEY, folder, Progress()).path.read_bytes() == CONTENT
    assert far.offsets == [1 << 20]


def test_broken_line_is_tried_again(far, folder):
    far.failures = 2
    far.retries = RetryPolicy(first=0.01, longest=0.02)
    progress = Progress()
    path = fetch(far, KEY, folder, progress).path
    assert path.read_bytes() == CONTENT
    problems = [line.values["problem"] for line in progress.lines]
    assert problems == [LineDead().message] * 2


def test_it_is_as_patient_as_the_settings_of_the_storage(far, folder):
    far.retries = RetryPolicy(patience=0)
    far.failures = 1
    with pytest.raises(LineDead):
        fetch(far, KEY, folder, Progress())


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "longer"])
def test_what_is_not_what_was_stored_is_not_kept(far, folder, damage):
    bad = {
        "flipped bit": CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]),
        "truncated": CONTENT[:-1],
        "longer": CONTENT + b"x",
    }[damage]
    far.put_bytes(bad, KEY)
    with pytest.raises(FetchedDiffers):
        fetch(far, KEY, folder, Progress())
    assert list(folder.iterdir()) == []


def test_archive_that_is_not_there(far, folder):
    far.delete(KEY)
    with pytest.raises(NotAtStorage) as caught:
        fetch(far, KEY, folder, Progress())
    assert caught.value.hint.template == NotAtStorage.remedy_address


def test_archive_without_a_manifest_is_taken_as_it_is(far, folder):
    far.delete(sidecar_key(KEY))
    progress = Progress()
    assert fetch(far, KEY, folder, progress).path.read_bytes() == CONTENT
    assert progress.lines[0].template == NO_MANIFEST


def known(storage):
    """What a catalogue notes of what the storage holds now."""
    return Catalogued.from_sidecar(read_sidecar(storage, sidecar_key(KEY)))


def at_hand(far):
    """The same storage, as a directory of this server."""
    folder = far.local_folder
    return LocalStorage(folder, LocalRules([folder]))


def swap(storage, content):
    """Put another archive, and its manifest, in the place of the one that was
    stored."""
    storage.put_bytes(content, KEY)
    about = manifest.build({"db_name": "db", "version": "19.0", "modules": {}}, OURS)
    digest = hashlib.sha256(content).hexdigest()
    beside = manifest.sidecar(about, KEY, len(content), digest)
    storage.put_bytes(beside, sidecar_key(KEY))


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) - 5])
def test_swapped_pair_is_not_what_the_catalogue_knows(far, folder, size):
    before = known(far)
    swap(far, os.urandom(size))
    with pytest.raises(Mismatch):
        fetch(far, KEY, folder, Progress(), known=before)
    assert list(folder.iterdir()) == []
    here = at_hand(far)
    with pytest.raises(Mismatch):
        fetch(here, KEY, folder, Progress(), known=before).compare(Progress())
    with pytest.raises(Mismatch):
        compare_stored(here, KEY, before, Progress())
    fetch(far, KEY, folder, Progress())  # nobody knows better


@pytest.mark.parametrize("content", [b"{", None], ids=["damaged", "missing"])
def test_catalogue_vouches_where_the_manifest_does_not(far, folder, content):
    before = known(far)
    far.delete(sidecar_key(KEY))
    if content:
        far.put_bytes(content, sidecar_key(KEY))
    progress = Progress()
    assert fetch(far, KEY, folder, progress, known=before).compared
    assert [line.template for line in progress.warnings] == [NOT_OURS]


def test_manifest_that_was_changed_vouches_for_nothing(far, folder):
    """Its archive is the one that was stored, and the list of checksums is another."""
    members = {"count": 1, "sha256sums": "0" * 64}
    ours = {**OURS, "members": members}
    about = manifest.build({"db_name": "db", "version": "19.0", "modules": {}}, ours)
    digest = hashlib.sha256(CONTENT).hexdigest()
    beside = manifest.sidecar(about, KEY, len(CONTENT), digest)
    far.put_bytes(beside, sidecar_key(KEY))
    before = known(far)
    here = at_hand(far)
    assert fetch(here, KEY, folder, Progress(), known=before).content_digest
    unknown = Catalogued(before.size, before.sha256)
    assert not fetch(here, KEY, folder, Progress(), known=unknown).content_digest
    members["sha256sums"] = "1" * 64
    about = manifest.build({"db_name": "db", "version": "19.0", "modules": {}}, ours)
    beside = manifest.sidecar(about, KEY, len(CONTENT), digest)
    far.put_bytes(beside, sidecar_key(KEY))
    assert not fetch(here, KEY, folder, Progress(), known=before).content_digest
    with pytest.raises(ManifestReplaced):
        compare_stored(here, KEY, before, Progress())


def test_what_lies_here_is_compared_when_it_is_wanted(far, tmp_path, folder):
    here = LocalStorage(tmp_path / "far", LocalRules([tmp_path / "far"]))
    fetched = fetch(here, KEY, folder, Progress())
    assert (fetched.path, fetched.compared) == (tmp_path / "far" / KEY, False)
    assert fetched.compare(Progress()).compared
    fetched.path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(Mismatch):
        fetched.compare(Progress())
    fetched.path.write_bytes(CONTENT[:-1])
    with pytest.raises(Mismatch):
        fetch(here, KEY, folder, Progress())
    assert not folder.exists()
