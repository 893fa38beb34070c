import contextlib
import gc
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from cancelling import cancelled_after
from own_folder_server import own_folder_server
from sftp_servers import Proxy, empty, plain_sshd, small_disk, storage_of
from storage_contract import SIZE, StorageContract

from dfr_backup.engine import checkpoints as checkpoints_module
from dfr_backup.engine.catalog.newest import found_below
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.server import FoldersNotListed
from dfr_backup.engine.errors.sftp import (
    ServerSilent,
    SftpConnectionLost,
    SftpDiskFull,
    SftpNoPermission,
    SftpNoRoom,
)
from dfr_backup.engine.messages import Size
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import CHUNK, Capabilities, TransferLimits
from dfr_backup.engine.storages.sftp.storage import SftpStorage

pytest_plugins = ["sftp_fixtures"]

MIB = 1 << 20


@contextlib.contextmanager
def checkpoints(tell):
    """Call ``tell`` with the name of every border that is passed."""
    # no hook: it would stay, and beside one a thread that is measured may end early
    audit = SimpleNamespace(audit=lambda _event, name: tell(name))
    with patch.object(checkpoints_module, "sys", audit):
        yield


def read_all(stream):
    """Read what is left of a stream, and keep nothing of it."""
    while stream.read(CHUNK):
        pass


@pytest.fixture
def storage(server):
    return storage_of(server)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.zip"
    path.write_bytes(random.Random(1).randbytes(20 * MIB + 17))
    return path


def own(path, server):
    """Give a file that the test made to the user of the server."""
    status = server.data.stat()
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


class TestSftp(StorageContract):
    @pytest.fixture
    def storage(self, server):
        return storage_of(server)


@pytest.fixture(scope="module")
def poor(user):
    denied = "posix-rename,fsync,statvfs,limits"
    with plain_sshd(user, subsystem=f"internal-sftp -P {denied}") as server:
        yield server


class TestSftpWithoutExtensions(StorageContract):
    """A server that knows nothing but the draft: no statvfs, fsync, limits or
    posix-rename."""

    @pytest.fixture
    def storage(self, poor):
        empty(poor.data)
        return storage_of(poor)

    def test_nothing_is_left_of_what_was_replaced(self, storage, poor):
        storage.put_bytes(b"one", "a")
        storage.put_bytes(b"two", "a")
        assert [path.name for path in poor.data.iterdir()] == ["a"]

    def test_free_space_is_not_known(self, storage):
        assert storage.free_space() is None


class TestSftpChrooted(StorageContract):
    @pytest.fixture
    def storage(self, chrooted):
        empty(chrooted.data)
        return storage_of(chrooted, private_key="", password=chrooted.password)


def test_a_login_that_sees_its_own_folder_only(tmp_path):
    """What is above that folder is nobody's business, and makes no error."""
    with own_folder_server(tmp_path) as (config, asked):
        storage = SftpStorage(config, TransferLimits(timeout=10))
        storage.prepare()
        assert storage.probe() == Capabilities()
        assert (tmp_path / "backups" / "odoo").is_dir()
        asked.clear()
        storage.prepare()  # once more, now that it is there
        assert {str(path) for path in asked} == {config.directory}


def test_a_folder_outside_of_what_a_login_sees(tmp_path):
    with own_folder_server(tmp_path) as (config, _asked):
        outside = replace(config, directory="/users/other/backups")
        with pytest.raises(SftpNoPermission):
            SftpStorage(outside, TransferLimits(timeout=10)).prepare()


def test_folders_above_that_nobody_may_list(chrooted):
    """sshd: only the last one is of the user."""
    empty(chrooted.data)
    users = chrooted.data.parent / "users"
    own_folder = users / "shop"
    own_folder.mkdir(parents=True)
    own(own_folder, chrooted)
    for folder in (users, chrooted.data.parent):
        folder.chmod(0o711)
    try:
        storage = storage_of(
            chrooted,
            private_key="",
            password=chrooted.password,
            directory="/users/shop/backups",
        )
        storage.prepare()
        assert storage.probe() == Capabilities()
    finally:
        chrooted.data.parent.chmod(0o755)
        shutil.rmtree(users)


def part_of(server, content):
    path = server.data / "a.zip.part"
    path.write_bytes(content)
    own(path, server)
    return path


def chunks_sent(storage, source):
    passed = []
    with checkpoints(passed.append):
        storage.put(source, "a.zip", progress := Progress())
    assert progress.done == progress.total == source.stat().st_size
    assert "storage.rename.after" in passed
    return passed.count("storage.put.part")


