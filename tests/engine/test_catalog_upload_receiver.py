"""Archives that come from elsewhere: received, looked at, told apart."""

import hashlib
import json
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfr_backup.engine.catalog.scan import describe_stored, scan
from dfr_backup.engine.catalog.upload_receiver import (
    append,
    check_archive,
    compare_found,
    found_in,
    free_key,
    let_go,
    look_at,
    require_space,
    take_key,
)
from dfr_backup.engine.encryption.files import Passphrase, encrypt_file
from dfr_backup.engine.errors import Mismatch, PermanentError
from dfr_backup.engine.errors.archive import (
    CompressedFile,
    InsideFolder,
    ManifestMalformed,
    NameUnusable,
    NoManifestBeside,
    PlainDump,
)
from dfr_backup.engine.errors.fetch import (
    ArchiveMissing,
    ArchiveSizeDiffers,
    BadManifest,
    DamagedArchive,
    PgDumpFormat,
)
from dfr_backup.engine.errors.other import (
    NotAnArchive,
    NotOdooBackup,
    OtherFile,
    UploadNeedsSpace,
    UploadNotKept,
)
from dfr_backup.engine.errors.storage import CopyMissing
from dfr_backup.engine.errors.trust import NamesTaken
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.messages import Size
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
ODOO = {
    "odoo_dump": "1",
    "db_name": "shop",
    "version": "19.0",
    "major_version": "19.0",
    "pg_version": "15.4",
    "modules": {"base": "19.0.1.3", "sale": "19.0.1.2"},
}
OURS = {
    "job": "5424c813-0000-0000-0000-000000000000",
    "run": "B00001",
    "plan": "Nightly",
    "database_uuid": "of the shop",
    "snapshot_at": NOW,
    "contents": ["database"],
    "missing": [],
    "addons": [{"name": "shop_theme"}],
}


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return path


def odoos(path, **changes):
    content = json.dumps({**ODOO, **changes})
    return zipped(
        path, dump_dot_sql="SELECT 1;", manifest_dot_json=content, filestore__aa__b="x"
    )


def ours(path):
    content = manifest.encode(manifest.build(ODOO, OURS))
    return zipped(path, dump_dot_sql="SELECT 1;", manifest_dot_json=content)


@pytest.fixture
def storage(tmp_path):
    (tmp_path / "disk").mkdir()
    return LocalStorage(tmp_path / "disk", LocalRules([tmp_path]))


# === RECEIVED === #


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_what_is_no_file_is_neither_written_nor_read(tmp_path, kind):
    """Whoever may write into the folder of uploads gets at no other file."""
    other = tmp_path / "elsewhere.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("dump.sql", "SELECT 1;")
    before = other.read_bytes()
    path = tmp_path / "upload"
    if kind == "link":
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(UploadNotKept):
        append(path, 0, b"PK\3\4")
    with pytest.raises(UploadNotKept):
        append(path, len(before), b"more")
    for read in (
        lambda: look_at(path, "a.zip", NOW),
        lambda: check_archive(path, Progress()),
    ):
        with pytest.raises((OSError, PermanentError)):
            read()
    assert other.read_bytes() == before


def test_pieces_become_the_file_and_a_repeated_one_changes_nothing(tmp_path):
    path, content = tmp_path / "uploaded", odoos(tmp_path / "a.zip").read_bytes()
    assert append(path, 0, content[:100]) == 100
    assert append(path, 0, content[:100]) == 100  # the answer to the first was lost
    assert append(path, 700, content[700:]) == 100  # one in between was lost
    assert append(path, 100, content[100:]) == len(content)
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "head, error",
    [
        (b"%PDF-1.4", NotAnArchive),
        (b"PGDMP\1", PgDumpFormat),
        (b"--\n-- PostgreSQL database dump\n", PlainDump),
        (b"\n\nSET statement_timeout = 0;", PlainDump),
        (b"\x1f\x8b\x08\0", CompressedFile),
    ],
)
def test_what_is_no_archive_is_refused_with_its_first_piece(tmp_path, head, error):
    with pytest.raises(error):
        append(tmp_path / "uploaded", 0, head * 100)
    assert (tmp_path / "uploaded").stat().st_size == 0


def test_no_room(tmp_path):
    require_space(tmp_path, 1000)
    with pytest.raises(UploadNeedsSpace) as caught:
        require_space(tmp_path, 1 << 50)
    assert caught.value.message.values["size"] == Size(1 << 50)
    assert caught.value.hint.values["folder"] == str(tmp_path)


# === LOOKED AT === #


