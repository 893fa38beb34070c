"""Real sshd on loopback: as a plain user (keys only), and as root with a chroot and
passwords."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.sftp.link import SftpConfig
from dfr_backup.engine.storages.sftp.storage import SftpStorage

SSHD = "/usr/sbin/sshd"
START_SECONDS = 60
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
{host_keys}
PidFile none
AuthorizedKeysFile {home}/authorized_keys
UsePAM no
UseDNS no
StrictModes no
MaxAuthTries 6
MaxStartups 100
LogLevel VERBOSE
Subsystem sftp {subsystem}
{more}
"""
AS_ROOT = """
PasswordAuthentication yes
PermitRootLogin no
AllowUsers {user}
Match User {user}
  ChrootDirectory {chroot}
  ForceCommand internal-sftp
"""


def require_sshd():
    if not os.access(SSHD, os.X_OK):
        pytest.skip("openssh-server is not installed")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def make_key(path, kind="ed25519", passphrase="", *options):
    """Make a key pair and return the text of the private key."""
    size = ["-b", "2048"] if kind == "rsa" else []
    command = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "test"]
    subprocess.run([*command, "-f", str(path), *options], check=True)
    return Path(path).read_text()


class Sshd:
    """A server, and who may log in. ``restart`` starts it again on the same port."""

    def __init__(
        self, home, user, subsystem="internal-sftp", more="", kinds=("ed25519",)
    ):
        self.home = Path(home)
        self.user = user
        self.port = free_port()
        self.log = self.home / "log"
        for kind in kinds:
            make_key(self.home / f"host_{kind}", kind)
        self.private_key = make_key(self.home / "login")
        shutil.copy(self.home / "login.pub", self.home / "authorized_keys")
        self.config_file = self.home / "config"
        keys = "\n".join(f"HostKey {self.home}/host_{kind}" for kind in kinds)
        self.config_file.write_text(
            CONFIG.format(
                port=self.port,
                host_keys=keys,
                home=self.home,
                subsystem=subsystem,
                more=more or "PasswordAuthentication no",
            )
        )

    @property
    def host_key(self):
        return (self.home / "host_ed25519.pub").read_text()

    def allow(self, public_key):
        with open(self.home / "authorized_keys", "a") as keys:
            keys.write(public_key)

    def start(self, uid=None):
        command = [SSHD, "-D", "-e", "-f", str(self.config_file)]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                user=uid,
                group=uid,
                extra_groups=[] if uid is not None else None,
                cwd="/",
                start_new_session=True,
            )
        wait_for_port(self.port, self.process)
        return self

    def stop(self):
        """End the server and the sessions that it serves: a server that is killed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGSTOP)
        _kill([*_children(self.process.pid), self.process.pid])
        self.process.wait(60)

    def kill_sessions(self):
        """Kill the processes that serve somebody; the server itself stays."""
        _kill(_children(self.process.pid))


def wait_for_port(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at once"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise AssertionError("the server did not start")


def _kill(pids):
    for pid in pids:
        with contextlib.suppress(
            ProcessLookupError
        ):  # one may go when the one before is gone
            os.kill(pid, signal.SIGKILL)


def _children(pid):
    found = []
    # no further than the names: a process may end between two looks at it
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                child = int(process.name)
                found += [child, *_children(child)]
    return found


@contextlib.contextmanager
def a_user():
    """A user of the system without any right, for the time of the tests (root only)."""
    name = f"sftp-test-{secrets.token_hex(3)}"
    subprocess.run(["useradd", "-M", "-s", "/bin/sh", name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", name], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def plain_sshd(user, subsystem="internal-sftp", kinds=("ed25519",), more=""):
    """An sshd that runs as ``user`` (None: as we do). ``data`` is its folder."""
    require_sshd()
    home = Path(tempfile.mkdtemp(prefix="sshd-"))
    name = user.pw_name if user else pwd.getpwuid(os.geteuid()).pw_name
    server = Sshd(home, name, subsystem, more, kinds)
    server.data = home / "data"
    server.data.mkdir()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    if user:
        for path in [home, *home.iterdir()]:
            os.chown(path, user.pw_uid, user.pw_gid)
    try:
        yield server.start(user.pw_uid if user else None)
    finally:
        server.stop()
        shutil.rmtree(home)


@contextlib.contextmanager
def root_sshd(user):
    """An sshd as root, whose ``user`` has a password and sees only a chroot.

    ``data`` is the folder /upload of that chroot.
    """
    home = Path(
        tempfile.mkdtemp(prefix="sshd-", dir="/srv")
    )  # all parents must belong to root
    home.chmod(0o755)
    Path("/run/sshd").mkdir(exist_ok=True)
    try:
        chroot = home / "chroot"
        server = Sshd(
            home, user.pw_name, more=AS_ROOT.format(user=user.pw_name, chroot=chroot)
        )
        server.password = secrets.token_hex(8)
        login = f"{user.pw_name}:{server.password}"
        subprocess.run(["chpasswd"], input=login, text=True, check=True)
        server.data = chroot / "upload"
        server.data.mkdir(parents=True)
        os.chown(server.data, user.pw_uid, user.pw_gid)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def small_disk(folder, user, size="16m"):
    """Mount a small tmpfs of ``user`` over ``folder``."""
    options = f"size={size},uid={user.pw_uid},gid={user.pw_gid},mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Proxy:
    """A TCP proxy to a port of ours. ``stall`` lets nothing pass any more; ``limit``
    does so once so many bytes went to the server."""

    def __init__(self, target, limit=None):
        self._target = target
        self._limit = limit
        self._passing = threading.Event()
        self._passing.set()
        self._ended = threading.Event()
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]
        self.stall = self._passing.clear
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self._passing.set()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        while not self._ended.is_set():
            try:
                client, _address = self._sockets[0].accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, server]
            for ends in ((client, server, self._limit), (server, client, None)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source, target, limit):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                passed += len(data)
                if limit and passed > limit:
                    self.stall()
                self._passing.wait()
                if self._ended.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def config_of(server, **changes):
    """Return how to reach the folder ``data`` of a server with its key."""
    values = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "private_key": server.private_key,
        "directory": "/upload" if hasattr(server, "password") else str(server.data),
        "host_key": server.host_key,
    }
    return SftpConfig(**{**values, **changes})


def storage_of(server, timeout=20.0, bandwidth=0, **changes):
    limits = TransferLimits(bandwidth=bandwidth, timeout=timeout)
    return SftpStorage(config_of(server, **changes), limits)


def empty(folder):
    folder.chmod(0o700)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
