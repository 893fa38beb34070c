"""Which backup of each database a restore of all takes."""

import contextlib
import itertools
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from test_manifest_sidecar import KEY, stored

from dfr_backup.engine.catalog import newest as catalog
from dfr_backup.engine.catalog.newest import found_below, newest_of_each
from dfr_backup.engine.catalog.scan import Found
from dfr_backup.engine.errors import PermanentError, RetryableError
from dfr_backup.engine.errors.fetch import ArchiveMissing
from dfr_backup.engine.errors.local import DirectoryMissing
from dfr_backup.engine.errors.server import FoldersNotListed
from dfr_backup.engine.errors.storage import (
    NotPermitted,
    TooManyFolders,
    TooManyObjects,
)
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.storages import kind as kinds
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage
from dfr_backup.engine.storages.url import storage_at

DAY = timedelta(days=1)
ANYWHERE = LocalRules([Path("/")])
HOSTILE = ("", ".", "..", "../x", "a/b", "/", "a\0", "a\nb", "a\x1b[2J", "\x85")
HOSTILE += ("x" * 256, "ü" * 128, "\ud800")
NOW = datetime(2026, 11, 29, tzinfo=timezone.utc)
MADE = replace(parse_sidecar(stored(), KEY), database="shop", database_uuid="u")


def backup(days, problem=None, **values):
    sidecar = replace(MADE, key=f"{days}.zip", taken_at=NOW - days * DAY, **values)
    return "storage", Found(sidecar.key, sidecar, problem)


def newest(*found):
    return newest_of_each(found)["shop"]


def test_the_newest_of_each_database_is_taken():
    found = [backup(2), backup(1), backup(3), backup(0, database="crm")]
    taken = {name: best.sidecar.key for name, best in newest_of_each(found).items()}
    assert taken == {"crm": "0.zip", "shop": "1.zip"}


@pytest.mark.parametrize("contents", [("database",), ("filestore", "addons")])
def test_half_a_backup_is_named_and_not_taken(contents):
    best = newest(backup(2), backup(1, contents=contents), backup(3, contents=contents))
    assert best.sidecar.key == "2.zip"
    assert [one.key for one in best.partial] == ["1.zip"], "what is older is no matter"


def test_what_is_damaged_is_named_and_not_taken():
    best = newest(backup(1, ArchiveMissing()), backup(2), backup(3, ArchiveMissing()))
    assert best.sidecar.key == "2.zip"
    assert [one.key for one in best.unusable] == ["1.zip"]


def test_where_nothing_is_whole_all_of_it_is_named():
    best = newest(backup(1, ArchiveMissing()), backup(2, contents=("database",)))
    assert best.sidecar is None
    assert (len(best.unusable), len(best.partial)) == (1, 1)


def test_a_zip_of_odoo_says_nothing_of_its_contents_and_has_all():
    assert newest(backup(1, contents=())).sidecar


def test_two_databases_of_one_name_are_noticed():
    best = newest(backup(1), backup(2, database_uuid="other"))
    assert best.sidecar.key == "1.zip"
    assert best.uuids == {"u", "other"}


def test_a_manifest_that_cannot_be_read_is_of_no_database():
    assert newest_of_each([("storage", Found("x", None, ArchiveMissing()))]) == {}


# -- the folders below a storage


def looked_at(root, limit=99):
    """Return where is looked, what is found there, and what cannot be read."""
    looked, unreadable = [], {}

    def report(storage, error):
        where = storage.location("").removeprefix(root.location(""))
        if error:
            unreadable[where] = error
        else:
            looked.append(where)
        assert len(looked) < limit

    found = [one.key for _storage, one in found_below(root, Progress(), report)]
    return looked, found, unreadable


def at(path):
    return storage_at(str(path), folder=True)[0]


def test_folders_are_found_and_links_are_not_followed(tmp_path):
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for folder, sidecar in ((".", "x"), ("a/b/c", "y"), ("a/b/c/d", "z")):
        (tmp_path / folder / f"{sidecar}.json").write_bytes(stored())
    looked, found, unreadable = looked_at(at(tmp_path))
    assert looked == ["", "a/", "a/b/", "a/b/c/"]
    assert (found, unreadable) == (["x.json", "y.json"], {})
    with pytest.raises(DirectoryMissing):
        looked_at(at(tmp_path / "missing"))