def test_interrupted_upload_goes_on(storage, source, server):
    content = source.read_bytes()
    part = part_of(server, content[: 12 * MIB])
    inode = part.stat().st_ino
    assert chunks_sent(storage, source) == 9
    assert (server.data / "a.zip").read_bytes() == content
    assert (server.data / "a.zip").stat().st_ino == inode
    assert not part.exists()


def test_complete_partial_is_only_renamed(storage, source, server):
    part_of(server, source.read_bytes())
    assert chunks_sent(storage, source) == 0
    assert (server.data / "a.zip").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("damage", ["last byte", "hole near the end", "longer"])
def test_wrong_partial_starts_over(storage, source, server, damage):
    content = bytearray(source.read_bytes()[: 12 * MIB])
    if damage == "last byte":
        content[-1] ^= 1
    elif damage == "hole near the end":
        content[-2 * MIB : -2 * MIB + 4096] = bytes(4096)
    else:
        content = source.read_bytes() + b"x"
    part_of(server, content)
    assert chunks_sent(storage, source) == 21
    assert (server.data / "a.zip").read_bytes() == source.read_bytes()


def test_link_in_the_place_of_a_part_is_not_followed(storage, source, server):
    victim = server.data / "victim"
    victim.write_text("precious")
    own(victim, server)
    link = server.data / "a.zip.part"
    link.symlink_to(victim)
    own(link, server)
    storage.put(source, "a.zip", Progress())
    assert victim.read_text() == "precious"
    assert not (server.data / "a.zip").is_symlink()


UPLOAD = """
import os, sys, types
package = types.ModuleType("dfr_backup"); package.__path__ = [sys.argv[1]]
sys.modules["dfr_backup"] = package
from pathlib import Path
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.sftp.storage import SftpStorage
from dfr_backup.engine.storages.sftp.link import SftpConfig
config = eval(sys.stdin.read(), {"SftpConfig": SftpConfig})
storage = SftpStorage(config, TransferLimits())
"""
DIE_AT_THE_TWELFTH = """
left = iter(range(12))
def hook(name, args):
    if args == ("storage.put.part",) and next(left, None) is None:
        os.kill(os.getpid(), 9)
sys.addaudithook(hook)
storage.put(Path(sys.argv[2]), "a.zip", Progress())
"""
END_WITH_AN_OPEN_FILE = """
context = storage.open("a")
stream = context.__enter__()
stream.read(10)
print("read")
"""


def run(script, config, *args):
    import dfr_backup

    values = {name: getattr(config, name) for name in config.__dataclass_fields__}
    text = f"SftpConfig(**{values!r})"
    command = [
        sys.executable,
        "-c",
        UPLOAD + script,
        dfr_backup.__path__[0],
        *map(str, args),
    ]
    return subprocess.run(
        command, input=text, text=True, capture_output=True, timeout=120
    )


def test_killed_upload_goes_on(storage, source, server):
    done = run(DIE_AT_THE_TWELFTH, storage._config, source)
    assert done.returncode == -signal.SIGKILL, done.stderr
    part = server.data / "a.zip.part"
    assert 8 * MIB <= part.stat().st_size < SIZE
    assert storage.stat("a.zip") is None
    assert list(storage.list()) == []
    assert chunks_sent(storage, source) <= 13
    assert (server.data / "a.zip").read_bytes() == source.read_bytes()


def test_an_open_connection_does_not_keep_a_process_alive(storage, server):
    storage.put_bytes(random.Random(1).randbytes(8 * MIB), "a")
    done = run(END_WITH_AN_OPEN_FILE, storage._config)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


def test_discard_partial(storage, source, server):
    part_of(server, b"x")
    storage.discard_partial("a.zip")
    storage.discard_partial("a.zip")
    assert list(server.data.iterdir()) == []


def test_server_that_dies_in_an_upload(storage, source, server):
    def kill(name):
        if name == "storage.put.part" and next(left, None) is None:
            server.kill_sessions()

    left = iter(range(15))
    with checkpoints(kill), pytest.raises(SftpConnectionLost) as caught:
        storage.put(source, "a.zip", Progress())
    assert caught.value.hint
    assert [path.name for path in server.data.iterdir()] == ["a.zip.part"]
    assert chunks_sent(storage, source) < 18
    assert (server.data / "a.zip").read_bytes() == source.read_bytes()


def test_server_that_dies_in_a_download(storage, server):
    storage.put_bytes(bytes(8 * MIB), "a")
    with storage.open("a") as stream:
        stream.read(MIB)
        server.kill_sessions()
        with pytest.raises(SftpConnectionLost):
            read_all(stream)


