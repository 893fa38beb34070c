import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from storage_contract import StorageContract

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.errors import Cancelled, EngineError, PermanentError
from dfr_backup.engine.errors.local import (
    DirectoryMissing,
    LocalNoRoom,
    NotAbsolute,
    NotAllowed,
    PartOfOdoo,
    PathIsFile,
    ReadOnlyDisk,
    SystemRefused,
)
from dfr_backup.engine.fileio.direct_read import DirectFile, sha256_on_disk
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


class TestLocalStorage(StorageContract):
    @pytest.fixture
    def storage(self, folder):
        storage = LocalStorage(folder, LocalRules([folder]))
        storage.prepare()
        return storage

    def test_first_copy_is_a_second_name_and_the_next_a_real_copy(
        self, storage, source, tmp_path
    ):
        storage.put(source, "a.zip", Progress())
        storage.put(source, "b.zip", Progress())
        inodes = {os.stat(storage.location(key)).st_ino for key in ("a.zip", "b.zip")}
        assert len(inodes) == 2
        assert source.stat().st_ino in inodes

    def test_interrupted_copy_goes_on(self, storage, source, folder):
        source.with_name("second name").hardlink_to(source)
        content = source.read_bytes()
        (folder / "a.zip.part").write_bytes(content[: 12 << 20])
        progress = Progress()
        storage.put(source, "a.zip", progress)
        assert self.content(storage, "a.zip") == content
        assert not (folder / "a.zip.part").exists()

    def test_interrupted_copy_that_lost_bytes_goes_on(self, storage, source, folder):
        """After a loss of power a file may be as long as it was, and hold zeros."""
        source.with_name("second name").hardlink_to(source)
        content = source.read_bytes()
        (folder / "a.zip.part").write_bytes(content[: 9 << 20] + bytes(12 << 20))
        storage.put(source, "a.zip", Progress())
        assert self.content(storage, "a.zip") == content

    def test_cancel_is_heard_while_a_copy_reaches_the_disk(
        self, storage, source, folder
    ):
        source.with_name("second name").hardlink_to(source)
        copied, progress = source.stat().st_size, Progress()

        def stop():
            if progress.done == copied and not stopped:
                stopped.append(progress.done)
            elif stopped:
                raise Cancelled

        stopped, progress.tick = [], stop
        with pytest.raises(Cancelled):
            storage.put(source, "a.zip", progress)
        assert not list(folder.glob("a.zip*"))

    def test_files_are_private(self, storage, source, folder):
        source.with_name("second name").hardlink_to(source)
        storage.put(source, "a.zip", Progress())
        storage.put_bytes(b"x", "a.json")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_read_only_disk_is_told_as_one(self, storage, folder):
        mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this machine does not let us mount a tmpfs")
        try:
            for call in (storage.check, storage.probe):
                with pytest.raises(ReadOnlyDisk):
                    call()
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)

    def test_directory_that_is_gone_is_not_made_again(self, storage, source, folder):
        folder.rmdir()
        for attempt in (
            lambda: storage.put(source, "a.zip", Progress()),
            lambda: storage.put_bytes(b"x", "a"),
            lambda: list(storage.list()),
            storage.check,
            storage.probe,
        ):
            with pytest.raises(DirectoryMissing) as caught:
                attempt()
            assert caught.value.message.values["folder"] == str(folder)
            assert caught.value.hint
        assert not folder.exists()

    def test_link_in_the_place_of_a_part_is_not_followed(
        self, storage, source, folder, tmp_path
    ):
        source.with_name("second name").hardlink_to(source)
        victim = tmp_path / "victim"
        victim.write_text("precious")
        (folder / "a.zip.part").symlink_to(victim)
        with pytest.raises(PermanentError):
            storage.put(source, "a.zip", Progress())
        assert victim.read_text() == "precious"

    def test_file_in_the_place_of_the_directory(self, storage, folder):
        folder.rmdir()
        folder.write_bytes(b"")
        with pytest.raises(PathIsFile):
            storage.put_bytes(b"x", "a")

    def put_with_limit(self, folder, source):
        """Return the code of the error, and what the system said, if it was asked."""
        source.with_name("second name").hardlink_to(source)
        script = Path(__file__).with_name("put_with_limit.py")
        done = subprocess.run(
            [sys.executable, script, folder, source], capture_output=True, text=True
        )
        assert done.stdout, done.stderr
        assert list(folder.iterdir()) == []
        return done.stdout.split()

    @pytest.mark.usefixtures("storage")
    def test_full_disk(self, source, folder):
        assert self.put_with_limit(folder, source) == [SystemRefused.code, "EFBIG"]

    def test_archive_that_does_not_fit_is_not_begun(self, storage, folder, tmp_path):
        source = tmp_path / "sparse"
        with open(source, "wb") as stream:
            stream.truncate(storage.free_space() + (1 << 40))
        assert self.put_with_limit(folder, source) == [LocalNoRoom.code, "None"]


@pytest.mark.parametrize(
    "path, kind",
    [
        ("relative", NotAbsolute),
        ("/allowed/../etc", NotAbsolute),
        ("/etc", NotAllowed),
        ("/allowed-evil", NotAllowed),
        ("/allowed/filestore/x", PartOfOdoo),
        ("/", NotAllowed),
    ],
)
def test_rules_refuse(path, kind, tmp_path):
    rules = LocalRules([tmp_path / "allowed"], [tmp_path / "allowed/filestore"])
    wanted = Path(path) if path in ("relative", "/") else Path(str(tmp_path) + path)
    with pytest.raises(kind) as caught:
        LocalStorage(wanted, rules)
    assert caught.value.message.values["folder"] == str(wanted)
    assert caught.value.hint


def test_rules_refuse_what_contains_a_forbidden_place(tmp_path):
    rules = LocalRules([tmp_path], [tmp_path / "data/filestore"])
    with pytest.raises(PartOfOdoo):
        LocalStorage(tmp_path / "data", rules)


def test_rules_look_behind_links(tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/way out").symlink_to("/etc")
    with pytest.raises(NotAllowed):
        LocalStorage(tmp_path / "allowed/way out", LocalRules([tmp_path / "allowed"]))


class TestLinks:
    """Whoever may write into the directory must not show us another file."""

    @pytest.fixture
    def storage(self, tmp_path):
        folder = tmp_path / "storage"
        folder.mkdir()
        secret = tmp_path / "secret"
        secret.write_bytes(b"db_password = hunter2")
        (folder / "a.zip").symlink_to(secret)
        (folder / "b.zip").mkdir()
        os.mkfifo(folder / "c.zip")
        return LocalStorage(folder, LocalRules([tmp_path]))

    @pytest.mark.parametrize("key", ["a.zip", "b.zip", "c.zip"])
    def test_what_is_no_regular_file_is_no_object(self, storage, key):
        assert storage.stat(key) is None
        assert storage.local_path(key) is None
        assert list(storage.list()) == []
        with pytest.raises(EngineError), storage.open(key):
            pass
        with pytest.raises(EngineError):
            storage.verify(key, 21, "0" * 64, Progress())

    def test_a_link_that_comes_after_the_look_is_not_followed(self, storage, tmp_path):
        path = tmp_path / "storage" / "a.zip"
        for reading in (DirectFile, lambda path: sha256_on_disk(path, len)):
            with pytest.raises(OSError) as caught:  # noqa: PT011  # its number tells
                reading(path)
            assert caught.value.errno in (errno.ELOOP, errno.EINVAL)
        with pytest.raises(EngineError), open_archive(path):
            pass