def test_zip_of_odoo(tmp_path):
    path = odoos(tmp_path / "x.zip")
    found = look_at(path, "shop_2026-11-20_02-00-00.zip", NOW)
    sidecar = found.sidecar
    assert found.made_by_odoo
    assert found.key == "shop_2026-11-20_02-00-00.zip"
    assert (sidecar.database, sidecar.odoo_version, sidecar.modules) == (
        "shop",
        "19.0",
        2,
    )
    assert sidecar.module_names == ("base", "sale")
    assert sidecar.taken_at == datetime(2026, 11, 20, 2, tzinfo=timezone.utc)
    assert sidecar.contents == ("database", "filestore")
    assert (sidecar.size, sidecar.sha256) == (path.stat().st_size, "")


def test_archive_of_ours_keeps_what_its_manifest_says(tmp_path):
    found = look_at(ours(tmp_path / "x.zip"), "renamed.zip", NOW)
    assert not found.made_by_odoo
    assert found.key == "renamed.zip"
    content = found.taken_in("of this database", "of this run")
    key = sidecar_key(found.key)
    sidecar = parse_sidecar(manifest.sidecar(content, found.key, 9, "0" * 64), key)
    assert (sidecar.run, sidecar.plan, sidecar.database_uuid) == (
        "B00001",
        "Nightly",
        "of the shop",
    )
    assert (sidecar.imported_by, sidecar.import_job) == (
        "of this database",
        "of this run",
    )
    assert sidecar.owner_uuid == "of this database"
    assert sidecar.addons == ("shop_theme",)


@pytest.mark.parametrize(
    "name, key, date",
    [
        (
            "shop_2026-11-20_02-00-00.zip",
            "shop_2026-11-20_02-00-00.zip",
            (2026, 11, 20, 2),
        ),
        ("2026_11_20_02_00_00.dump.zip", "2026_11_20_02_00_00.zip", (2026, 11, 20, 2)),
        ("../Über uns (1).ZIP", "Uber_uns__1_.zip", (2026, 11, 24, 12)),
        (
            "shop_2026-99-20_02-00-00.zip",
            "shop_2026-99-20_02-00-00.zip",
            (2026, 11, 24, 12),
        ),
        (".zip", "backup.zip", (2026, 11, 24, 12)),
    ],
)
def test_names_become_keys_and_tell_the_date(tmp_path, name, key, date):
    found = look_at(odoos(tmp_path / "x.zip"), name, NOW)
    assert found.key == key
    assert found.sidecar.taken_at == datetime(*date, tzinfo=timezone.utc)


def test_a_date_that_cannot_be_right_is_today(tmp_path):
    found = look_at(
        odoos(tmp_path / "x.zip"), "x.zip", datetime.fromtimestamp(0, timezone.utc)
    )
    assert (
        abs((datetime.now(timezone.utc) - found.sidecar.taken_at).total_seconds()) < 60
    )


def test_encrypted_archive_is_known_by_its_name(tmp_path):
    path = tmp_path / "x.age"
    encrypt_file(
        ours(tmp_path / "x.zip"), path, Passphrase("seven wonderful words"), Progress()
    )
    found = look_at(path, "shop-20261120T020000Z-5424c813.zip.age", NOW)
    assert found.key == "shop-20261120T020000Z-5424c813.zip.age"
    assert (found.sidecar.database, found.sidecar.encryption) == ("shop", "passphrase")
    assert found.sidecar.taken_at == datetime(2026, 11, 20, 2, tzinfo=timezone.utc)
    assert found.sidecar.encrypted
    assert not found.made_by_odoo
    assert (
        check_archive(path, Progress()) == hashlib.sha256(path.read_bytes()).hexdigest()
    )


def test_what_is_no_backup_is_refused(tmp_path):
    with pytest.raises(NotOdooBackup):
        look_at(zipped(tmp_path / "a.zip", photo_dot_jpg="x"), "a.zip", NOW)
    whole = odoos(tmp_path / "b.zip")
    whole.write_bytes(whole.read_bytes()[:-30])
    with pytest.raises(DamagedArchive):
        look_at(whole, "b.zip", NOW)


@pytest.mark.parametrize("changes", [{"modules": ["base"]}, {"version": "9" * 100}])
def test_odd_manifest_of_odoo_is_refused_in_words(tmp_path, changes):
    with pytest.raises((BadManifest, ManifestMalformed)):
        look_at(odoos(tmp_path / "a.zip", **changes), "a.zip", NOW)


