"""A file that grows: its bytes, once each, and nothing in the page cache."""

import errno
import hashlib
import os
import random
from contextlib import closing

import pytest
from page_cache import holds, need_page_cache

from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.fileio import append_file
from dfr_backup.engine.fileio.append_file import BUFFER, AppendFile
from dfr_backup.engine.fileio.durable import PIECE
from dfr_backup.engine.fileio.page_cache import BEHIND

NOISE = random.Random(3).randbytes(BUFFER + 4097)
SIZES = (0, 1, 30, 4095, 4096, 4097, 70_000, BUFFER - 1, BUFFER, BUFFER + 1)


def opened(path, added=lambda view: None, flags=os.O_CREAT | os.O_EXCL):
    return AppendFile(path, flags, added)


@pytest.mark.parametrize("seed", range(8))
def test_holds_what_was_written(tmp_path, seed):
    chance, path = random.Random(seed), tmp_path / "file"
    digests, expected = [hashlib.sha256()], bytearray()
    kept = [(0, hashlib.sha256())]

    def added(view):
        digests[-1].update(view)

    file = opened(path, added)
    for _number in range(40):
        what = chance.choice(
            ("write", "write", "write", "flush", "keep", "return", "again")
        )
        if what == "write":
            data = NOISE[: chance.choice(SIZES)]
            file.write(data)
            expected += data
        elif what == "flush":
            file.flush()
            assert path.read_bytes() == expected
        elif what == "keep":
            file.flush()
            kept.append((len(expected), digests[-1].copy()))
        else:
            if what == "again":
                file.close()
                file = opened(path, added, 0)
            position, digest = kept[-1]
            file.return_to(position)
            digests.append(digest.copy())
            del expected[position:]
        assert file.position == len(expected)
    file.sync()
    assert path.read_bytes() == expected
    assert digests[-1].digest() == hashlib.sha256(expected).digest()
    file.close()


def test_what_is_written_may_be_changed_afterwards(tmp_path):
    file, data = opened(tmp_path / "file"), bytearray(b"a" * 10)
    file.write(data)
    data[:] = b"b" * 10
    file.sync()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"a" * 10


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_error_loses_nothing(tmp_path, monkeypatch, code):
    path, digest = tmp_path / "file", hashlib.sha256()
    file = opened(path, digest.update)
    file.write(NOISE[:5000])

    def pwrite(*_args):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(append_file.os, "pwrite", pwrite)
        with pytest.raises(OSError, match=os.strerror(code)):
            file.flush()
    file.sync()
    assert path.read_bytes() == NOISE[:5000]
    assert digest.digest() == hashlib.sha256(NOISE[:5000]).digest()
    file.close()


def test_writes_that_are_cut_short(tmp_path, monkeypatch):
    really_write = os.pwrite

    def pwrite(file, view, offset):
        return really_write(file, view[: max(1, len(view) // 3)], offset)

    monkeypatch.setattr(append_file.os, "pwrite", pwrite)
    file = opened(tmp_path / "file")
    file.write(NOISE)
    file.sync()
    file.close()
    assert (tmp_path / "file").read_bytes() == NOISE


def test_leaves_the_page_cache_alone(tmp_path):
    need_page_cache(tmp_path)
    file = opened(tmp_path / "file")
    fill(file, BEHIND)
    os.fsync(file._file)  # what is not on the disk cannot be let go
    fill(file, BEHIND)
    file.close()
    assert not holds(tmp_path / "file")


def test_leaves_the_page_cache_alone_also_after_a_return(tmp_path):
    need_page_cache(tmp_path)
    file = opened(tmp_path / "file")
    fill(file, 4 * BEHIND)
    file.return_to(0)
    fill(file, BEHIND)
    os.fsync(file._file)
    fill(file, BEHIND)
    file.close()
    assert not holds(tmp_path / "file")


def fill(file, size):
    for _number in range(size // BUFFER):
        file.write(NOISE[:BUFFER])


def test_a_cancel_is_heard_while_a_file_reaches_the_disk(tmp_path):
    """Between two pieces of it."""
    asked = []

    def look():
        asked.append(1)
        if len(asked) == 2:
            raise Cancelled

    path = tmp_path / "file"
    with closing(AppendFile(path, os.O_CREAT, lambda _view: None)) as file:
        for _each in range(3):
            file.write(bytes(PIECE))
        with pytest.raises(Cancelled):
            file.sync(look)
        file.sync()
    assert len(asked) == 2
    assert path.stat().st_size == 3 * PIECE
