import os
import subprocess
import sys
from pathlib import Path

import pytest
from storage_contract import StorageContract

from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local import LocalRules, LocalStorage


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

    def test_files_are_private(self, storage, source, folder):
        source.with_name("second name").hardlink_to(source)
        storage.put(source, "a.zip", Progress())
        storage.put_bytes(b"x", "a.json")
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700

    def test_directory_that_is_gone_is_not_made_again(self, storage, source, folder):
        folder.rmdir()
        for attempt in (
            lambda: storage.put(source, "a.zip", Progress()),
            lambda: storage.put_bytes(b"x", "a"),
            lambda: list(storage.list()),
            storage.check,
            storage.probe,
        ):
            with pytest.raises(PermanentError, match="No such file") as caught:
                attempt()
            assert "mounted" in caught.value.hint
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

    def test_full_disk(self, storage, source, folder):
        source.with_name("second name").hardlink_to(source)
        script = Path(__file__).with_name("put_with_limit.py")
        done = subprocess.run(
            [sys.executable, script, folder, source], capture_output=True, text=True
        )
        assert "File too large" in done.stdout, done.stderr
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "/allowed/../etc",
        "/etc",
        "/allowed-evil",
        "/allowed/filestore/x",
        "/",
    ],
)
def test_rules_refuse(path, tmp_path):
    rules = LocalRules([tmp_path / "allowed"], [tmp_path / "allowed/filestore"])
    wanted = Path(path) if path in ("relative", "/") else Path(str(tmp_path) + path)
    with pytest.raises(PermanentError) as caught:
        LocalStorage(wanted, rules)
    assert caught.value.hint


def test_rules_refuse_what_contains_a_forbidden_place(tmp_path):
    rules = LocalRules([tmp_path], [tmp_path / "data/filestore"])
    with pytest.raises(PermanentError, match="overlaps"):
        LocalStorage(tmp_path / "data", rules)


def test_rules_look_behind_links(tmp_path):
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed/way out").symlink_to("/etc")
    with pytest.raises(PermanentError, match="outside"):
        LocalStorage(tmp_path / "allowed/way out", LocalRules([tmp_path / "allowed"]))
