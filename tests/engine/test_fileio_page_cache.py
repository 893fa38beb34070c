"""What a backup reads once pushes nothing out of the page cache."""

import os

import pytest
from page_cache import forget, need_page_cache

from dfr_backup.engine.fileio import page_cache
from dfr_backup.engine.fileio.page_cache import BEHIND, Passage, is_cached


@pytest.fixture
def file(tmp_path):
    """An open file that is on the disk, and not in the page cache."""
    need_page_cache(tmp_path)
    path = tmp_path / "file"
    path.write_bytes(b"x" * (2 * BEHIND + 5000))
    forget(path)
    file = os.open(path, os.O_RDONLY)
    yield file
    os.close(file)


def read(file, size=1 << 20):
    while os.read(file, size):
        pass


def test_what_was_not_cached_is_let_go(file):
    with Passage(file):
        read(file)
        assert is_cached(file)
    assert not is_cached(file)


def test_what_others_have_there_stays(file):
    os.pread(file, 1, 0)
    with Passage(file) as passage:
        read(file)
        passage.passed(2 * BEHIND)
    assert is_cached(file)


def test_a_large_file_is_let_go_on_the_way(file):
    passage = Passage(file)
    os.read(file, BEHIND - 1)
    passage.passed(BEHIND - 1)
    assert is_cached(file)
    os.read(file, 1)
    passage.passed(BEHIND)
    assert not is_cached(file)


def test_where_nobody_knows_nothing_is_let_go(file, monkeypatch):
    monkeypatch.setattr(page_cache, "NO_WAIT", 0)
    with Passage(file):
        read(file)
    monkeypatch.undo()
    assert is_cached(file)


def test_what_has_no_page_cache_is_no_error():
    reading, writing = os.pipe()
    assert is_cached(reading)
    with Passage(reading):
        pass
    os.close(reading)
    os.close(writing)
