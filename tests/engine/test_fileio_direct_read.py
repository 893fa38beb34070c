import errno
import fcntl
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from dfr_backup.engine.fileio import direct_read
from dfr_backup.engine.fileio.direct_read import CHUNK, DirectFile, sha256_on_disk
from dfr_backup.engine.fileio.page_cache import BLOCK


def is_direct(file):
    return fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT


@pytest.mark.parametrize("size", [0, 1, 4096, CHUNK, CHUNK + 1, 3 * CHUNK - 7])
def test_every_byte_is_hashed(tmp_path, size):
    content = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    pieces = []
    assert sha256_on_disk(path, pieces.append) == hashlib.sha256(content).hexdigest()
    assert sum(pieces) == size


def test_piece_stays_as_it_is_while_it_is_hashed(tmp_path, monkeypatch):
    """However long that takes: what is read ahead goes elsewhere."""
    content = os.urandom(7 * CHUNK + 5)
    path = tmp_path / "file"
    path.write_bytes(content)
    monkeypatch.setattr(direct_read, "hashlib", SimpleNamespace(sha256=SlowHash))
    assert sha256_on_disk(path, ignore) == hashlib.sha256(content).hexdigest()


class SlowHash:
    def __init__(self):
        self._digest = hashlib.sha256()
        self.hexdigest = self._digest.hexdigest

    def update(self, piece):
        time.sleep(0.05)
        self._digest.update(piece)


def test_file_system_without_direct_reads(tmp_path, monkeypatch):
    """Some file systems take the flag and then refuse each read with it."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    read, refused = os.readv, []

    def readv(file, buffers):
        if is_direct(file):
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


@pytest.fixture
def content(tmp_path):
    content = os.urandom(5 * BLOCK + 100)
    (tmp_path / "file").write_bytes(content)
    return content


@pytest.fixture
def direct(tmp_path, content):
    file = DirectFile(tmp_path / "file")
    yield file
    file.close()


PARTS = [
    (0, 1),
    (0, BLOCK),
    (1, BLOCK),
    (BLOCK - 1, 2),
    (3 * BLOCK, 2 * BLOCK),
    (7, 3 * BLOCK + 7),
    (5 * BLOCK, 100),
    (5 * BLOCK + 90, 100),
    (5 * BLOCK + 100, 1),
    (9 * BLOCK, 1),
    (5, 0),
]


@pytest.mark.parametrize("offset, size", PARTS)
def test_any_part_can_be_read(direct, content, offset, size):
    assert direct.size == len(content)
    assert direct.read_at(size, offset) == content[offset : offset + size]


def test_threads_share_a_file(direct, content):
    with ThreadPoolExecutor(4) as pool:
        for (offset, size), data in zip(
            PARTS * 200,
            pool.map(lambda part: direct.read_at(part[1], part[0]), PARTS * 200),
            strict=True,
        ):
            assert data == content[offset : offset + size]


@pytest.mark.parametrize("most", [BLOCK, 1000])
def test_short_reads_go_on(direct, content, monkeypatch, most):
    """After a piece that is no whole block, no file system reads on directly."""
    read = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda file, buffers, at: read(file, [buffers[0][:most]], at)
    )
    assert direct.read_at(3 * BLOCK, 10) == content[10 : 10 + 3 * BLOCK]


def test_part_of_a_file_system_without_direct_reads(direct, content, monkeypatch):
    read = os.preadv

    def preadv(file, buffers, at):
        if is_direct(file):
            raise OSError(errno.EINVAL, "Invalid argument")
        return read(file, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)
    assert direct.read_at(100, 50) == content[50:150]