def test_armour_may_have_white_space_before_it(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\r\n  -----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n")
    assert look_at(path, "a.zip.age", NOW).key == "a.zip.age"


def test_a_folder_around_everything_is_named(tmp_path):
    path = zipped(tmp_path / "a.zip", shop__dump_dot_sql="x", shop__a="y")
    with pytest.raises(InsideFolder) as caught:
        look_at(path, "a.zip", NOW)
    assert caught.value.message.values["folder"] == "shop"


def test_check_finds_a_flipped_bit(tmp_path):
    path = odoos(tmp_path / "a.zip")
    assert (
        check_archive(path, Progress()) == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    content = bytearray(path.read_bytes())
    content[45] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArchive):
        check_archive(path, Progress())


# === IN A STORAGE === #


def test_a_name_that_is_taken_gets_an_ending(storage):
    assert free_key(storage, "a.zip.age", "5424c813-0") == "a.zip.age"
    storage.put_bytes(b"x", "a.json")
    assert free_key(storage, "a.zip.age", "5424c813-0") == "a-5424c813.zip.age"


def test_a_name_is_free_for_whoever_has_taken_it(storage):
    """Also for what a killed upload of the same run has left without a manifest."""
    job, other = "5424c813-0000", "abcdefgh-0000"
    storage.put_bytes(b"x", "a.zip")
    assert free_key(storage, "a.zip", job) == "a-5424c813.zip"
    assert free_key(storage, "a.zip", job, begun=["a.zip"]) == "a.zip"
    taken_in = {**OURS, "import": {"database_uuid": "mine", "job": other}}
    content = manifest.build(ODOO, taken_in)
    storage.put_bytes(manifest.sidecar(content, "a.zip", 1, "ab" * 32), "a.json")
    assert free_key(storage, "a.zip", job, begun=["a.zip"]) == "a-5424c813.zip"
    assert free_key(storage, "a.zip", other) == "a.zip"


def test_nothing_is_overwritten_when_all_names_are_taken(storage):
    for name in ("a", "a-5424c813", "a-5424c813-0"):
        storage.put_bytes(b"x", f"{name}.zip")
    with pytest.raises(NamesTaken):
        free_key(storage, "a.zip", "5424c813-0")


JOBS = ("5424c813-0000-0000-0000-000000000000", "6424c813-0000-0000-0000-000000000000")


def test_of_two_imports_at_once_one_gets_the_name(tmp_path):
    """Both have seen that it is free before either of them writes."""
    both = threading.Barrier(2, timeout=120)

    class Slow(LocalStorage):
        def _create(self, data, key):
            if key == "a.zip":
                both.wait()
            return super()._create(data, key)

    storage = Slow(tmp_path, LocalRules([tmp_path]))
    with ThreadPoolExecutor(2) as pool:
        names = set(pool.map(lambda job: take_key(storage, "a.zip", job), JOBS))
    assert len(names) == 2
    assert "a.zip" in names
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_reservation_holds_for_its_run_only(tmp_path):
    storage = LocalStorage(tmp_path, LocalRules([tmp_path]))
    first, second = JOBS
    assert take_key(storage, "a.zip", first) == "a.zip"
    assert take_key(storage, "a.zip", first) == "a.zip"  # after a kill
    assert free_key(storage, "a.zip", first) == "a.zip"
    assert free_key(storage, "a.zip", second) == "a-6424c813.zip"
    assert list(scan(storage, Progress())) == []
    assert not let_go(storage, "a.zip", second)
    assert let_go(storage, "a.zip", first)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.zip").write_bytes(b"stored")
    assert not let_go(storage, "a.zip", first)
    assert (tmp_path / "a.zip").exists()


def test_a_file_that_is_put_there_meanwhile_is_not_written_over(tmp_path):
    """Somebody else's, between the look and the reservation."""

    class Busy(LocalStorage):
        def _create(self, data, key):
            if key == "a.zip":
                (tmp_path / key).write_bytes(b"theirs")
            return super()._create(data, key)

    storage = Busy(tmp_path, LocalRules([tmp_path]))
    assert take_key(storage, "a.zip", JOBS[0]) == "a-5424c813.zip"
    assert (tmp_path / "a.zip").read_bytes() == b"theirs"


def test_scan_lists_zips_of_odoo_and_what_is_wrong_with_others(storage, tmp_path):
    odoos(tmp_path / "disk/shop 2026-11-20_02-00-00.zip")
    ours(tmp_path / "disk/unfinished.zip")  # without its manifest it is no backup
    zipped(tmp_path / "disk/photos.zip", photo_dot_jpg="x")
    (tmp_path / "disk/broken.zip").write_bytes(b"PK\3\4")
    broken, found, unfinished = scan(storage, Progress())
    assert (found.key, found.problem) == ("shop 2026-11-20_02-00-00.zip", None)
    assert found.sidecar.made_by_odoo
    assert isinstance(broken.problem, DamagedArchive)
    assert (broken.key, broken.size) == ("broken.zip", 4)
    assert isinstance(unfinished.problem, NoManifestBeside)
    assert found.sidecar.key == found.key
    assert describe_stored(storage, found.key) == found.sidecar


def test_scan_tells_a_missing_archive_from_a_damaged_one(storage):
    content = manifest.build(ODOO, OURS)
    for name in ("gone", "short"):
        beside = manifest.sidecar(content, f"{name}.zip", 9, "ab" * 32)
        storage.put_bytes(beside, f"{name}.json")
    storage.put_bytes(b"12", "short.zip")
    storage.put_bytes(b"[]", "strange.json")
    gone, short, strange = scan(storage, Progress())
    assert isinstance(gone.problem, ArchiveMissing)
    assert gone.sidecar
    assert isinstance(short.problem, ArchiveSizeDiffers)
    assert short.sidecar
    assert short.problem.message.values == {"size": 2, "expected": 9}
    assert isinstance(strange.problem, BadManifest)
    assert strange.sidecar is None
    assert strange.is_foreign
    storage.put_bytes(b"12", "strange.zip.age")
    strange = list(scan(storage, Progress()))[-1]
    assert not strange.is_foreign
    # the content of a manifest does not stay in memory
    assert strange.problem.__traceback__ is strange.problem.__context__ is None


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        json.dumps({**ODOO, "db_name": "\ud800"}).encode(),
        json.dumps({**ODOO, "db_name": "a\0b"}).encode(),
        json.dumps({**ODOO, "version": ["19.0"]}).encode(),
        json.dumps({**ODOO, "pg_version": "9" * 5000}).encode(),
        json.dumps({**ODOO, "modules": [1]}).encode(),
        json.dumps({**ODOO, "dfr_backup": [1]}).encode(),
        json.dumps({**ODOO, "dfr_backup": {"missing": 5}}).encode(),
        json.dumps({**ODOO, "dfr_backup": {"missing": [7]}}).encode(),
        json.dumps({**ODOO, "dfr_backup": {"filestore": [1]}}).encode(),
        json.dumps({**ODOO, "dfr_backup": {"snapshot_at": 1e300}}).encode(),
        json.dumps({**ODOO, "dfr_backup": {"rows": {"a": "b"}}}).encode(),
    ],
)
def test_one_bad_manifest_ends_no_scan(storage, tmp_path, content):
    odoos(tmp_path / "disk/good.zip")
    zipped(
        tmp_path / "disk/bad.zip",
        dump_dot_sql="SELECT 1;",
        manifest_dot_json=content,
    )
    storage.put_bytes(content, "beside.json")
    found = {item.key: item for item in scan(storage, Progress())}
    assert found["good.zip"].problem is None
    assert isinstance(found["beside.json"].problem, BadManifest)
    bad = found["bad.zip"]
    # what only this addon has written may also count as Odoo's, or lack its manifest
    assert bad.problem or bad.sidecar.made_by_odoo


