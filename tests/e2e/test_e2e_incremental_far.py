"""Incremental backups in a bucket and on an SFTP server come back from there."""

import shutil

import pytest
from conftest import drop_database
from test_e2e_incremental import MAKE_INCREMENTAL, MORE, assert_good, files
from test_e2e_rights import Browser, Person
from test_e2e_storages import ACCESS_KEY, SECRET_KEY, far, sshd  # noqa: F401

# what a restored copy has of its own: what a neutralized one gets is there as well
OWN = {'"public"."ir_config_parameter"', '"public"."ir_mail_server"'}
STORED = """
SELECT copy.id FROM backup_copy copy
  JOIN backup_storage storage ON storage.id = copy.storage_id
 WHERE storage.provider = 's3' AND copy.key = %s
"""
PARAMETER = "SELECT value FROM ir_config_parameter WHERE key = %s"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    from s3_servers import rgw

    with rgw(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def second(far):  # noqa: F811
    """The second of two incremental backups, in three storages."""
    far.shell(MAKE_INCREMENTAL)
    first = far.backup()
    far.shell(MORE)
    second = far.backup()
    assert [run.state for run in (first, second)] == ["success", "success"]
    assert len(second.manifest["packs"]) > len(first.manifest["packs"])
    return second


def rows(instance, run, database):
    """Return the number of rows of each table that a backup has counted."""
    counts = (
        f"SELECT '{table}', count(*) FROM ONLY {table}"
        for table in run.manifest["dfr_backup"]["rows"]
    )
    return dict(instance.sql(" UNION ALL ".join(counts), database=database))


def assert_restored(instance, run, database):
    """Compare a restored database with what was saved, and its files with those of
    the original."""
    found, saved = rows(instance, run, database), run.manifest["dfr_backup"]["rows"]
    assert {table for table in saved if found[table] != saved[table]} <= OWN
    original = files(instance, instance.database)
    assert_good(files(instance, database), original.keys())


def forget(instance, database):
    drop_database(database)
    shutil.rmtree(instance.data / "filestore" / database, ignore_errors=True)


@pytest.mark.release
def test_a_bucket_and_an_sftp_server_give_it_back(
    far,  # noqa: F811
    s3,
    sshd,  # noqa: F811
    second,
    copy,
    tmp_path,
):
    name = second.archive.name
    aws = {"AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY}
    aws["AWS_SECRET_ACCESS_KEY"] = SECRET_KEY
    address = f"s3://{far.bucket}/odoo backups/{name}"
    done = far.command("backup", "restore", address, "--to", copy, "--json", **aws)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_restored(far, second, copy)
    forget(far, copy)

    key = tmp_path / "key"
    key.write_text(sshd.private_key)
    ssh = {"DFR_BACKUP_SFTP_KEY": str(key), "DFR_BACKUP_SFTP_HOST_KEY": sshd.host_key}
    address = f"sftp://{sshd.user}@127.0.0.1:{sshd.port}{far.far_folder}/{name}"
    words = ("backup", "restore", address, "--to", copy, "--json")
    fetched = far.data / "dfr_backup/fetched"
    fault = f"kill:fetch.piece:{tmp_path}/marker:{fetched}/*/packs/*"
    assert far.odoo(*words, fault=fault, **ssh).returncode == -9
    spoil_what_is_here(far, fetched)
    done = far.odoo(*words, **ssh)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_restored(far, second, copy)
    assert list(fetched.glob("*")) == []
    forget(far, copy)

    for pack in far.storage.glob("*-files-*.zip"):
        pack.unlink()  # what comes from anywhere else than the bucket
    ((stored,),) = far.sql(STORED, name)
    with far.serve():
        office = Browser(Person(far, "admin"))
        values = {"copy_id": stored, "database": copy}
        (wizard,) = office.call("backup.restore.wizard", "create", [values])
        shown = office.call("backup.restore.wizard", "action_make", [wizard])
        assert far.await_job(shown["res_id"], timeout=600) == "success"
    assert_restored(far, second, copy)
    neutral = far.sql(PARAMETER, "database.is_neutralized", database=copy)
    assert neutral == [("true",)]
    uuid = far.sql(PARAMETER, "database.uuid")
    assert uuid != far.sql(PARAMETER, "database.uuid", database=copy)
    assert far.leftovers() == []


def spoil_what_is_here(instance, fetched):
    """Of each pack that is being fetched, change what is here already in the storage:
    who fetches it a second time gets other bytes."""
    begun = {path.name: path.stat().st_size for path in fetched.glob("*/packs/*")}
    sizes = {name: (instance.far_folder / name).stat().st_size for name in begun}
    assert any(0 < begun[name] < sizes[name] for name in begun)
    for name, size in begun.items():
        with open(instance.far_folder / name, "r+b") as stream:
            stream.write(bytes(size))