class Denying(LocalStorage):
    """May not list what is called “denied”. Who is root is denied nothing."""

    def _list(self):
        if self.folder().name == "denied":
            raise NotPermitted
        return super()._list()


def test_a_folder_that_may_not_be_listed_keeps_nobody(tmp_path):
    for name in ("a", "denied/in it", "z"):
        (tmp_path / name).mkdir(parents=True)
    looked, _found, unreadable = looked_at(Denying(tmp_path, ANYWHERE))
    assert looked == ["", "a/", "denied/", "z/"]
    assert {where: type(error) for where, error in unreadable.items()} == {
        "denied/": NotPermitted
    }
    with pytest.raises(FoldersNotListed):
        looked_at(Denying(tmp_path / "denied", ANYWHERE))


IMPATIENT = RetryPolicy(patience=0.05, first=0.01, longest=0.02)


class LineDead(RetryableError):
    pass


class Away(LocalStorage):
    """Answers only when each of these was asked for so many times."""

    failures: dict[str, int]

    def _list(self):
        self._fail("list", "")
        return super()._list()

    def _subfolders(self):
        self._fail("folders", "")
        return super()._subfolders()

    @contextlib.contextmanager
    def _open(self, key, offset):
        self._fail("open", key)
        with super()._open(key, offset) as stream:
            yield stream

    def _fail(self, what, key):
        asked = f"{what} {self.folder().name}/{key}"
        if self.failures.get(asked, 0):
            self.failures[asked] -= 1
            raise LineDead


@pytest.fixture
def away(tmp_path):
    """A storage with a backup in each of two folders; what of it is away for how long,
    the test says."""
    for name in ("crm", "shop"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / f"{name}.json").write_bytes(stored())
    root = Away(tmp_path / "root", ANYWHERE)
    root.retries = replace(IMPATIENT, patience=60)
    root.failures = {}
    return root


@pytest.mark.parametrize(
    "asked",
    ["list root/", "folders root/", "list crm/", "folders crm/", "open crm/crm.json"],
)
def test_a_network_that_is_away_for_a_moment_is_asked_again(away, asked):
    away.failures[asked] = 2
    looked, found, unreadable = looked_at(away)
    assert looked == ["", "crm/", "shop/"]
    assert (found, unreadable) == (["crm.json", "shop.json"], {})


def test_a_folder_that_never_answers_keeps_nobody(away):
    away.retries = IMPATIENT
    away.failures["list crm/"] = 1000
    _looked, found, unreadable = looked_at(away)
    assert found == ["shop.json"]
    assert [type(error) for error in unreadable.values()] == [LineDead]


def test_a_network_that_stays_away_ends_it(away):
    away.retries = IMPATIENT
    away.failures["list root/"] = 1000
    with pytest.raises(LineDead):
        looked_at(away)


def test_it_ends_when_the_network_goes_away_later(away):
    away.retries = IMPATIENT

    def report(storage, _error):
        if storage is not away:
            away.failures.update({"list crm/": 1000, "folders root/": 1000})

    with pytest.raises(LineDead):
        list(found_below(away, Progress(), report))


class Hostile(LocalStorage):
    """Each of its folders has others below it, without an end."""

    names: tuple[str, ...] = ()

    def _list(self):
        return iter(())

    def _subfolders(self):
        return self._bounded(self.names)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_folders_are_not_believed(tmp_path, name):
    root = Hostile(tmp_path, ANYWHERE)
    root.names = ("good", name, "good")
    looked, _found, unreadable = looked_at(root)
    assert looked == ["", "good/", "good/good/", "good/good/good/"]
    assert unreadable == {}
    with pytest.raises(PermanentError):
        root.subfolder(name)


def test_folders_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "MOST_FOLDERS", 50)
    root = Hostile(tmp_path, ANYWHERE)
    root.names = tuple(map(str, range(7)))
    with pytest.raises(TooManyFolders):
        looked_at(root)
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 50)
    root.names = map(str, itertools.count())
    with pytest.raises(TooManyObjects):
        root.subfolders()
