"""Attachment files that are put back: whole, right, and never over a good one."""

import hashlib
from pathlib import Path

import pytest

from dfr_backup.engine.errors.fetch import DamagedArchive
from dfr_backup.engine.errors.other import (
    BadFileName,
    FileUnusable,
    FolderIsLink,
    OtherContent,
)
from dfr_backup.engine.sources.filestore_repair import is_good, put_back, remove_partial

DATA = b"an invoice" * 1000
NAME = hashlib.sha1(DATA, usedforsecurity=False).hexdigest()
FNAME = f"{NAME[:2]}/{NAME}"


@pytest.fixture
def filestore(tmp_path):
    folder = tmp_path / "filestore"
    folder.mkdir()
    return folder


def everything(folder):
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()
    )


def test_a_missing_file_is_put_back(filestore):
    assert not is_good(filestore, FNAME)
    assert put_back(filestore, FNAME, [DATA[:100], DATA[100:]])
    assert (filestore / FNAME).read_bytes() == DATA
    assert is_good(filestore, FNAME)
    assert everything(filestore) == [FNAME]


def test_a_damaged_file_is_replaced(filestore):
    (filestore / FNAME).parent.mkdir()
    (filestore / FNAME).write_bytes(b"rubbish")
    assert put_back(filestore, FNAME, [DATA])
    assert (filestore / FNAME).read_bytes() == DATA


def test_a_good_file_is_not_touched(filestore):
    put_back(filestore, FNAME, [DATA])
    before = (filestore / FNAME).stat()
    assert not put_back(filestore, FNAME, iter(lambda: pytest.fail("read"), None))
    after = (filestore / FNAME).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_one_that_became_good_meanwhile_is_not_touched(filestore):
    def pieces():
        yield DATA
        (filestore / FNAME).write_bytes(DATA)

    assert not put_back(filestore, FNAME, pieces())
    assert everything(filestore) == [FNAME]


def test_what_a_killed_one_has_left_is_overwritten_or_removed(filestore):
    class Killed(BaseException):
        pass

    def left_behind():
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Path, "unlink", lambda *args, **kwargs: None)  # nobody tidied
            put_back(filestore, FNAME, killed())
        return everything(filestore)

    def killed():
        yield DATA[:10]
        raise Killed

    assert len(left_behind()) == 1
    assert put_back(filestore, FNAME, [DATA])
    assert everything(filestore) == [FNAME]
    (filestore / FNAME).unlink()
    assert len(left_behind()) == 1
    remove_partial(filestore, FNAME)
    remove_partial(filestore, FNAME)
    remove_partial(filestore, "no/name")
    assert everything(filestore) == []


def test_another_content_is_refused_and_leaves_nothing(filestore):
    with pytest.raises(OtherContent):
        put_back(filestore, FNAME, [DATA, b"more"])
    assert everything(filestore) == []


def test_an_archive_that_breaks_off_leaves_nothing(filestore):
    def pieces():
        yield DATA[:100]
        raise DamagedArchive

    with pytest.raises(DamagedArchive):
        put_back(filestore, FNAME, pieces())
    assert everything(filestore) == []


@pytest.mark.parametrize(
    "name", ["../x", "aa/../../x", "/etc/passwd", f"00/{NAME}x", "", "aa/b"]
)
def test_other_names_are_refused(filestore, name):
    with pytest.raises(BadFileName):
        put_back(filestore, name, [DATA])


def test_a_folder_on_another_disk_is_repaired_there(filestore, tmp_path):
    outside = tmp_path / "outside"
    (filestore / NAME[:2]).symlink_to(outside)
    with pytest.raises(FolderIsLink):  # it is not mounted
        put_back(filestore, FNAME, [DATA])
    assert not outside.exists()
    outside.mkdir()
    assert put_back(filestore, FNAME, [DATA])
    assert (outside / NAME).read_bytes() == DATA
    assert not put_back(filestore, FNAME, [DATA])


def test_links_to_files_are_not_followed(filestore, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (filestore / NAME[:2]).mkdir()
    (outside / "x").write_bytes(DATA)
    (filestore / FNAME).symlink_to(outside / "x")
    with pytest.raises(FileUnusable):
        put_back(filestore, FNAME, [DATA])
