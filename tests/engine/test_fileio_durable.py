"""Files that nobody else may read, and that are there after a loss of power. What a
loss of power leaves is in test_power_loss."""

import errno
import os
import stat
from pathlib import Path

import pytest

from dfr_backup.engine.fileio.durable import (
    make_directory,
    open_private,
    require_writable,
    sync_directory,
    write_private,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_private(tmp_path):
    assert write_private(tmp_path / "one" / "two" / "file", b"secret", over=False)
    assert mode(tmp_path / "one" / "two" / "file") == 0o600
    assert mode(tmp_path / "one") == mode(tmp_path / "one" / "two") == 0o700


def test_over_replaces_and_without_it_nothing_is_replaced(tmp_path):
    path = tmp_path / "file"
    assert write_private(path, b"first", over=False)
    assert not write_private(path, b"second", over=False)
    assert path.read_bytes() == b"first"
    assert write_private(path, b"second", over=True)
    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_left_of_what_cannot_be_written(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(tmp_path / "file", b"content", over=True)
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_not_opened(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is asked for)
        open_private(tmp_path / "link", os.O_WRONLY | os.O_CREAT)
    assert caught.value.errno == errno.ELOOP
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_system_that_cannot_sync_a_directory_is_no_error():
    directory = os.open("/proc", os.O_RDONLY)
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is asked for)
        os.fsync(directory)
    assert caught.value.errno == errno.EINVAL
    os.close(directory)
    sync_directory(Path("/proc"))


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    make_directory(tmp_path)
    assert mode(tmp_path) == 0o755
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        make_directory(tmp_path / "file")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    require_writable(tmp_path)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").touch()
    for path in ("/proc", tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(OSError) as caught:  # noqa: PT011 (its file is asked for)
            require_writable(Path(path))
        assert caught.value.filename == str(path)