def test_stalled_server_in_an_upload(source, server):
    with Proxy(server.port, limit=6 * MIB) as proxy:
        storage = storage_of(server, timeout=2, port=proxy.port)
        started = time.monotonic()
        with pytest.raises(ServerSilent):
            storage.put(source, "a.zip", Progress())
        assert 2 < time.monotonic() - started < 60


def test_stalled_server_in_a_download(server):
    storage_of(server).put_bytes(bytes(16 * MIB), "a")
    with Proxy(server.port) as proxy:
        storage = storage_of(server, timeout=2, port=proxy.port)
        with storage.open("a") as stream:
            stream.read(MIB)
            proxy.stall()
            started = time.monotonic()
            with pytest.raises(ServerSilent):
                read_all(stream)
        assert 2 < time.monotonic() - started < 60


def test_cancel_while_the_server_stalls(source, server):
    with Proxy(server.port, limit=6 * MIB) as proxy:
        storage = storage_of(server, timeout=120, port=proxy.port)
        started = time.monotonic()
        with pytest.raises(Cancelled):
            storage.put(source, "a.zip", cancelled_after(1))
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("limit", [20, 1200, 1660])
def test_cancel_while_a_connection_is_made(server, limit):
    """It stalls before it greets, while keys are exchanged, in the login."""
    with Proxy(server.port, limit=limit) as proxy:
        storage = storage_of(server, timeout=120, port=proxy.port)
        started = time.monotonic()
        with storage.reporting_to(cancelled_after(0.5)), pytest.raises(Cancelled):
            storage.check()
        assert time.monotonic() - started < 60


def test_cancel_while_nobody_takes_the_connection(server):
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _number in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        storage = storage_of(server, timeout=90, port=full.getsockname()[1])
        started = time.monotonic()
        with storage.reporting_to(cancelled_after(0.5)), pytest.raises(Cancelled):
            storage.check()
        assert time.monotonic() - started < 60


def test_cancel_of_a_verify_while_the_server_stalls(source, server):
    storage_of(server).put(source, "a.zip", Progress())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with Proxy(server.port) as proxy:
        storage = storage_of(server, timeout=120, port=proxy.port)
        storage.check()
        proxy.stall()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            storage.verify("a.zip", source.stat().st_size, digest, cancelled_after(1))
        assert time.monotonic() - started < 60


