import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from cancelling import cancelled_after
from sftp_servers import Proxy
from storage_contract import StorageContract

from dfr_backup.engine.errors import Cancelled, PermanentError, RetryableError
from dfr_backup.engine.errors.rclone import (
    BadRemote,
    BadRemoteDirectory,
    ConfigurationLocked,
    ConfigurationMissing,
    RcloneDirectoryMissing,
    RcloneLoginRefused,
    RcloneMissing,
    RcloneNoRoom,
    RcloneNotADirectory,
    RcloneNotReached,
    RcloneStuck,
    RcloneTooOld,
    RemoteNotAllowed,
    StorageFull,
)
from dfr_backup.engine.messages import Size
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import Capabilities, TransferLimits
from dfr_backup.engine.storages.rclone.errors import without_secrets
from dfr_backup.engine.storages.rclone.rules import RcloneConfig, environment
from dfr_backup.engine.storages.rclone.storage import RcloneStorage, list_remotes

MIB = 1 << 20
RCLONE = os.environ.get("TESTED_RCLONE", "rclone")  # or the path of another version
SECRET = "correct-horse"
DAV = "type = webdav\nvendor = other\nurl = http://127.0.0.1:"
SECTIONS = {
    "folder": "type = alias\nremote = {data}",
    "folder-of-root": "type = local",
    "web dav": DAV + "{dav}\nuser = u\npass = {good}",
    "wrong": DAV + "{dav}\nuser = u\npass = {bad}",
    "bucket": "type = s3\nprovider = Rclone\nendpoint = http://127.0.0.1:{s3}\n"
    "access_key_id = key\nsecret_access_key = " + SECRET,
    "nobody": DAV + "{closed}",
}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Served:
    """A folder that ``rclone serve`` serves on a port of loopback."""

    def __init__(self, protocol, folder, *options, **variables):
        self.port = free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        address = f"--addr=127.0.0.1:{self.port}"
        fresh = "--dir-cache-time=50ms"  # the tests change what is behind it
        self._argv = [
            "rclone",
            "serve",
            protocol,
            address,
            fresh,
            *options,
            str(folder),
        ]
        self._env = os.environ | {"RCLONE_CONFIG": "/dev/null"} | variables

    def start(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self._argv, env=self._env, **quiet)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, "the server ended at once"
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            time.sleep(0.02)
        raise AssertionError("the server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait(60)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("rclone")


@pytest.fixture(scope="session")
def webdav(home):
    server = Served("webdav", home / "dav", RCLONE_USER="u", RCLONE_PASS=SECRET).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def s3(home):
    (home / "s3/bucket").mkdir(parents=True)
    server = Served("s3", home / "s3", f"--auth-key=key,{SECRET}").start()
    yield server
    server.kill()


def obscured(text):
    return subprocess.run(
        ["rclone", "obscure", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture(scope="session")
def config_file(home, webdav, s3):
    path = home / "rclone.conf"
    values = {
        "data": home / "data",
        "dav": webdav.port,
        "s3": s3.port,
        "closed": free_port(),
    }
    values |= {"good": obscured(SECRET), "bad": obscured("wrong-horse")}
    sections = [
        f"[{name}]\n{text.format(**values)}\n" for name, text in SECTIONS.items()
    ]
    path.write_text("\n".join(sections))
    path.chmod(0o600)
    return path


@pytest.fixture
def make(config_file):
    def make(remote, directory="", bandwidth=0, timeout=20.0, **changes):
        values = {"remote": remote, "directory": directory, "config_file": config_file}
        values["binary"] = Path(RCLONE) if "/" in RCLONE else None
        return RcloneStorage(
            RcloneConfig(**(values | changes)), TransferLimits(bandwidth, timeout)
        )

    return make


@pytest.fixture
def folder(home):
    """Where the remote “folder” leads, empty."""
    folder = home / "data"
    folder.mkdir(exist_ok=True)
    empty(folder)
    return folder


def empty(folder):
    for path in folder.iterdir():
        subprocess.run(["rm", "-rf", path], check=True)
    time.sleep(0.06)  # until the servers have forgotten it


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.zip"
    path.write_bytes(random.Random(1).randbytes(12 * MIB + 17))
    return path


class RcloneContract(StorageContract):
    """``behind`` is the folder in which the objects are, seen from behind the
    server."""

    def test_list_is_complete_and_ordered(self, storage, behind):
        keys = [f"key {number:04} ü" for number in range(1100)]
        for key in reversed(keys):
            (behind / key).write_bytes(b"x")  # 1100 processes would take minutes
        assert [found.key for found in storage.list()] == keys


class RcloneContractOfABackend(RcloneContract):
    """What depends on the backend; the rest is shown once."""

    test_keys_stay_inside = None
    test_verify_notices = None


class TestFolder(RcloneContract):
    @pytest.fixture
    def behind(self, folder):
        return folder / "backups/odoo"

    @pytest.fixture
    def storage(self, make, behind):
        storage = make("folder", "backups/odoo")
        storage.prepare()
        return storage

    def test_nothing_but_the_object_is_left(self, storage, source, behind):
        storage.put(source, "a.zip", Progress())
        storage.put_bytes(b"x", "a.json")
        assert {path.name for path in behind.iterdir()} == {"a.zip", "a.json"}


class TestWebdav(RcloneContractOfABackend):
    @pytest.fixture
    def behind(self, webdav):
        empty(webdav.folder)
        (webdav.folder / "odoo").mkdir()
        return webdav.folder / "odoo"

    @pytest.fixture
    def storage(self, make, behind):
        return make("web dav", "odoo")


class TestBucket(RcloneContractOfABackend):
    """An object store: no renaming, and no directories that are empty."""

    @pytest.fixture
    def behind(self, s3):
        empty(s3.folder / "bucket")
        folder = s3.folder / "bucket/odoo"
        folder.mkdir()
        return folder

    @pytest.fixture
    def storage(self, make, behind):
        return make("bucket", "bucket/odoo")

    def test_uploads_have_no_other_name(self, storage, source, behind):
        storage.put(source, "a.zip", Progress())
        assert [path.name for path in behind.iterdir()] == ["a.zip"]


INJECTIONS = [
    # options
    ("-v", ""),
    ("--config=/etc/passwd", ""),
    ("folder", "--config=/etc/passwd"),
    ("folder", "-rf"),
    ("folder", "a/--backup-dir=x"),
    ("folder --verbose", ""),
    # connection strings
    (":local", ""),
    (":local:/etc", ""),
    (":sftp,host=example.org:", ""),
    ("folder,remote=/etc", ""),
    ("folder:,remote='/etc':", ""),
    ("folder,copy_links=true", "x"),
    ("folder{}", ""),
    ("'folder'", ""),
    ("folder", ":local:/etc"),
    ("folder", "x:/etc"),
    # other remotes, and none
    ("", ""),
    ("/", "etc"),
    ("/etc", ""),
    (".", "etc"),
    ("folder:..", ""),
    ("FOLDER", ""),
    ("folder ", ""),
    (" folder", ""),
    ("folder-of-root", "etc"),
    ("unknown", ""),
    ("folder/../folder-of-root", ""),
    # paths
    ("folder", ".."),
    ("folder", "../other"),
    ("folder", "a/../../other"),
    ("folder", "/etc"),
    ("folder", "a//b"),
    ("folder", "."),
    ("folder", "a/./b"),
    ("folder", "a/"),
    ("folder", "~/x"),
    ("folder", "a\\..\\b"),
    ("folder", " a"),
    # what no terminal shows
    ("folder\n[evil]", ""),
    ("folder\0", ""),
    ("folder", "a\nb"),
    ("folder", "a\0b"),
    ("folder", "a\x1b[2J"),
    ("folder", "a\u202eb"),
    ("folder", "a\udc80b"),
    ("$HOME", ""),
    ("${RCLONE_CONFIG}", ""),
    ("`id`", ""),
]
KEYS = ["", ".", "..", "../a", "a/b", "/etc/x", "a\0b", "a\nb", "a\x1bb", "a\udc80"]


@pytest.fixture
def spy(tmp_path):
    """An rclone that writes down how it was called, and then does it."""
    path = tmp_path / "spy"
    program = shutil.which(RCLONE)
    path.write_text(f'#!/bin/sh\necho "$*" >>{path}.calls\nexec {program} "$@"\n')
    path.chmod(0o700)
    return path


def calls_of(spy):
    calls = Path(f"{spy}.calls")
    return calls.read_text().splitlines() if calls.exists() else []


def every_call(storage, source):
    yield lambda: storage.put(source, "a", Progress())
    yield lambda: storage.put_bytes(b"x", "a")
    yield lambda: storage.stat("a")
    yield lambda: list(storage.list())
    yield lambda: storage.open("a").__enter__()
    yield lambda: storage.delete("a")
    yield lambda: storage.discard_partial("a")
    yield storage.prepare
    yield storage.check
    yield storage.free_space
    yield storage.probe


def snapshot(folder):
    return sorted((str(path), path.stat().st_size) for path in folder.rglob("*"))


@pytest.mark.parametrize("remote, directory", INJECTIONS)
def test_nothing_but_a_remote_and_a_directory(
    make, folder, home, spy, remote, directory
):
    before = snapshot(home)
    try:
        storage = make(remote, directory, binary=spy)
    except (BadRemote, BadRemoteDirectory):
        assert calls_of(spy) == []
        return
    calls = every_call(storage, spy) if remote == "folder-of-root" else [storage.probe]
    for call in calls:
        with pytest.raises(RemoteNotAllowed) as caught:
            call()
        assert "folder" in caught.value.hint.values["remotes"].parts
    assert {call.split()[0] for call in calls_of(spy)} == {"version", "listremotes"}
    assert not any(f"{remote}:" in call for call in calls_of(spy))
    assert snapshot(home) == before


def test_keys_are_names(make, folder, home, spy, source):
    storage = make("folder", binary=spy)
    storage.check()
    before, known = snapshot(home), calls_of(spy)
    for key in KEYS:
        for call in (
            partial(storage.put, source, key, Progress()),
            partial(storage.put_bytes, b"x", key),
            partial(storage.stat, key),
            storage.open(key).__enter__,
            partial(storage.delete, key),
            partial(storage.discard_partial, key),
        ):
            with pytest.raises(PermanentError):
                call()
    assert calls_of(spy) == known
    assert snapshot(home) == before


def test_keys_that_look_like_something_else_are_names(make, folder):
    keys = ["-v", "--config=x", ":local:x", "a:b", "a,b=c", "*", "{{x}}", "~"]
    storage = make("folder")
    for key in keys:
        storage.put_bytes(key.encode(), key)
    assert {path.name for path in folder.iterdir()} == set(keys)
    assert [found.key for found in storage.list()] == sorted(keys)
    for key in keys:
        with storage.open(key) as stream:
            assert stream.read() == key.encode()
        storage.delete(key)
    assert list(folder.iterdir()) == []


def test_variables_are_no_options(make, folder, monkeypatch):
    monkeypatch.setenv("RCLONE_DRY_RUN", "true")
    monkeypatch.setenv("RCLONE_CONFIG_EXTRA_TYPE", "memory")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    storage = make("folder")
    storage.put_bytes(b"x", "a")
    assert (folder / "a").read_bytes() == b"x"
    assert "extra" in list_remotes(storage._config)  # the operator's, like the file
    assert "RCLONE_DRY_RUN" not in environment()


def test_secrets_are_not_on_the_command_line(make, webdav, spy, config_file):
    storage = make("web dav", binary=spy)
    storage.put_bytes(b"x", "a")
    storage.delete("a")
    told = "\n".join(calls_of(spy))
    assert "copyto" in told
    for line in config_file.read_text().splitlines():
        if line.startswith(("pass", "secret")):
            assert line.partition(" = ")[2] not in told


def test_addresses_lose_their_secrets():
    text = 'Put "https://me:pw@example.org/a?sig=secret&x": failed https://example.org/b?token=x'
    told = without_secrets(text)
    for secret in ("pw", "secret", "token"):
        assert secret not in told
    assert "example.org/a" in told


def test_remotes_to_choose_from(make):
    remotes = list_remotes(make("folder")._config)
    assert remotes == sorted(set(SECTIONS) - {"folder-of-root"})


def test_location(make):
    assert make("folder", "a/b").location("c.zip") == "rclone: folder:a/b/c.zip"
    assert make("folder").location("c.zip") == "rclone: folder:c.zip"


def children():
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_cancel_ends_rclone_and_removes_what_was_sent(make, folder, source):
    storage = make("folder", bandwidth=MIB // 8)
    storage.check()
    before, started = children(), time.monotonic()
    with pytest.raises(Cancelled):
        storage.put(source, "a.zip", cancelled_after(1))
    assert time.monotonic() - started < 45
    assert children() == before
    assert list(folder.iterdir()) == []


def test_cancel_of_a_verify(make, folder, source):
    storage = make("folder", bandwidth=MIB // 8)
    shutil.copy(source, folder / "a.zip")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    before, started = children(), time.monotonic()
    with pytest.raises(Cancelled):
        storage.verify("a.zip", source.stat().st_size, digest, cancelled_after(1))
    assert time.monotonic() - started < 45
    assert children() == before


def test_bandwidth_and_progress(make, folder, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(bytes(6 * MIB))
    seen = []
    progress = Progress(lambda progress: seen.append(progress.done))
    storage = make("folder", bandwidth=2 * MIB)
    storage.check()
    started = time.monotonic()
    storage.put(source, "a", progress)
    assert time.monotonic() - started > 1.5
    assert progress.done == progress.total == 6 * MIB
    assert any(0 < done < 6 * MIB for done in seen)


def read_all(stream):
    while stream.read(MIB):
        pass


def test_what_reads_ends_when_rclone_is_killed(make, folder, source):
    shutil.copy(source, folder / "a.zip")
    before = children()
    with make("folder", bandwidth=4 * MIB).open("a.zip") as stream:
        stream.read(1000)
        (child,) = children() - before
        os.kill(child, signal.SIGKILL)
        with pytest.raises(RetryableError):
            read_all(stream)
    assert children() == before


def test_reading_can_stop_early(make, folder, source):
    shutil.copy(source, folder / "a.zip")
    before = children()
    with make("folder").open("a.zip") as stream:
        assert stream.read(10) == source.read_bytes()[:10]
    assert children() == before


def test_server_that_is_killed_in_an_upload(make, home, config_file, source, tmp_path):
    server = Served("webdav", tmp_path / "dav", RCLONE_USER="u", RCLONE_PASS=SECRET)
    text = config_file.read_text()
    port = re.search(r"127.0.0.1:(\d+)", text.partition("[web dav]")[2])[1]
    other = tmp_path / "rclone.conf"
    other.write_text(text.replace(f":{port}", f":{server.port}"))
    server.start()
    try:
        storage = make("web dav", bandwidth=10 * MIB, timeout=2, config_file=other)
        storage.check()
        threading.Timer(0.5, server.kill).start()
        started = time.monotonic()
        with pytest.raises(RetryableError) as caught:
            storage.put(source, "a.zip", Progress())
        assert time.monotonic() - started < 60
        assert caught.value.hint
        assert "a.zip" not in os.listdir(server.folder)
        server.start()
        (server.folder / "a.zip.part").write_bytes(b"left over")
        storage = make("web dav", config_file=other)
        assert list(storage.list()) == []
        storage.put_bytes(b"x", "a.zip")
        assert "a.zip" in os.listdir(server.folder)
        (server.folder / "a.zip.part").write_bytes(b"left over")
        storage.discard_partial("a.zip")
        storage.discard_partial("a.zip")
        assert os.listdir(server.folder) == ["a.zip"]
    finally:
        server.kill()


def test_server_that_stalls_in_an_upload(make, webdav, config_file, source, tmp_path):
    empty(webdav.folder)
    with Proxy(webdav.port, limit=4 * MIB) as proxy:
        other = tmp_path / "rclone.conf"
        other.write_text(
            config_file.read_text().replace(f":{webdav.port}", f":{proxy.port}")
        )
        storage = make("web dav", timeout=1, config_file=other)
        started, before = time.monotonic(), children()
        call = lambda: storage.put(source, "a.zip", Progress())  # noqa: E731
        refused((RcloneNotReached, RcloneStuck), call)
        assert time.monotonic() - started < 60
        assert children() == before
    assert "a.zip" not in os.listdir(webdav.folder)


@pytest.mark.parametrize("what", ["connect", "upload"])
def test_cancel_while_the_server_stalls(
    make, webdav, config_file, source, tmp_path, what
):
    empty(webdav.folder)
    with Proxy(webdav.port, limit=4 * MIB) as proxy:
        other = tmp_path / "rclone.conf"
        other.write_text(
            config_file.read_text().replace(f":{webdav.port}", f":{proxy.port}")
        )
        storage = make("web dav", timeout=120, config_file=other)
        if what == "connect":
            proxy.stall()
        started, before = time.monotonic(), children()
        with pytest.raises(Cancelled):
            storage.put(source, "a.zip", cancelled_after(2))
        assert time.monotonic() - started < 60
        assert children() == before


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.hint
    assert SECRET not in f"{caught.value.in_full}{caught.value.log}"
    return caught.value


def test_wrong_password(make):
    for call in (
        make("wrong").check,
        make("wrong").probe,
        lambda: list(make("wrong").list()),
    ):
        refused(RcloneLoginRefused, call)


def test_nobody_listens(make):
    refused(RcloneNotReached, make("nobody", timeout=2).check)


def test_directory_that_is_gone_is_not_made_again(make, folder, source):
    storage = make("folder", "gone")
    for call in (
        storage.check,
        storage.probe,
        lambda: list(storage.list()),
        lambda: storage.put(source, "a.zip", Progress()),
        lambda: storage.put_bytes(b"x", "a"),
    ):
        refused(RcloneDirectoryMissing, call)
    assert list(folder.iterdir()) == []


def test_directory_that_is_a_file(make, folder):
    (folder / "file").write_bytes(b"x")
    refused(RcloneNotADirectory, make("folder", "file").check)


def test_probe(make, folder):
    assert make("folder").probe() == Capabilities()


def test_free_space(make, folder):
    status = os.statvfs(folder)
    free = make("folder").free_space()
    assert abs(free - status.f_bavail * status.f_frsize) < 1 << 30
    assert make("bucket", "bucket").free_space() is None


class TestFullDisk:
    @pytest.fixture(autouse=True)
    def disk(self, folder):
        if os.geteuid():
            pytest.skip("only root can mount a small disk")
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
        if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this machine does not let us mount a tmpfs")
        yield
        subprocess.run(["umount", "-l", str(folder)], check=True)

    def test_archive_that_does_not_fit_is_not_begun(self, make, folder, tmp_path):
        source = tmp_path / "large"
        source.write_bytes(bytes(20 * MIB))
        call = lambda: make("folder").put(source, "a", Progress())  # noqa: E731
        told = refused(RcloneNoRoom, call).message.values
        assert (told["free"], told["needed"]) == (Size(16 * MIB), Size(20 * MIB))
        assert list(folder.iterdir()) == []

    def test_disk_that_fills_up(self, make, folder, source, tmp_path):
        filling = tmp_path / "filling"
        fill = f"[ $1 = copyto ] && head -c 20M /dev/zero >{folder}/other 2>/dev/null"
        filling.write_text(f'#!/bin/sh\n{fill}\nexec {shutil.which(RCLONE)} "$@"\n')
        filling.chmod(0o700)
        storage = make("folder", binary=filling)
        refused(StorageFull, lambda: storage.put(source, "a", Progress()))
        refused(StorageFull, lambda: storage.put_bytes(b"x" * 9999, "a"))
        assert [path.name for path in folder.iterdir()] == ["other"]


def test_rclone_is_missing(make, tmp_path, monkeypatch):
    storage = make("folder", binary=tmp_path / "nothing")
    refused(RcloneMissing, storage.check)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(RcloneMissing, make("folder", binary=None).check)


def test_rclone_is_too_old(make, tmp_path):
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho rclone v1.59.2\n")
    old.chmod(0o700)
    error = refused(RcloneTooOld, make("folder", binary=old).check)
    assert error.message.values["version"] == "rclone v1.59.2"


def test_configuration_is_missing(make, tmp_path):
    storage = make("folder", config_file=tmp_path / "nothing")
    refused(ConfigurationMissing, storage.check)


def test_configuration_is_encrypted(make, tmp_path):
    path = tmp_path / "rclone.conf"
    path.write_text(
        "# Encrypted rclone configuration File\n\nRCLONE_ENCRYPT_V0:\n" + "A" * 64
    )
    refused(ConfigurationLocked, make("folder", config_file=path).check)


def test_stuck_rclone_is_ended(make, tmp_path, folder, monkeypatch):
    stuck = tmp_path / "stuck"
    program = shutil.which(RCLONE)
    stuck.write_text(
        f'#!/bin/sh\n[ $1 = lsjson ] && exec sleep 120\nexec {program} "$@"\n'
    )
    stuck.chmod(0o700)
    storage = make("folder", binary=stuck, timeout=0.1)
    before, started = children(), time.monotonic()
    assert refused(RcloneStuck, storage.check).message.values["seconds"] == "1"
    assert time.monotonic() - started < 60
    assert children() == before
