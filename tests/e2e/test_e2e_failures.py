"""The failure branches of the sequence diagram, each with a real cause."""

import os
import subprocess
import zipfile

import pytest

root_only = pytest.mark.skipif(os.getuid() != 0, reason="mounts a file system")


def names(run):
    with zipfile.ZipFile(run.archive) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def explained(step, code, *values):
    """The step has that error, with these values of it, and a hint."""
    assert step["error_code"] == code, step["error"]
    assert step["hint"]
    for value in values:
        assert value in step["error"]
    return True


def test_dump_fails_without_permission_on_one_table(instance):
    instance.superuser("CREATE TABLE secret_table (id int)")
    run = instance.backup()
    assert (run.state, run.status) == ("partial", 2)
    assert explained(run.by_kind["dump_database"], "DUMP-08", "secret_table")
    assert "GRANT" in run.by_kind["dump_database"]["hint"]
    (log,) = instance.sql("SELECT log FROM backup_step WHERE kind = 'dump_database'")[0]
    assert "secret_table" in log
    assert run.states == {
        "initialize": "success",
        "dump_database": "failure",
        "archive_files": "success",
        "compress": "success",
        "upload": "success",
        "verify": "success",
        "cleanup": "success",
    }
    assert "dump.sql" not in names(run)
    assert any(name.startswith("filestore/") for name in names(run))
    assert run.manifest["dfr_backup"]["missing"][0]["part"] == "dump_database"
    assert instance.leftovers() == []


def use_pg_dump(instance, tmp_path, *commands):
    """Give Odoo a program that calls itself pg_dump 15.1 and does something else."""
    fake = tmp_path / "bin/pg_dump"
    fake.parent.mkdir()
    version = "[ \"$1\" = --version ] && echo 'pg_dump (PostgreSQL) 15.1' && exit 0"
    fake.write_text("\n".join(["#!/bin/sh", version, *commands]) + "\n")
    fake.chmod(0o755)
    instance.write_conf(pg_path=str(fake.parent))


def test_dump_fails_with_a_wrong_pg_dump(instance, tmp_path):
    complaint = "echo 'pg_dump: error: something is rotten' >&2"
    use_pg_dump(instance, tmp_path, "echo '-- half a dump'", complaint, "exit 1")
    run = instance.backup()
    assert (run.state, run.states["dump_database"]) == ("partial", "failure")
    assert explained(run.by_kind["dump_database"], "DUMP-03", "something is rotten")
    assert "dump.sql" not in names(run)
    assert instance.leftovers() == []


def test_a_dump_that_only_seems_complete_fails(instance, tmp_path):
    use_pg_dump(instance, tmp_path, "echo '-- half a dump'")
    run = instance.backup()
    assert (run.state, run.states["dump_database"]) == ("partial", "failure")
    assert explained(run.by_kind["dump_database"], "DUMP-02")


def test_files_fail_when_one_cannot_be_read(instance):
    victim = sorted(instance.filestore.glob("??/*"))[3]
    victim.chmod(0)
    run = instance.backup()
    assert (run.state, run.status) == ("partial", 2)
    assert run.states["archive_files"] == "failure"
    assert run.states["dump_database"] == run.states["verify"] == "success"
    assert explained(run.by_kind["archive_files"], "ARCHIVE-08")
    found = names(run)
    assert "dump.sql" in found
    assert f"filestore/{victim.parent.name}/{victim.name}" not in found
    assert (
        sum(name.startswith("filestore/") for name in found) > 200
    )  # the others are kept
    assert run.manifest["dfr_backup"]["filestore"]["unreadable"] == 1
    assert instance.leftovers() == []


def test_files_fail_without_a_filestore(instance):
    instance.filestore.rename(instance.filestore.with_name("elsewhere"))
    run = instance.backup(DFR_BACKUP_HERE="True")
    assert (run.state, run.states["archive_files"]) == ("partial", "failure")
    assert explained(
        run.by_kind["archive_files"], "ARCHIVE-05", str(instance.filestore)
    )
    assert "dump.sql" in names(run)
    assert instance.leftovers() == []


@root_only
def test_compression_fails_without_space(instance, tmp_path):
    instance.work.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", instance.work], check=True
    )
    try:
        fault = f"fill:step.compress.begin:{tmp_path}/marker:{instance.work}"
        run = instance.backup(fault=fault)
        (instance.work / "filler").unlink()
        assert (run.state, run.status) == ("failure", 1)
        assert run.states["archive_files"] == "success"
        assert run.states["compress"] == "failure"
        assert run.states["upload"] == run.states["verify"] == "skipped"
        assert explained(run.by_kind["compress"], "ARCHIVE-01")
        assert instance.leftovers() == []
        assert instance.stored(instance.storage) == []
    finally:
        subprocess.run(["umount", instance.work], check=True)


@root_only
def test_too_little_space_is_refused_before_anything_is_dumped(instance):
    instance.work.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", instance.work], check=True
    )
    try:
        run = instance.backup()
        assert (run.state, run.states["initialize"]) == ("failure", "failure")
        assert explained(run.by_kind["initialize"], "ARCHIVE-03")
        assert run.states["dump_database"] == "skipped"
        assert instance.leftovers() == []
    finally:
        subprocess.run(["umount", instance.work], check=True)


@pytest.mark.parametrize(
    "how, code", [("vanished", "LOCAL-07"), ("read-only", "LOCAL-08")]
)
def test_upload_fails_and_is_retried_from_the_kept_archive(instance, how, code):
    if how == "vanished":
        instance.storage.rmdir()
    else:
        instance.storage.chmod(0o500)
    run = instance.backup()
    assert (run.state, run.status) == ("failure", 1)
    assert run.states["compress"] == "success"
    assert (run.states["upload"], run.states["verify"]) == ("failure", "skipped")
    assert explained(run.by_kind["upload"], code, str(instance.storage))
    assert run.states["initialize"] == "warning"  # it was seen early, and said
    ((job, kept),) = instance.sql("SELECT id, kept_until FROM backup_job")
    assert kept
    (archive,) = instance.work.glob("*/*")
    inode = archive.stat().st_ino

    if how == "vanished":
        instance.storage.mkdir()
    else:
        instance.storage.chmod(0o700)
    with instance.serve():
        instance.rpc("backup.job", "action_retry", [job])
        assert instance.await_job(job) == "success"
    (stored,) = instance.storage.glob("*.zip")
    assert stored.stat().st_ino == inode  # the very same archive, not a new dump
    assert instance.leftovers() == []


def test_everything_fails(instance):
    instance.superuser("CREATE TABLE secret_table (id int)")
    instance.filestore.rename(instance.filestore.with_name("elsewhere"))
    run = instance.backup(DFR_BACKUP_HERE="True")
    assert (run.state, run.status) == ("failure", 1)
    assert run.states == {
        "initialize": "success",
        "dump_database": "failure",
        "archive_files": "failure",
        "compress": "skipped",
        "upload": "skipped",
        "verify": "skipped",
        "cleanup": "success",
    }
    assert run.report["job"]["error_code"] == "DUMP-08"
    assert explained(run.by_kind["archive_files"], "ARCHIVE-05")
    assert instance.leftovers() == []
    assert instance.stored(instance.storage) == []
