import errno
import hashlib
import os

import pytest

from dfr_backup.engine import directread
from dfr_backup.engine.directread import CHUNK, sha256_on_disk


@pytest.mark.parametrize("size", [0, 1, 4096, CHUNK, CHUNK + 1, 3 * CHUNK - 7])
def test_every_byte_is_hashed(tmp_path, size):
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    pieces = []
    assert sha256_on_disk(path, pieces.append) == hashlib.sha256(content).hexdigest()
    assert sum(pieces) == size


def test_file_system_without_direct_reads(tmp_path, monkeypatch):
    """Some file systems take the flag and then refuse each read with it."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    read, refused = os.readv, []

    def readv(file, buffers):
        if directread.fcntl.fcntl(file, directread.fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(file)
            raise OSError(errno.EINVAL, "Invalid argument")
        return read(file, buffers)

    monkeypatch.setattr(os, "readv", readv)
    assert sha256_on_disk(path, ignore) == hashlib.sha256(b"x" * 10_000).hexdigest()
    assert len(refused) == 1


def ignore(count):
    pass


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_on_disk(tmp_path / "nothing", ignore)
