"""Where the backups of ``bench.days`` go: a directory, or a real server some
milliseconds away."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import s3_servers
import sftp_servers

from . import REPO, places

RESTIC = places.DEV / "restic" / "usr" / "bin" / "restic"
PASSWORD = "bench"  # noqa: S105 (of a repository that is deleted at once)
RGW_BYTES = 16 << 30  # at most: it keeps them in memory


def environment():
    """Return the environment of a child."""
    env = {
        name: value
        for name, value in places.environment().items()
        if name in s3_servers.environment()
    }
    paths = [str(REPO), os.environ["PYTHONPATH"], env["PYTHONPATH"]]
    env["PYTHONPATH"] = os.pathsep.join(paths)
    keys = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(places.TMP / "restic")}
    keys["AWS_ACCESS_KEY_ID"] = s3_servers.ACCESS_KEY
    keys["AWS_SECRET_ACCESS_KEY"] = s3_servers.SECRET_KEY
    return {**env, **keys}


@contextlib.contextmanager
def started(options):
    """Yield the place that the options ask for."""
    with contextlib.ExitStack() as stack:
        if options.storage == "local":
            yield Local(options)
            return
        top = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="dfr_backup-bench-"))
        )
        if options.storage == "s3":
            server = stack.enter_context(s3_servers.rgw(top, RGW_BYTES))
            port = int(server.url.rpartition(":")[2])
            yield S3(options, server.url, stack.enter_context(_away(port, options)))
            return
        server = stack.enter_context(sftp_servers.plain_sshd(None))
        yield Sftp(options, server, stack.enter_context(_away(server.port, options)))


@contextlib.contextmanager
def _away(port, options):
    """Yield a port that leads to another one, over a network of some milliseconds."""
    command = [sys.executable, "-m", "bench.delay", str(port), str(options.delay)]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


class Restic:
    """A repository, and how restic is called for it."""

    def __init__(self, repository, options=(), folder=None):
        self._start = [str(RESTIC), "-q", "-r", repository, *options]
        self._folder = folder
        self._made = False

    def __call__(self, *arguments):
        return [*self._start, *arguments]

    def prepare(self):
        if not self._made:
            subprocess.run(self("init"), env=environment(), check=True)
            self._made = True

    def forget(self):
        self._made = False

    def stored(self):
        """Return the bytes of a repository in a directory, else 0."""
        if self._folder is None:
            return 0
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files)


def _has_restic(options):
    return RESTIC.is_file() and not options.no_restic


class Local:
    """A directory."""

    def __init__(self, options):
        self._top = places.OUT / "places"
        folder = self._top / "restic"
        has = _has_restic(options)
        self.restic = Restic(str(folder), folder=folder) if has else None

    def storage(self, name, delayed=True):
        return {"kind": "local", "path": str(self._top / name)}

    def empty(self, name=""):
        shutil.rmtree(self._top / name, ignore_errors=True)
        if self.restic and not name:
            self.restic.forget()


class S3:
    """A bucket of Ceph's gateway."""

    def __init__(self, options, url, port):
        self._url = url
        self._away = f"http://{s3_servers.HOST}:{port}"
        self._bucket = s3_servers.new_bucket(url)
        repository = f"s3:{self._away}/{self._bucket}/restic"
        has = _has_restic(options)
        path_style = ["-o", "s3.bucket-lookup=path"]
        self.restic = Restic(repository, path_style) if has else None

    def storage(self, name, delayed=True):
        return {
            "kind": "s3",
            "bucket": self._bucket,
            "endpoint": self._away if delayed else self._url,
            "prefix": name,
            "access_key": s3_servers.ACCESS_KEY,
            "secret_key": s3_servers.SECRET_KEY,
            "addressing": "path",
        }

    def empty(self, name=""):
        bucket, client = self._bucket, s3_servers.client(self._url)
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{name}/" if name else ""
        )
        for one in [one for page in pages for one in page.get("Contents", [])]:
            client.delete_object(Bucket=bucket, Key=one["Key"])
        if self.restic and not name:
            self.restic.forget()


class Sftp:
    """A directory of an sshd."""

    def __init__(self, options, server, port):
        self._server = server
        self._port = port
        self.restic = None
        if _has_restic(options):
            ssh = (
                f"ssh -i {server.home}/login -p {port} -o StrictHostKeyChecking=no "
                "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
                f"{server.user}@127.0.0.1 -s sftp"
            )
            repository = f"sftp:{server.user}@127.0.0.1:{server.data}/restic"
            self.restic = Restic(repository, ["-o", f"sftp.command={ssh}"])

    def storage(self, name, delayed=True):
        folder = self._server.data / name
        return {
            "kind": "sftp",
            "host": "127.0.0.1",
            "port": self._port if delayed else self._server.port,
            "user": self._server.user,
            "private_key": self._server.private_key,
            "directory": str(folder),
            "host_key": self._server.host_key,
        }

    def empty(self, name=""):
        sftp_servers.empty(self._server.data / name)
        if self.restic and not name:
            self.restic.forget()
