"""What deleting incremental backups frees, as it is known without asking a storage."""

import os

import pytest
from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.manifest.pack_use import PackUse
from dfr_backup.engine.packs.freeing import Freed, forget_others, freed, remember
from dfr_backup.engine.packs.freeing import remembered as recall
from dfr_backup.engine.packs.terms import Terms

SIZE = 4000
THICK = Terms(pack_files=4, small_bytes=0, thin_part=0)


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one", terms=THICK)


@pytest.fixture
def backups(server, storage):
    """Three days: all of twelve files in three packs; all but one; and three files of
    the first pack, with a new one."""
    names = sorted(server.write(os.urandom(SIZE)) for _number in range(12))
    new = server.write(os.urandom(SIZE))
    days = []
    for wanted in (names, names[1:], [*names[1:4], new]):
        _key, packed = server.backup(wanted)
        days.append(packed.uses)
        storage.pass_time(days=1)
    return days


def test_nothing_is_freed_by_what_others_need(server, backups):
    first, second, third = backups
    assert freed(server.place.index, [first], [second, third]).pruned == 0


def test_packs_that_no_other_needs_are_pruned(server, storage, backups):
    first, second, third = backups
    found = freed(server.place.index, [first, second], [third])
    kept = {use.key for use in third}
    gone = packs_in(storage) - kept
    assert len(gone) == 2
    assert found.pruned == sum(len(storage.objects[key][0]) for key in gone)
    assert SIZE <= found.rewritten < SIZE + SIZE // 10


def test_what_is_wanted_by_any_counts_as_wanted(server, backups):
    first, second, third = backups
    assert freed(server.place.index, [], [first, second, third]) == Freed()
    assert freed(server.place.index, [first], [second]).rewritten >= SIZE


def test_without_an_index_files_count_alike(server, backups, tmp_path):
    first, second, third = backups
    known = freed(server.place.index, [first, second], [third])
    guessed = freed(tmp_path / "nowhere", [first, second], [third])
    assert guessed.pruned == known.pruned
    assert guessed.rewritten > 0


def test_needs_of_thousands_of_packs_are_remembered(tmp_path):
    digest = "a" * 64
    uses = tuple(
        PackUse(f"{number:024x}.zip", 1, digest, digest, os.urandom(12_500))
        for number in range(400)
    )
    remember(tmp_path, "large.zip", uses)
    assert recall(tmp_path, "large.zip") == uses


def test_needs_are_remembered(tmp_path):
    uses = (
        PackUse("0f5bd1f6-files-0123456789abcdef01234567.zip", 3, "a" * 64, "b" * 64),
        PackUse("0f5bd1f6-files-0123456789abcdef01234568.zip", 3, "a" * 64, "b", b"1"),
    )
    assert recall(tmp_path, "shop.zip") is None
    remember(tmp_path, "shop.zip", uses)
    remember(tmp_path, "other.zip", ())
    assert recall(tmp_path, "shop.zip") == uses
    assert recall(tmp_path, "other.zip") == ()
    forget_others(tmp_path, {"other.zip"})
    assert recall(tmp_path, "shop.zip") is None
    forget_others(tmp_path / "nowhere", ())


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"[{}]", b"\xff"])
def test_damaged_notes_are_none(tmp_path, content):
    (tmp_path / "shop.zip.needs").write_bytes(content)
    assert recall(tmp_path, "shop.zip") in (None, ())
