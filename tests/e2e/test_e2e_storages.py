"""Backups go to real servers, encrypted, and nothing of what is secret is to be seen
anywhere."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import types
import urllib.request
import zipfile
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
package = types.ModuleType("dfr_backup")
package.__path__ = [str(TESTS.parent / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
sys.path.append(str(TESTS / "storages"))

from conftest import drop_database  # noqa: E402
from s3_servers import (  # noqa: E402
    ACCESS_KEY,
    SECRET_KEY,
    config,
    new_bucket,
    rclone,
)
from sftp_servers import plain_sshd  # noqa: E402
from sftp_servers import storage_of as sftp_storage_of  # noqa: E402

from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.storages.base import UNLIMITED  # noqa: E402
from dfr_backup.engine.storages.s3.storage import S3Storage  # noqa: E402

PASSPHRASE = "seven wonderful words that nobody guesses"
STORAGES = """
storages = env["backup.storage"].create([
    {{"name": "Bucket", "provider": "s3",
      "s3_endpoint": {url!r}, "s3_bucket": {bucket!r},
      "s3_prefix": "odoo backups", "s3_addressing": "path", "s3_region": "us-east-1",
      "s3_access_key": {access_key!r}, "s3_secret_key": {secret_key!r}, "timeout": 10}},
    {{"name": "Far host", "provider": "sftp",
      "sftp_host": "127.0.0.1", "sftp_port": {port}, "sftp_user": {user!r},
      "sftp_directory": {directory!r} + "/odoo",
      "sftp_private_key": {private_key!r}, "timeout": 10, "retry_minutes": 0}},
])
storages[1].action_fetch_host_key()
print("OFFERED", storages[1].sftp_offered_fingerprint)
storages[1].action_trust_host_key()
for storage in storages:
    storage.action_test()
    print("TEST", storage.name, storage.last_test_error_code)
