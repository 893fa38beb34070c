"""Which backup of each database a restore of all takes."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from test_manifest_sidecar import KEY, stored

from dfr_backup.engine.catalog.newest import folders_below, newest_of_each
from dfr_backup.engine.catalog.scan import Found
from dfr_backup.engine.errors.fetch import ArchiveMissing
from dfr_backup.engine.manifest.read import parse_sidecar

DAY = timedelta(days=1)
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


def test_folders_are_found_and_links_are_not_followed(tmp_path):
    (tmp_path / "a/b/c/d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = [path.relative_to(tmp_path).as_posix() for path in folders_below(tmp_path)]
    assert found == [".", "a", "a/b", "a/b/c"]
    with pytest.raises(FileNotFoundError):
        folders_below(tmp_path / "missing")
