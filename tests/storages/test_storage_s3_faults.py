"""S3 storages when processes, networks and servers fail them, or lie to them."""

import contextlib
import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from faulty_server import scripted_server
from s3_servers import client, config, new_bucket, rclone
from storage_contract import cancelled_at
from tcp_proxy import Proxy, Rule
from test_storage_s3 import counted, open_uploads, small_parts  # noqa: F401

from dfr_backup.engine.errors import Cancelled, RetryableError
from dfr_backup.engine.errors import s3 as s3_errors
from dfr_backup.engine.errors.storage import ContentDiffers, CopyMissing
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.s3 import link as s3_link
from dfr_backup.engine.storages.s3 import upload as s3_upload
from dfr_backup.engine.storages.s3.storage import S3Storage

MIB = 1 << 20
PARTS = 4
SIZE = 17 * MIB


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.zip"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def bucket(rgw_server):
    return new_bucket(rgw_server.url)


@pytest.fixture
def proxy(rgw_server):
    with Proxy(int(rgw_server.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(proxy, bucket):
    url = f"http://127.0.0.1:{proxy.port}"
    return S3Storage(config(url, bucket, parallel=1), TransferLimits(timeout=1))


@pytest.fixture
def server():
    with scripted_server() as server:
        yield server


@pytest.fixture
def scripted(server):
    return S3Storage(
        config(server.url, "bucket", parallel=2), TransferLimits(timeout=5)
    )


def content(storage, key):
    with storage.open(key) as stream:
        return stream.read()


def digest(source):
    return hashlib.sha256(source.read_bytes()).hexdigest()


def cancelled_after(seconds):
    """Return a progress that is cancelled after so many seconds, and when that was."""
    until = time.monotonic() + seconds

    def tick():
        if time.monotonic() >= until:
            raise Cancelled()

    progress = Progress()
    progress.tick = tick
    return progress, until


# -- kills


@pytest.mark.parametrize(
    "checkpoint, nth, sent_again",
    [
        ("storage.put.begun", 1, PARTS),
        ("storage.put.part", 1, PARTS - 1),
        ("storage.put.part", 3, PARTS - 3),
        ("storage.put.complete.before", 1, 0),
        ("storage.put.complete.after", 1, 0),
    ],
)
def test_put_goes_on_after_a_kill(
    rgw_server, bucket, source, checkpoint, nth, sent_again
):
    settings = config(rgw_server.url, bucket, parallel=1)
    told = {
        "config": dataclasses.asdict(settings),
        "source": str(source),
        "key": "a.zip",
        "part": 5 * MIB,
        "checkpoint": checkpoint,
        "nth": nth,
    }
    script = Path(__file__).with_name("put_and_die.py")
    command = [sys.executable, str(script)]
    done = subprocess.run(command, input=json.dumps(told).encode(), timeout=60)
    assert done.returncode == -signal.SIGKILL
    storage = S3Storage(settings, TransferLimits(timeout=20))
    operations = counted(storage)
    progress = Progress()
    storage.put(source, "a.zip", progress)
    # where the machine is busy, one more part may have gone before the kill came
    assert sent_again - 1 <= operations.count("upload_part") <= sent_again
    assert progress.done == SIZE
    assert content(storage, "a.zip") == source.read_bytes()
    assert open_uploads(client(rgw_server.url), bucket) == []


def test_server_that_forgets_its_uploads(tmp_path, source, monkeypatch):
    """rclone's server knows no upload any more when it was started again."""
    with rclone(tmp_path) as first, contextlib.ExitStack() as second:
        bucket = new_bucket(first.url)
        storage = S3Storage(
            config(first.url, bucket, parallel=1), TransferLimits(timeout=5)
        )
        passed = []

        def restart(checkpoint):
            passed.append(checkpoint)
            if passed.count("storage.put.part") == 2 and first.processes:
                first.kill()
                second.enter_context(
                    rclone(tmp_path, port=int(first.url.rpartition(":")[2]))
                )

        monkeypatch.setattr(s3_upload, "checkpoint", restart)
        with contextlib.suppress(RetryableError):  # nobody listens for a moment
            storage.put(source, "a.zip", Progress())
        storage.put(source, "a.zip", Progress())
        assert passed.count("storage.put.begun") == 2
        assert content(storage, "a.zip") == source.read_bytes()


# -- network


def test_retryable_error_keeps_the_parts(
    rgw_server, bucket, proxy, through_proxy, source
):
    proxy.rule = Rule("cut", after=7 * MIB, lasting=True)
    with pytest.raises(s3_errors.S3ConnectionLost):
        through_proxy.put(source, "a.zip", Progress())
    assert len(open_uploads(client(rgw_server.url), bucket)) == 1
    proxy.rule = None
    operations = counted(through_proxy)
    through_proxy.put(source, "a.zip", Progress())
    assert 0 < operations.count("upload_part") < PARTS
    assert content(through_proxy, "a.zip") == source.read_bytes()


def test_one_cut_is_not_noticed(proxy, through_proxy, source):
    proxy.rule = Rule("cut", after=7 * MIB, times=1)
    through_proxy.put(source, "a.zip", Progress())
    assert proxy.rule.done == 1
    assert content(through_proxy, "a.zip") == source.read_bytes()


@pytest.mark.parametrize(
    "operation, direction",
    [
        ("put", "up"),
        ("put", "down"),
        ("list", "down"),
        ("delete", "up"),
        ("probe", "down"),
    ],
)
def test_silent_server_is_no_hang(
    proxy, through_proxy, source, operation, direction, monkeypatch
):
    monkeypatch.setattr(s3_link, "ATTEMPTS", 1)
    attempts = {
        "put": lambda: through_proxy.put(source, "a.zip", Progress()),
        "list": lambda: list(through_proxy.list()),
        "delete": lambda: through_proxy.delete("a.zip"),
        "probe": through_proxy.probe,
    }
    proxy.rule = Rule("hold", direction=direction)
    started = time.monotonic()
    with pytest.raises(RetryableError):
        attempts[operation]()
    assert 0.9 < time.monotonic() - started < 45


def test_server_that_falls_silent_in_the_middle(proxy, through_proxy, source):
    """With all the attempts that there are."""
    proxy.rule = Rule("hold", after=7 * MIB, lasting=True)
    started = time.monotonic()
    with pytest.raises(RetryableError):
        through_proxy.put(source, "a.zip", Progress())
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("kind", ["cut", "end"])
def test_broken_read_goes_on(proxy, through_proxy, source, kind):
    through_proxy.put(source, "a.zip", Progress())
    proxy.rule = Rule(kind, after=100_000, direction="down", times=2)
    progress = Progress()
    through_proxy.verify("a.zip", SIZE, digest(source), progress)
    assert proxy.rule.done == 2
    assert progress.done == SIZE


def test_read_that_always_breaks_ends(proxy, through_proxy, source, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.storages.s3.download.PAUSE", 0.05)
    through_proxy.put(source, "a.zip", Progress())
    with through_proxy.open("a.zip") as stream:
        proxy.rule = Rule("cut", direction="down")
        with pytest.raises(RetryableError):
            stream.read()


def test_flipped_bit_is_refused_or_noticed(proxy, through_proxy, source):
    """The gateway checks what it receives, and gets it again."""
    proxy.rule = Rule("flip", after=3 * MIB, times=1)
    with pytest.raises(RetryableError):
        through_proxy.put(source, "a.zip", Progress())
    assert proxy.rule.done == 1
    through_proxy.put(source, "a.zip", Progress())
    through_proxy.verify("a.zip", SIZE, digest(source), Progress())


def test_flipped_bit_that_is_stored_is_noticed(rclone_server, source):
    bucket = new_bucket(rclone_server.url)
    rule = Rule("flip", after=3 * MIB, times=1)
    with Proxy(int(rclone_server.url.rpartition(":")[2]), rule) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        storage = S3Storage(config(url, bucket), TransferLimits(timeout=10))
        storage.put(source, "a.zip", Progress())
        assert rule.done == 1
        with pytest.raises(ContentDiffers):
            storage.verify("a.zip", SIZE, digest(source), Progress())


# -- cancel


def test_cancel_with_parts_under_way(rgw_server, bucket, source):
    storage = S3Storage(config(rgw_server.url, bucket), TransferLimits(MIB // 4, 20))
    progress, until = cancelled_after(1)
    with pytest.raises(Cancelled):
        storage.put(source, "a.zip", progress)
    assert time.monotonic() - until < 45
    assert open_uploads(client(rgw_server.url), bucket) == []
    assert list(storage.list()) == []


@pytest.mark.parametrize(
    "silent",
    [
        "HEAD",
        r"POST .*uploads",
        "PUT .*partNumber=2",
        "POST .*uploadId",
        "DELETE|partNumber",
    ],
)
def test_cancel_while_the_server_is_silent(server, scripted, source, silent):
    server.act(silent, stall=120)
    progress, until = cancelled_after(1)
    with pytest.raises(Cancelled):
        scripted.put(source, "a.zip", progress)
    assert time.monotonic() - until < 45
    if "DELETE" not in silent and "uploads" not in silent:
        assert server.uploads == {}
    assert server.objects == {}


def test_cancel_while_reading_from_a_silent_server(server, scripted, source):
    scripted.put(source, "a.zip", Progress())
    server.act("GET", stall=120)
    progress, until = cancelled_after(0.5)
    with pytest.raises(Cancelled):
        scripted.verify("a.zip", SIZE, digest(source), progress)
    assert time.monotonic() - until < 45


@pytest.mark.parametrize("what", ["list", "stat", "delete"])
def test_cancel_of_what_is_small_from_a_silent_server(server, scripted, source, what):
    scripted.put(source, "a.zip", Progress())
    server.act({"list": "GET", "stat": "HEAD", "delete": "DELETE"}[what], stall=120)
    progress, until = cancelled_after(0.5)
    calls = {
        "list": lambda: list(scripted.list()),
        "stat": lambda: scripted.stat("a.zip"),
        "delete": lambda: scripted.delete("a.zip"),
    }
    with scripted.reporting_to(progress), pytest.raises(Cancelled):
        calls[what]()
    assert time.monotonic() - until < 5


def test_cancel_of_a_read_that_stalls_in_its_middle(proxy, through_proxy, source):
    """It is read without a progress of its own, as one file of a backup is."""
    through_proxy.put(source, "a.zip", Progress())
    storage = S3Storage(through_proxy._config, TransferLimits(timeout=120))
    progress, until = cancelled_after(2)
    with storage.reporting_to(progress), storage.open("a.zip") as stream:
        stream.read(1000)
        proxy.rule = Rule("hold", direction="down")
        with pytest.raises(Cancelled):
            stream.read()
    assert time.monotonic() - until < 60


def test_cancel_leaves_no_part_that_was_taken_up(rgw_server, bucket, source):
    raw, data = client(rgw_server.url), source.read_bytes()
    upload = raw.create_multipart_upload(Bucket=bucket, Key="a.zip")["UploadId"]
    raw.upload_part(
        Bucket=bucket, Key="a.zip", UploadId=upload, PartNumber=1, Body=data[: 5 * MIB]
    )
    storage = S3Storage(config(rgw_server.url, bucket), TransferLimits(timeout=20))
    with pytest.raises(Cancelled):
        storage.put(source, "a.zip", cancelled_at(6 * MIB))
    assert open_uploads(raw, bucket) == []


# -- servers that fail


def test_permanent_error_leaves_no_parts(server, scripted, source):
    server.act("PUT .*partNumber=2", code="AccessDenied", status=403)
    with pytest.raises(s3_errors.AccessDenied):
        scripted.put(source, "a.zip", Progress())
    assert (server.uploads, server.objects) == ({}, {})


def test_short_burst_of_errors_is_not_noticed(server, scripted, source):
    server.act("PUT .*partNumber=2", code="SlowDown", status=503, times=2)
    scripted.put(source, "a.zip", Progress())
    assert content(scripted, "a.zip") == source.read_bytes()


def test_long_burst_of_errors_is_retryable(server, scripted, source):
    server.act("PUT", code="SlowDown", status=503)
    with pytest.raises(s3_errors.ServerBusy):
        scripted.put(source, "a.zip", Progress())
    assert server.count("PUT") <= 2 * 3  # two threads, three attempts
    assert list(server.uploads) != []


def test_fault_after_completion(server, scripted, source):
    """The object is there, but every answer to its completion is an error."""
    server.act("POST .*uploadId", code="InternalError", status=500, stored=True)
    with pytest.raises(RetryableError):
        scripted.put(source, "a.zip", Progress())
    server.requests.clear()
    progress = Progress()
    scripted.put(source, "a.zip", progress)
    assert not server.count("PUT|POST")
    assert progress.done == SIZE


def test_fault_after_completion_in_one_call(server, scripted, source):
    """botocore asks again, and is told that there is no such upload."""
    server.act(
        "POST .*uploadId", code="InternalError", status=500, stored=True, times=1
    )
    scripted.put(source, "a.zip", Progress())
    assert server.count("PUT") == PARTS
    assert content(scripted, "a.zip") == source.read_bytes()


def test_forgotten_upload_begins_again(server, scripted, source):
    server.act("PUT .*partNumber=3", code="NoSuchUpload", status=404, times=1)
    progress = Progress()
    scripted.put(source, "a.zip", progress)
    assert server.count(r"POST .*uploads") == 2
    assert progress.done == SIZE
    assert content(scripted, "a.zip") == source.read_bytes()


def test_upload_that_is_forgotten_again_and_again_ends(server, scripted, source):
    server.act("PUT .*partNumber=3", code="NoSuchUpload", status=404)
    with pytest.raises(s3_errors.UploadForgotten):
        scripted.put(source, "a.zip", Progress())
    assert server.count(r"POST .*uploads") == 3


def test_source_that_becomes_shorter(server, scripted, source):
    server.act("PUT .*partNumber=1", stall=0.5)
    storage = S3Storage(
        config(server.url, "bucket", parallel=1), TransferLimits(timeout=5)
    )
    timer = threading.Timer(0.2, os.truncate, (source, 6 * MIB))
    timer.start()
    with pytest.raises(s3_errors.SourceShrunk):
        storage.put(source, "a.zip", Progress())
    assert server.uploads == {}


# -- servers that lie


def test_server_that_stores_nothing(server, scripted, source):
    server.act("PUT|POST .*uploadId", lie=True)
    with pytest.raises(s3_errors.NotInBucket):
        scripted.probe()
    small = source.with_name("small")
    small.write_bytes(b"12345")
    scripted.put(small, "a.zip", Progress())
    with pytest.raises(CopyMissing):
        scripted.verify("a.zip", 5, digest(small), Progress())


def test_server_that_stores_other_bytes(server, scripted, source):
    server.act("PUT", alter=True)
    with pytest.raises(s3_errors.ReadsBackDifferent):
        scripted.probe()
    assert server.objects == {}
    scripted.put(source, "a.zip", Progress())
    with pytest.raises(ContentDiffers):
        scripted.verify("a.zip", SIZE, digest(source), Progress())


def test_server_that_lists_late(server, scripted):
    server.act("GET .*list-type", raw=b"HTTP/1.1 200 OK\r\n\r\n<ListBucketResult/>")
    with pytest.raises(s3_errors.NotListed):
        scripted.probe()
    assert server.objects == {}


def test_server_that_ignores_ranges(server, scripted):
    scripted.put_bytes(b"0123456789", "a")
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    server.act("GET", raw=whole)
    with (
        pytest.raises(s3_errors.NoRanges),
        scripted.open("a", 5) as stream,
    ):
        stream.read()


def test_list_without_an_end(server, scripted):
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated>"
    page += b"<NextContinuationToken>again</NextContinuationToken></ListBucketResult>"
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n".encode()
    server.act("GET", raw=head + page)
    with pytest.raises(s3_errors.EndlessList):
        list(scripted.list())