@pytest.mark.parametrize("ending", ["zip", "json", "zip.age"])
def test_names_and_dates_that_nobody_can_write_down(storage, tmp_path, ending):
    odoos(tmp_path / "disk/good.zip")
    os.utime(tmp_path / "disk/good.zip", (1e12, 1e12))
    Path(os.fsdecode(bytes(tmp_path / "disk") + b"/\xff." + ending.encode())).touch()
    (tmp_path / "disk" / os.fsdecode(b"\xff.txt")).touch()
    bad, good = scan(storage, Progress())
    assert isinstance(bad.problem, NameUnusable)
    assert bad.key == f"?.{ending}"
    assert (good.key, good.problem) == ("good.zip", None)


def test_damage_of_a_found_zip_is_a_mismatch_with_its_code(storage, tmp_path):
    path = odoos(tmp_path / "disk/a.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(Mismatch) as caught:
        compare_found(storage, "a.zip", path.stat().st_size, "", Progress())
    assert caught.value.code == DamagedArchive.code


def test_only_a_directory_of_this_server_is_looked_into(tmp_path):
    far = SimpleNamespace(local_path=lambda _key: None, stat=lambda _key: None)
    assert found_in(far, "a.zip") is None


def test_found_zip_is_compared(storage, tmp_path):
    path = odoos(tmp_path / "disk/a.zip")
    size = path.stat().st_size
    sha256 = compare_found(storage, "a.zip", size, "", Progress())
    assert compare_found(storage, "a.zip", size, sha256, Progress()) == sha256
    odoos(path, db_name="ship")
    with pytest.raises(OtherFile):
        compare_found(storage, "a.zip", size, sha256, Progress())
    path.unlink()
    with pytest.raises(CopyMissing):
        compare_found(storage, "a.zip", size, sha256, Progress())


def test_directory_that_is_gone_is_explained(tmp_path):
    with pytest.raises(UploadNotKept):
        append(tmp_path / "gone" / "uploaded", 0, b"PK\3\4")