env["backup.plan"].search([]).write({{"storage_ids": [(4, s.id) for s in storages]}})
env.cr.commit()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with rclone(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def sshd():
    with plain_sshd(None) as server:
        yield server


@pytest.fixture
def far(instance, s3, sshd):
    """The plan of ``instance`` stores into a bucket and an SFTP server as well."""
    instance.bucket = new_bucket(s3.url)
    instance.far_folder = sshd.data / "odoo"
    if instance.far_folder.exists():
        for path in instance.far_folder.iterdir():
            path.unlink()
    code = STORAGES.format(
        url=s3.url,
        bucket=instance.bucket,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        port=sshd.port,
        user=sshd.user,
        directory=str(sshd.data),
        private_key=sshd.private_key,
    )
    said = instance.shell(code)
    assert "TEST Bucket False" in said, said
    assert "TEST Far host False" in said, said
    return instance


def objects(s3, instance):
    """Return the names that the bucket holds, but for what marks it."""
    from s3_servers import client

    found = client(s3.url).list_objects_v2(Bucket=instance.bucket)
    names = {item["Key"] for item in found.get("Contents", [])}
    return {name for name in names if not name.endswith("dfr_backup-location")}


def test_three_storages(far, s3, restore):
    run = far.backup()
    assert (run.state, run.status) == ("success", 0), run.report
    assert sorted(name for name in run.steps if name.startswith("verify")) == [
        "verify:Bucket",
        "verify:Far host",
        "verify:This server",
    ]
    name = run.archive.name
    sidecar = run.archive.with_suffix(".json").name
    assert objects(s3, far) == {f"odoo backups/{name}", f"odoo backups/{sidecar}"}
    assert (far.far_folder / name).read_bytes() == run.archive.read_bytes()
    restore(far, run.archive)
    assert far.leftovers() == []


RCLONE = """
print("OFFERED", env["backup.storage"]._selection_rclone_remotes())
storage = env["backup.storage"].create(
    {"name": "Cloud", "provider": "rclone",
     "rclone_remote": "cloud", "rclone_directory": "odoo"})
storage.action_test()
print("TEST", storage.last_test_error_code)
env["backup.plan"].search([]).write({"storage_ids": [(6, 0, storage.ids)]})
env.cr.commit()
"""


@pytest.mark.release
def test_rclone_remote(instance, tmp_path):
    """Only what the server's operator has configured can be chosen."""
    (tmp_path / "cloud").mkdir()
    config = tmp_path / "rclone.conf"
    alias = f"[cloud]\ntype = alias\nremote = {tmp_path}/cloud\n"
    config.write_text(f"{alias}[disk]\ntype = local\n")
    instance.write_conf(dfr_backup_rclone_config=str(config))
    said = instance.shell(RCLONE)
    assert "OFFERED [('cloud', 'cloud')]" in said
    assert "TEST False" in said
    run = instance.backup()
    assert (run.state, run.status) == ("success", 0), run.report
    (stored,) = (tmp_path / "cloud/odoo").glob("*.zip")
    assert len(instance.stored(tmp_path / "cloud/odoo")) == 2
    done = instance.odoo("backup", "verify", str(stored))
    assert done.returncode == 0, done.stderr


@pytest.mark.release
def test_all_databases_come_back_from_their_folders(instance, s3, sshd, tmp_path):
    """The host is lost. A bucket and an SFTP server have a folder for each database,
    and a third one there is somebody else's."""
    run, bucket = instance.backup(), new_bucket(s3.url)
    first = instance.database
    second = f"{first}_b"
    sidecar = {key: run.manifest[key] for key in run.manifest if key != "signature"}
    for name, uuid8 in ((first, "0a1b2c3d"), (second, "4e5f6a7b")):
        told = json.dumps(sidecar).replace(f'"{first}"', f'"{name}"').encode()
        for storage in (
            S3Storage(config(s3.url, bucket, prefix="odoo"), UNLIMITED),
            sftp_storage_of(sshd, directory=f"{sshd.data}/all"),
        ):
            folder = storage.subfolder(f"{name}-{uuid8}")
            folder.prepare()
            folder.put(run.archive, run.archive.name, Progress())
            folder.put_bytes(told, run.archive.with_suffix(".json").name)
    private_key, profile = tmp_path / "key", instance.folder / "backups.ini"
    private_key.write_text(sshd.private_key)
    where = f"port = {sshd.port}\nuser = {sshd.user}\nhost_key = {sshd.host_key}\n"
    where += f"directory = {sshd.data}/all/{{database}}-{{uuid8}}\n"
    where += f"private_key_file = {private_key}\n"
    profile.write_text(f"[storage far]\nkind = sftp\nhost = 127.0.0.1\n{where}")
    for path in (private_key, profile):
        path.chmod(0o600)
    instance.write_conf(dfr_backup_profile=str(profile))
    aws = {"AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY}
    aws["AWS_SECRET_ACCESS_KEY"] = SECRET_KEY
    try:
        for source in (f"s3://{bucket}/", "far"):
            for name in (first, second):
                drop_database(name)
                shutil.rmtree(instance.filestore.with_name(name), ignore_errors=True)
            words = ("restore", "--from", source, "--all", "--json")
            done = instance.odoo("backup", *words, **aws)
            assert done.returncode == 0, done.stdout + done.stderr
            rows = json.loads(done.stdout)["databases"]
            assert {row["database"]: row["state"] for row in rows} == {
                first: "restored",
                second: "restored",
            }
            assert all("-" in row["archive"].split("/")[-2] for row in rows)
            assert instance.sql("SELECT 1 FROM backup_job LIMIT 1", database=second)
    finally:
        drop_database(second)


@pytest.mark.release
def test_one_that_fails_does_not_stop_the_others_and_is_retried_alone(far, s3, sshd):
    sshd.stop()
    try:
        run = far.backup()
    finally:
        sshd.start()
    assert (run.state, run.status) == ("partial", 2)
    assert run.steps["verify:Bucket"]["state"] == "success"
    assert run.steps["upload:Far host"]["state"] == "failure"
    assert run.steps["verify:Far host"]["state"] == "skipped"
    assert run.steps["upload:Far host"]["hint"]
    ((job,),) = far.sql("SELECT id FROM backup_job")
    with far.serve():
        far.rpc("backup.job", "action_retry", [job])
        assert far.await_job(job) == "success"
    assert len(list(far.far_folder.glob("*.zip"))) == 1
    assert len(objects(s3, far)) == 2
    assert far.leftovers() == []


@pytest.mark.release
@pytest.mark.parametrize("instant", ["storage.put.part", "storage.put.written"])
def test_killed_in_an_upload_goes_on(far, s3, tmp_path, instant):
    run = far.backup(fault=f"kill:{instant}:{tmp_path}/marker")
    assert (tmp_path / "marker").exists(), "the instant was never reached"
    assert run.state == "success", run.report
    assert len(objects(s3, far)) == 2
    assert len(far.stored(far.far_folder)) == 2
    assert far.leftovers() == []


@pytest.mark.release
def test_catalogue_of_a_new_server(far):
    """Whoever has lost everything but the bucket finds the backups again."""
    run = far.backup()
    far.sql("DELETE FROM backup_copy")
    far.sql("DELETE FROM backup_backup")
    far.sql("DELETE FROM backup_job")
    far.shell("env['backup.storage'].search([]).action_scan(); env.cr.commit()")
    with far.serve():
        job = far.sql("SELECT id FROM backup_job")[0][0]
        assert far.await_job(job) == "success"
    found = far.sql("SELECT key, size, sha256, state FROM backup_copy")
    archive = run.manifest["archive"]
    assert len(found) == 3
    assert set(found) == {
        (archive["key"], archive["size"], archive["sha256"], "stored")
    }


ENCRYPT = """
from odoo.addons.dfr_backup.engine.encryption.files import generate_key
pair = generate_key()
print("PRIVATE", pair.private)
env["backup.plan"].search([]).write(
    {"encryption": "recipients", "age_recipients": pair.public})
env.cr.commit()
"""


@pytest.mark.release
def test_encrypted_for_a_key(far, s3, tmp_path):
    said = far.shell(ENCRYPT)
    (private,) = [
        line.split()[1] for line in said.splitlines() if line.startswith("PRIVATE")
    ]
    (tmp_path / "key").write_text(private + "\n")
    run = far.backup()
    assert run.state == "success", run.report
    assert run.archive.name.endswith(".zip.age")
    assert run.archive.read_bytes().startswith(b"age-encryption.org/v1\n")
    subprocess.run(
        ["age", "-d", "-i", tmp_path / "key", "-o", tmp_path / "a.zip", run.archive],
        check=True,
    )
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert "dump.sql" in archive.namelist()
    assert far.leftovers() == []
    everything = "\n".join(
        [
            *(path.read_text() for path in (far.data / "dfr_backup/log").glob("*")),
            str(far.sql("SELECT row_to_json(p)::text FROM backup_plan p")),
            json.dumps(run.manifest),
        ]
    )
    assert private not in everything


@pytest.mark.release
def test_killed_while_encrypting_goes_on(far, tmp_path):
    far.shell(ENCRYPT)
    run = far.backup(fault=f"kill:archive.recorded:{tmp_path}/marker")
    assert (tmp_path / "marker").exists()
    assert run.state == "success", run.report
    assert run.archive.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert (
        hashlib.sha256(run.archive.read_bytes()).hexdigest()
        == (far.sql("SELECT sha256 FROM backup_copy LIMIT 1")[0][0])
    )
    assert far.leftovers() == []


def test_a_key_that_cannot_be_used_ends_the_run_before_anything_is_saved(instance):
    instance.sql("UPDATE backup_plan SET encryption = 'passphrase'")
    run = instance.backup()
    assert (run.state, run.states["initialize"]) == ("failure", "failure")
    assert run.states["compress"] == "skipped"
    assert instance.stored(instance.storage) == []


def test_secrets_are_nowhere_to_be_seen(far, sshd, tmp_path):
    """Not in the dump, not in a log, not on a command line, not in the environment."""
    plan = "env['backup.plan'].search([])"
    far.shell(
        f"{plan}.write({{'encryption': 'passphrase', 'age_passphrase': "
        f"{PASSPHRASE!r}}})"
        "\nenv.cr.commit()"
    )
    spy = tmp_path / "spy"
    spy.mkdir()
    run = far.backup(fault=f"spy:storage.put.written:{spy}/marker:{spy}")
    assert run.state == "success", run.report
    dump = subprocess.run(
        ["pg_dump", "--no-owner", far.database],
        env={**os.environ, "PGDATABASE": far.database},
        capture_output=True,
        check=True,
    ).stdout
    seen = {"dump": dump}
    seen |= {str(p): p.read_bytes() for p in (far.data / "dfr_backup/log").glob("*")}
    seen |= {str(p): p.read_bytes() for p in spy.iterdir()}
    seen |= {str(p): p.read_bytes() for p in far.folder.glob("*.log")}
    assert any("cmdline" in name for name in seen)
    assert any("environ" in name for name in seen)
    key_lines = [line for line in sshd.private_key.splitlines() if "-----" not in line]
    for secret in (SECRET_KEY, PASSPHRASE, key_lines[1]):
        for name, content in seen.items():
            assert secret.encode() not in content, name


def test_download_in_pieces(instance, restore):
    """A Manager downloads; the rest of an interrupted download can be fetched alone."""
    run = instance.backup()
    content = run.archive.read_bytes()
    token = """
copy = env["backup.copy"].search([]).with_user(env.ref("base.user_admin"))
from odoo.addons.dfr_backup.models.copy.downloading import download_path
print("PATH", download_path(copy))
env.cr.commit()
"""
    (path,) = [
        line.split()[1] for line in instance.shell(token).splitlines() if "PATH" in line
    ]
    with instance.serve():
        opener = logged_in(instance)

        def get(**headers):
            request = urllib.request.Request(instance.url + path, headers=headers)
            with opener.open(request, timeout=60) as answer:
                return answer.status, dict(answer.headers), answer.read()

        status, headers, body = get()
        assert (status, body) == (200, content)
        assert run.archive.name in headers["Content-Disposition"]
        status, again, body = get(Range="bytes=1000-")
        assert (status, body) == (206, content[1000:])
        assert again["Content-Range"] == f"bytes 1000-{len(content) - 1}/{len(content)}"
        assert (
            get(**{"Range": "bytes=5-9", "If-Range": headers["ETag"]})[2]
            == content[5:10]
        )
        assert get(**{"Range": "bytes=5-9", "If-Range": '"another"'})[2] == content
        for bad, code in (
            (path[:-3] + "abc", 404),
            (path.replace("/1/", "/999/"), 404),
        ):
            request = urllib.request.Request(instance.url + bad)
            with pytest.raises(urllib.error.HTTPError) as caught:
                opener.open(request, timeout=60)
            assert caught.value.code == code
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(Range=f"bytes={len(content)}-")
        assert caught.value.code == 416
        kit = (
            opener.open(f"{instance.url}/dfr_backup/recovery_kit/1", timeout=60)
            .read()
            .decode()
        )
        assert run.archive.name in kit
        assert str(instance.storage) in kit
        anonymous = urllib.request.urlopen(instance.url + path, timeout=60)
        assert anonymous.url.startswith(f"{instance.url}/web/login")


def logged_in(instance):
    """Return an opener with the session of the administrator."""
    jar = urllib.request.HTTPCookieProcessor()
    opener = urllib.request.build_opener(jar)
    body = {
        "jsonrpc": "2.0",
        "params": {"db": instance.database, "login": "admin", "password": "admin"},
    }
    request = urllib.request.Request(
        f"{instance.url}/web/session/authenticate",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener.open(request, timeout=60).read()
    return opener