def test_cancel_removes_what_was_sent(source, server):
    storage = storage_of(server, bandwidth=MIB // 4)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        storage.put(source, "a.zip", cancelled_after(1))
    assert time.monotonic() - started < 60
    assert list(server.data.iterdir()) == []


def test_bandwidth(tmp_path, server):
    source = tmp_path / "source"
    source.write_bytes(bytes(3 * MIB))
    storage = storage_of(server, bandwidth=2 * MIB)
    started = time.monotonic()
    storage.put(source, "a", Progress())
    middle = time.monotonic()
    with storage.open("a") as stream:
        assert len(stream.read()) == 3 * MIB
    assert middle - started > 1.4
    assert time.monotonic() - middle > 1.4


def test_keys_are_exchanged_again_in_the_middle(storage, source, server):
    link = storage._connected()
    link.transport.packetizer.REKEY_BYTES = 3 * MIB
    storage.put(source, "a.zip", Progress())
    link.transport.packetizer.REKEY_BYTES = 3 * MIB
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    storage.verify("a.zip", source.stat().st_size, digest, Progress())
    assert storage._link is link


def test_memory_does_not_grow_with_the_file(storage, tmp_path):
    source = tmp_path / "source"
    with open(source, "wb") as stream:
        stream.truncate(48 * MIB)
    storage.check()
    tracemalloc.start()
    try:
        storage.put(source, "a", Progress())
        with storage.open("a") as stream:
            read_all(stream)
        assert tracemalloc.get_traced_memory()[1] < 20 * MIB
    finally:
        tracemalloc.stop()


def logins(server):
    return server.log.read_text().count("Accepted publickey")


def test_calls_share_a_connection_that_ends_with_the_storage(server):
    storage = storage_of(server)
    before = logins(server)
    storage.put_bytes(b"x", "a")
    list(storage.list())
    storage.stat("a")
    assert logins(server) == before + 1
    transport = storage._link.transport
    del storage
    gc.collect()
    assert not transport.is_active()
    transport.join(5)
    assert not transport.is_alive()


def test_folders_share_a_connection_that_ends_with_the_last(server):
    storage = storage_of(server)
    storage.subfolder("crm").prepare()
    transport = storage._link.transport
    crm = storage.subfolder("crm")
    assert storage.subfolders() == ["crm"]
    crm.put_bytes(b"x", "a")
    assert crm._link.transport is transport
    del storage
    gc.collect()
    assert crm.stat("a")
    assert crm._link.transport is transport
    del crm
    gc.collect()
    transport.join(5)
    assert not transport.is_active()


def test_folders_that_may_not_be_listed(server):
    """One of two folders is somebody else's, then the one above them is."""
    for name in ("crm", "shop"):
        folder = storage_of(server).subfolder(name)
        folder.prepare()
        folder.put_bytes(b"{}", "a.json")
    (server.data / "crm").chmod(0)
    problems = []

    def report(storage, error):
        if error:
            problems.append((storage.location(""), type(error)))

    try:
        root = storage_of(server)
        found = [one.key for _storage, one in found_below(root, Progress(), report)]
        assert found == ["a.json"]
        assert problems == [(root.location("crm/"), SftpNoPermission)]
        server.data.chmod(0o300)
        with pytest.raises(FoldersNotListed):
            list(found_below(root, Progress(), report))
    finally:
        server.data.chmod(0o700)
        (server.data / "crm").chmod(0o700)
        empty(server.data)


def test_a_link_is_no_folder(storage, server):
    storage.subfolder("shop").prepare()
    (server.data / "link").symlink_to(server.data / "shop")
    assert storage.subfolders() == ["shop"]


def test_connection_that_died_meanwhile_is_replaced(storage, server):
    storage.put_bytes(b"x", "a")
    server.kill_sessions()
    storage._link.transport.join(5)
    assert storage.stat("a").size == 1


def test_files_are_private(server, source):
    storage = storage_of(server, directory=f"{server.data}/one/two")
    storage.prepare()
    storage.prepare()
    storage.put(source, "a.zip", Progress())
    storage.put_bytes(b"x", "a.json")
    folder = server.data / "one/two"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (
        folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    )


def test_list_holds_our_objects_only(storage, server):
    storage.put_bytes(b"x", "a")
    (server.data / "folder").mkdir()
    (server.data / "b.part").write_bytes(b"x")
    (server.data / "link").symlink_to("a")
    Path(os.fsdecode(os.fsencode(server.data) + b"/latin-\xfc")).write_bytes(b"x")
    assert [found.key for found in storage.list()] == ["a"]


def test_zip_is_read_in_place(storage, tmp_path):
    source = tmp_path / "a.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("large", random.Random(1).randbytes(6 * MIB))
        archive.writestr("small", b"hello")
    storage.put(source, "a.zip", Progress())
    with storage.open("a.zip") as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("small") == b"hello"
        assert archive.testzip() is None


def test_errors_of_who_reads_stay_what_they_are(storage):
    class Mine(OSError):
        pass

    storage.put_bytes(b"x", "a")
    with pytest.raises(Mine), storage.open("a"):
        raise Mine()


def test_free_space(storage, server):
    status = os.statvfs(server.data)
    assert abs(storage.free_space() - status.f_bavail * status.f_frsize) < 1 << 30


class TestFullDisk:
    @pytest.fixture
    def storage(self, server, user):
        if user is None:
            pytest.skip("only root can mount a small disk")
        with small_disk(server.data, user):
            yield storage_of(server)

    def test_archive_that_does_not_fit_is_not_begun(self, storage, source, server):
        with pytest.raises(SftpNoRoom) as caught:
            storage.put(source, "a.zip", Progress())
        told = caught.value.message.values
        assert told["free"] == Size(16 * MIB)
        assert told["needed"] == Size(source.stat().st_size)
        assert list(server.data.iterdir()) == []

    def test_disk_that_fills_up(self, storage, tmp_path, server):
        source = tmp_path / "source"
        source.write_bytes(bytes(12 * MIB))

        def fill(name):
            if name == "storage.put.part" and not other.exists():
                other.write_bytes(bytes(10 * MIB))

        other = server.data / "other"
        with checkpoints(fill), pytest.raises(SftpDiskFull):
            storage.put(source, "a.zip", Progress())
        assert [path.name for path in server.data.iterdir()] == ["other"]

    def test_small_object_on_a_full_disk(self, storage, server):
        (server.data / "other").write_bytes(bytes(storage.free_space()))
        with pytest.raises(SftpDiskFull):
            storage.put_bytes(b"x", "a")
        assert [path.name for path in server.data.iterdir()] == ["other"]
