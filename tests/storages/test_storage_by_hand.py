"""What the recovery kit tells people to type reaches real servers, and holds no
secret."""

import os
import subprocess

import pytest
from s3_servers import SECRET_KEY, config, new_bucket
from sftp_servers import make_key, plain_sshd

from dfr_backup.engine.storages.base import UNLIMITED
from dfr_backup.engine.storages.by_hand import ByHand
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage
from dfr_backup.engine.storages.rclone.rules import RcloneConfig
from dfr_backup.engine.storages.rclone.storage import RcloneStorage
from dfr_backup.engine.storages.s3.storage import S3Storage
from dfr_backup.engine.storages.sftp.keys import HostKey
from dfr_backup.engine.storages.sftp.link import SftpConfig
from dfr_backup.engine.storages.sftp.storage import SftpStorage
from dfr_backup.engine.storages.url import storage_at

KEY, CONTENT = "it's.zip", b"what was stored"


def fetched(storage, folder, typed=(), **environ):
    """Type what is said; return what was fetched, and the variables that were set."""
    (folder / "files").mkdir(parents=True)
    shown = "env -0 > environ"
    script = "\n".join(["set -e", *storage.by_hand().lines(), shown, 'fetch "$KEY"'])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "KEY": KEY, **environ},
        input="".join(f"{line}\n" for line in typed),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, script + done.stderr
    pairs = (folder / "environ").read_text().split("\0")
    variables = dict(pair.split("=", 1) for pair in pairs if pair)
    return (folder / "files" / KEY).read_bytes(), variables


def as_address(storage, environ):
    """Return what the command line finds at the storage's address."""
    found, key = storage_at(storage.location(KEY), environ)
    with found.open(key) as stream:
        return stream.read()


@pytest.mark.parametrize("prefix", ["", "odoo backups/daily"])
def test_bucket(rclone_server, tmp_path, monkeypatch, prefix):
    url = rclone_server.url
    where = config(url, new_bucket(url), prefix=prefix, region="us-east-1")
    storage = S3Storage(where, UNLIMITED)
    storage.put_bytes(CONTENT, KEY)
    found, variables = fetched(storage, tmp_path / "shell", [SECRET_KEY])
    assert found == CONTENT
    for name in storage.by_hand().given:
        monkeypatch.setenv(name, variables[name])  # for boto3's own chain
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", variables["AWS_SECRET_ACCESS_KEY"])
    assert as_address(storage, variables) == CONTENT
    assert SECRET_KEY not in "\n".join(storage.by_hand().lines())


def test_bucket_with_a_certificate_of_its_own(rclone_secure_server, tmp_path):
    url, ca = rclone_secure_server.url, rclone_secure_server.ca
    where = config(url, new_bucket(url, ca), ca, access_key="", secret_key="")
    storage = S3Storage(where, UNLIMITED)
    keys = config(url, where.bucket, ca)
    S3Storage(keys, UNLIMITED).put_bytes(CONTENT, KEY)
    typed = [keys.access_key, ca, SECRET_KEY]
    assert fetched(storage, tmp_path / "shell", typed)[0] == CONTENT


def _scp(folder, host_key, port):
    """Let scp know the server, as somebody's ~/.ssh does; return the PATH."""
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    program = folder / "scp"
    options = f"-o UserKnownHostsFile={folder}/known -o BatchMode=yes"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/scp {options} "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_sftp(tmp_path):
    with plain_sshd(None) as sshd:
        line = HostKey.from_line(sshd.host_key).line
        folder = sshd.data / "odoo backups"
        folder.mkdir()
        where = SftpConfig(
            host="127.0.0.1",
            port=sshd.port,
            user=sshd.user,
            private_key=sshd.private_key,
            directory=str(folder),
            host_key=line,
        )
        storage = SftpStorage(where, UNLIMITED)
        storage.put_bytes(CONTENT, KEY)
        key = tmp_path / "login"
        key.write_text(sshd.private_key)
        key.chmod(0o600)
        path = _scp(tmp_path, line, sshd.port)
        found, variables = fetched(storage, tmp_path / "shell", [key], PATH=path)
        assert found == CONTENT
        assert as_address(storage, variables) == CONTENT
        storage.close()


def test_sftp_asks_for_what_the_storage_has(tmp_path):
    key = make_key(tmp_path / "key", passphrase="secret words")
    about = {"host": "::1", "user": "backup", "directory": ""}
    with_password = SftpStorage(SftpConfig(**about, password="word"), UNLIMITED)
    found = with_password.by_hand()
    assert (found.asked, found.secrets) == ([], ["DFR_BACKUP_SFTP_PASSWORD"])
    more = {"private_key": key, "passphrase": "secret words"}
    found = SftpStorage(SftpConfig(**about, **more), UNLIMITED).by_hand()
    assert found.asked == ["DFR_BACKUP_SFTP_KEY"]
    assert found.secrets == ["DFR_BACKUP_SFTP_PASSPHRASE"]
    text = "\n".join(found.lines())
    assert "secret words" not in text
    assert "PRIVATE" not in text


def test_rclone_remote(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    configuration = tmp_path / "rclone.conf"
    configuration.write_text(f"[far]\ntype = alias\nremote = {data}\n")
    where = RcloneConfig("far", "odoo backups", configuration, None)
    storage = RcloneStorage(where, UNLIMITED)
    storage.prepare()
    storage.put_bytes(CONTENT, KEY)
    variables = {"RCLONE_CONFIG": str(configuration)}
    assert fetched(storage, tmp_path / "shell", **variables)[0] == CONTENT
    assert not storage.by_hand().is_addressed


def test_directory(tmp_path):
    folder = tmp_path / "it's here"
    storage = LocalStorage(folder, LocalRules([tmp_path]))
    storage.prepare()
    storage.put_bytes(CONTENT, KEY)
    found, variables = fetched(storage, tmp_path / "shell")
    assert found == CONTENT
    assert as_address(storage, variables) == CONTENT


def test_kind_that_does_not_say():
    assert ByHand().lines() == []
