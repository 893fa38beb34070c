"""S3 uploads and downloads, side by side: ``python -m bench.transfer --size 1024``.

Ours, boto3's upload_file and download_file, and ``rclone copyto`` move the same file to
and from a server on loopback, in turn. It reports; it never fails on a number.
"""

import argparse
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import s3_servers

from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import CHUNK, TransferLimits
from dfr_backup.engine.storages.s3.storage import S3Storage

MIB = 1 << 20
TARGET = 1.10  # times the better of the others
KEY = "archive.zip"


class Ours:
    name = "dfr_backup"

    def __init__(self, url, ca, bucket):
        self._storage = S3Storage(s3_servers.config(url, bucket, ca), TransferLimits())
        self._storage.check()  # boto3's client is made before the clock runs, too

    def upload(self, source):
        self._storage.put(source, KEY, Progress())

    def download(self, target):
        with (
            self._storage.open(KEY) as stream,
            open(target, "wb", buffering=0) as writer,
        ):
            buffer = memoryview(bytearray(CHUNK))
            while count := stream.readinto(buffer):
                writer.write(buffer[:count])

    def verify(self, size, digest):
        self._storage.verify(KEY, size, digest, Progress())


class Boto3:
    name = "boto3"

    def __init__(self, url, ca, bucket):
        self._bucket = bucket
        # over TLS neither server accepts the checksums that boto3 sends by itself
        self._client = s3_servers.client(url, ca) if ca else _plain_client(url)

    def upload(self, source):
        self._client.upload_file(str(source), self._bucket, KEY)

    def download(self, target):
        self._client.download_file(self._bucket, KEY, str(target))


class Rclone:
    name = "rclone"

    def __init__(self, url, ca, bucket):
        self._remote = f"bench:{bucket}/{KEY}"
        self._options = [
            "--config",
            os.devnull,
            "--s3-no-check-bucket",
            "--ca-cert",
            ca,
        ]
        if not ca:
            del self._options[-2:]
        self._env = s3_servers.environment() | {
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENDPOINT": url,
            "RCLONE_CONFIG_BENCH_ACCESS_KEY_ID": s3_servers.ACCESS_KEY,
            "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY": s3_servers.SECRET_KEY,
        }

    def _copy(self, source, target):
        command = ["rclone", "copyto", *self._options, str(source), str(target)]
        subprocess.run(command, env=self._env, check=True, timeout=600)

    def upload(self, source):
        self._copy(source, self._remote)

    def download(self, target):
        self._copy(self._remote, target)


def _plain_client(url):
    import boto3

    keys = {
        "aws_access_key_id": s3_servers.ACCESS_KEY,
        "aws_secret_access_key": s3_servers.SECRET_KEY,
    }
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)


def main():
    options = _options()
    for name in set(os.environ) - set(s3_servers.environment()):
        del os.environ[name]
    size = options.size * MIB
    with contextlib.ExitStack() as stack:
        top = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="dfr_backup-bench-"))
        )
        (top / "server").mkdir()
        url, ca = _start(stack, options, top / "server", size)
        bucket = s3_servers.new_bucket(url, ca)
        source = top / "source"
        digest = _make(source, size)
        contenders = [kind(url, ca, bucket) for kind in (Ours, Boto3, Rclone)]
        remove = s3_servers.client(url, ca).delete_object
        seconds = {}
        for number in range(options.rounds):
            for contender in contenders[number % 3 :] + contenders[: number % 3]:
                remove(Bucket=bucket, Key=KEY)
                _round(contender, source, top / "target", digest, seconds)
    _report(seconds, size)


def _options():
    parser = argparse.ArgumentParser(
        prog="python -m bench.transfer", description=__doc__
    )
    parser.add_argument("--size", type=int, default=1024, help="MiB (1024)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", choices=["rgw", "rclone"], default="rgw")
    parser.add_argument("--tls", action="store_true")
    return parser.parse_args()


def _start(stack, options, top, size):
    if options.server == "rgw":
        server = stack.enter_context(s3_servers.rgw(top, 4 * size + (1 << 30)))
        return (server.secure_url, server.ca) if options.tls else (server.url, "")
    server = stack.enter_context(s3_servers.rclone(top, options.tls))
    return server.url, server.ca


def _make(path, size):
    """Write ``size`` random bytes; return their SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as stream:
        for _number in range(size // MIB):
            data = os.urandom(MIB)
            digest.update(data)
            stream.write(data)
    return digest.hexdigest()


def _round(contender, source, target, digest, seconds):
    size = source.stat().st_size
    _measure(seconds, "upload", contender, lambda: contender.upload(source))
    _measure(seconds, "download", contender, lambda: contender.download(target))
    with open(target, "rb") as stream:
        intact = hashlib.file_digest(stream, "sha256").hexdigest() == digest
    target.unlink()
    if not intact:
        raise SystemExit(f"{contender.name} does not bring back what it stored")
    if isinstance(contender, Ours):
        _measure(seconds, "verify", contender, lambda: contender.verify(size, digest))


def _measure(seconds, what, contender, work):
    started, busy = time.monotonic(), _cpu()
    work()
    taken = (time.monotonic() - started, _cpu() - busy)
    seconds.setdefault(what, {}).setdefault(contender.name, []).append(taken)
    line = f"{what:<10}{contender.name:<12}{taken[0]:8.2f} s {taken[1]:8.2f} s of CPU"
    print(line, file=sys.stderr, flush=True)


def _cpu():
    """Return the CPU seconds of this process and of the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _report(seconds, size):
    print(f"{'median':<22}{'s':>8}{'MiB/s':>8}{'CPU s':>8}")
    for what, measured in seconds.items():
        middle = {name: _medians(runs) for name, runs in measured.items()}
        for name, (wall, cpu) in middle.items():
            print(f"{what:<10}{name:<12}{wall:8.2f}{size / MIB / wall:8.0f}{cpu:8.2f}")
        others = [wall for name, (wall, _cpu) in middle.items() if name != Ours.name]
        if others:
            ratio = middle[Ours.name][0] / min(others)
            verdict = "reached" if ratio <= TARGET else "MISSED"
            print(
                f"{what:<10}ours / best {ratio:8.3f}   at most {TARGET:.2f}   {verdict}"
            )


def _medians(runs):
    return [statistics.median(one) for one in zip(*runs, strict=True)]


if __name__ == "__main__":
    main()
