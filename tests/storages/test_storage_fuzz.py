"""Real clients of storages, and servers that answer anything: only errors of the engine
come out, and what is returned can be stored."""

import contextlib
import copy
import gc
import itertools
import json
import os
import re
import socket
import struct
import sys
import time

import pytest
from fuzzing import (
    LARGEST,
    ODD_NAMES,
    ODD_NUMBERS,
    changed,
    changed_value,
    fuzz,
    impatient,
)
from hostile import HttpServer, SftpServer, entry, packet, spoiled
from s3_servers import config

from dfr_backup.engine.catalog.scan import scan
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.rclone import RcloneFailed
from dfr_backup.engine.errors.s3 import EndlessList, NotS3, S3ConnectionLost
from dfr_backup.engine.errors.sftp import SftpNotBegun
from dfr_backup.engine.errors.storage import TooManyObjects
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages import kind as kinds
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.rclone.process import Rclone
from dfr_backup.engine.storages.rclone.rules import RcloneConfig
from dfr_backup.engine.storages.rclone.storage import RcloneStorage
from dfr_backup.engine.storages.s3 import download as s3_download
from dfr_backup.engine.storages.s3 import link as s3_link
from dfr_backup.engine.storages.s3 import storage as s3
from dfr_backup.engine.storages.s3.storage import S3Storage
from dfr_backup.engine.storages.sftp import link as sftp_link
from dfr_backup.engine.storages.sftp import protocol as sftp
from dfr_backup.engine.storages.sftp.storage import SftpStorage

KEY = "shop-20261124T023000Z-abcdefgh.zip"
SIDECAR = json.dumps({"format": 1, "dfr_backup": {}}).encode()
NUMBERS = [str(number).encode() for number in ODD_NUMBERS]
TEXTS = [name.encode("utf-8", "surrogatepass") for name in ODD_NAMES]
ODD = (*NUMBERS, *TEXTS, b"1e9", b"\xff\xfe", b"<a>", b"&#0;", b"&#x110000;", b"]]>")
TIMES = (b"9999-12-31T23:59:59+14:00", b"0001-01-01T00:00:00Z", b"1e300", b"-5")


def use(storage, chance):
    """Call any one method; what it returns can be stored in a column."""
    progress = impatient(chance)
    calls = (
        lambda: list(storage.list()),
        lambda: list(scan(storage, progress)),
        storage.subfolders,
        lambda: storage.stat(KEY),
        lambda: storage.peek(KEY, 10),
        lambda: storage.verify(KEY, 9, "ab" * 32, progress),
        lambda: storage.put_bytes(b"content", KEY),
        lambda: storage.create(b"content", KEY),
        lambda: storage.delete(KEY),
        lambda: storage.discard_partial(KEY),
        storage.free_space,
        storage.check,
        storage.probe,
    )
    found = chance.choices(calls, (6, 4, 4, 4, 4, 4, 1, 1, 1, 1, 2, 1, 1))[0]()
    for one in found if isinstance(found, list) else [found]:
        size = one if isinstance(one, int) else getattr(one, "size", 0)
        assert 0 <= size < LARGEST, one
        text = getattr(one, "key", "")
        assert isinstance(text, str)
        assert (
            1 <= getattr(one, "modified", None).year <= 9999
            if hasattr(one, "modified")
            else True
        )


# -- S3

LIST = (
    b"<ListBucketResult><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>%s</Key><Size>9</Size><ETag>&quot;a&quot;</ETag>"
    b"<LastModified>2026-11-23T10:00:00.000Z</LastModified></Contents>"
    b"<Contents><Key>%s</Key><Size>2</Size>"
    b"<LastModified>2026-11-23T10:00:00.000Z</LastModified></Contents>"
    b"<CommonPrefixes><Prefix>shop/</Prefix></CommonPrefixes></ListBucketResult>"
) % (KEY.encode(), KEY.replace(".zip", ".json").encode())
HEAD = (
    b'HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\nETag: "0123"\r\n'
    b"Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT\r\n%s\r\n"
)


def s3_answer(request):
    """Return what a good server says."""
    if "list-type" in request:
        return HEAD % (b"200 OK", len(LIST), b"") + LIST
    if "uploads" in request:
        body = b"<ListMultipartUploadsResult/>"
        return HEAD % (b"200 OK", len(body), b"") + body
    if request.startswith("HEAD"):
        return HEAD % (b"200 OK", 9, b"")
    if request.startswith("GET"):
        found = HEAD % (b"206 Partial Content", 9, b"Content-Range: bytes 0-8/9\r\n")
        return found + b"123456789"
    return HEAD % (b"200 OK", 0, b"")


def spoiled_http(answer, chance):
    """Change the value of a header or of an element, drop it, or cut the body."""
    head, _empty, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    change = chance.randrange(10)
    if change < 4 and b"<" in body:
        body = _spoiled_element(body, chance)
    elif change < 6:
        at = chance.randrange(1, len(lines))
        name = lines[at].partition(b":")[0]
        lines[at] = name + b": " + chance.choice((*ODD, *TIMES)).replace(b"\n", b"")
        return b"\r\n".join(lines) + b"\r\n\r\n" + body
    elif change == 6:
        del lines[chance.randrange(1, len(lines))]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body
    elif change == 7:
        body = changed(body, chance) if body else b""
    elif change == 8:
        code = chance.choice((b"AccessDenied", b"NoSuchKey", b"SlowDown", *ODD))
        said = chance.choice((*ODD, b"x" * 70_000))
        body = b"<Error><Code>%s</Code><Message>%s</Message></Error>" % (code, said)
        lines[0] = b"HTTP/1.1 " + chance.choice(
            (
                b"400 No",
                b"403 No",
                b"404 No",
                b"500 No",
                b"301 No",
                b"206 Yes",
                b"999 X",
            )
        )
    else:
        return answer[: chance.randrange(len(answer))]
    if body:
        lines = [line for line in lines if not line.startswith(b"Content-Length")]
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _spoiled_element(body, chance):
    pieces = body.replace(b">", b">\0").replace(b"<", b"\0<").split(b"\0")
    at = chance.randrange(len(pieces))
    pieces[at] = chance.choice((*ODD, *TIMES, b"", pieces[at] * 2))
    return b"".join(pieces)


@pytest.fixture
def s3_server(monkeypatch):
    monkeypatch.setattr(s3_link, "ATTEMPTS", 1)
    monkeypatch.setattr(s3_download, "PAUSE", 0.001)
    with HttpServer(s3_answer) as server:
        yield server


def test_s3(s3_server):
    storage = S3Storage(config(s3_server.url, "bucket"), TransferLimits(timeout=30))

    def read(data, chance):
        spoil_at, count = chance.randrange(2), iter(range(1000))

        def answer(request):
            good = s3_answer(request)
            return spoiled_http(good, chance) if next(count) >= spoil_at else good

        s3_server.answer = answer
        use(storage, chance)

    def understood(_data, error):
        return not isinstance(error, NotS3 | S3ConnectionLost)

    fuzz("s3", read, b"", lambda valid, _chance: valid, understood, 4)


@pytest.mark.parametrize(
    "request_is, lost",
    [
        ("HEAD", b"Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT\r\n"),
        ("GET", b"<LastModified>2026-11-23T10:00:00.000Z</LastModified>"),
        ("GET", b"<Size>9</Size>"),
        ("GET", b"<Key>%s</Key>" % KEY.encode()),
    ],
)
def test_s3_without_what_is_read(s3_server, request_is, lost):
    def answer(request):
        good = s3_answer(request)
        spoiled = good.replace(lost, b"") if request.startswith(request_is) else good
        size = len(spoiled.partition(b"\r\n\r\n")[2]) or 9
        return re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % size, spoiled)

    s3_server.answer = answer
    storage = S3Storage(config(s3_server.url, "bucket"), TransferLimits(timeout=30))
    with pytest.raises(NotS3):
        storage.stat(KEY) if request_is == "HEAD" else list(storage.list())


def endless(pages):
    """Return an answer whose list goes on and on, with a new token each time."""
    more = b"<IsTruncated>true</IsTruncated><NextContinuationToken>%d"
    more += b"</NextContinuationToken>"

    def answer(_request):
        body = LIST.replace(b"<IsTruncated>false</IsTruncated>", more % next(pages))
        return HEAD % (b"200 OK", len(body), b"") + body

    return answer


def test_s3_list_without_an_end(s3_server, monkeypatch):
    s3_server.answer = endless(itertools.count())
    storage = S3Storage(config(s3_server.url, "bucket"), TransferLimits(timeout=30))
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 50)
    with pytest.raises(TooManyObjects):
        list(storage.list())
    monkeypatch.setattr(s3, "MOST_PAGES", 9)
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 500)
    with pytest.raises(EndlessList):
        list(storage.list())


def prefixes(names):
    """Return a list of folders: a server may say anything."""
    found = b"".join(b"<CommonPrefixes>%s</CommonPrefixes>" % name for name in names)
    body = b"<ListBucketResult>%s</ListBucketResult>" % found
    return HEAD % (b"200 OK", len(body), b"") + body


HOSTILE = (b"", b".", b"..", b"a/b", b"a//", b"/", b"x" * 256, b"a&#10;b", b"&#x85;")


def test_s3_folders_that_are_none(s3_server):
    names = [b"<Prefix>odoo/%s/</Prefix>" % name for name in (*HOSTILE, b"shop")]
    names += [b"<Prefix>%s</Prefix>" % path for path in (b"crm/", b"odoo/crm", b"/")]
    s3_server.answer = lambda _request: prefixes([b"", *names, *names])
    where = config(s3_server.url, "bucket", prefix="odoo")
    storage = S3Storage(where, TransferLimits(timeout=30))
    assert storage.subfolders() == ["shop"]


def test_s3_folders_without_an_end(s3_server, monkeypatch):
    s3_server.answer = endless(itertools.count())
    storage = S3Storage(config(s3_server.url, "bucket"), TransferLimits(timeout=30))
    monkeypatch.setattr(s3, "MOST_PAGES", 9)
    with pytest.raises(EndlessList):
        storage.subfolders()
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 20)  # objects count as well
    with pytest.raises(TooManyObjects):
        storage.subfolders()


def test_a_cancel_is_heard_while_folders_are_listed(s3_server):
    s3_server.answer = endless(itertools.count())
    storage = S3Storage(config(s3_server.url, "bucket"), TransferLimits(timeout=30))
    progress, begun = Progress(), time.monotonic()
    progress.tick = cancelled_from(begun + 0.5)
    with pytest.raises(Cancelled), storage.reporting_to(progress):
        storage.subfolders()
    assert time.monotonic() < begun + 60


def cancelled_from(moment):
    def tick():
        if time.monotonic() > moment:
            raise Cancelled

    return tick


# -- SFTP


class PlainLink(sftp_link.Link):
    """SFTP by a plain connection: SSH takes a hundred times as long."""

    def open(self):
        self._errors = (OSError, EOFError)
        self._channel = socket.create_connection(("127.0.0.1", self._config.port), 5)
        self._channel.settimeout(sftp_link.POLL_INTERVAL)
        self.transport = _Plain(self._channel)
        self._begin()


class _Plain:
    def __init__(self, channel):
        self.close = channel.close

    def is_active(self):
        return True


@pytest.fixture
def sftp_server(monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.storages.sftp.storage.Link", PlainLink)
    with SftpServer() as server:
        server.files = {KEY: b"123456789", KEY.replace("zip", "json"): SIDECAR}
        yield server


def sftp_storage(server):
    where = sftp_link.SftpConfig("127.0.0.1", "user", server.port, directory="/upload")
    return SftpStorage(where, TransferLimits(timeout=30))


def test_sftp(sftp_server):
    good = dict(sftp_server.files)

    def read(_data, chance):
        sftp_server.files = dict(good)
        spoil_at, count = chance.randrange(1, 12), iter(range(100_000))

        def spoil(kind, body):
            if next(count) < spoil_at:
                return [packet(kind, body)]
            return spoiled(chance, kind, body)

        sftp_server.spoil = spoil
        storage = sftp_storage(sftp_server)
        try:
            use(storage, chance)
        finally:
            storage.close()

    def begun(_data, error):
        return not isinstance(error, SftpNotBegun)

    fuzz("sftp", read, b"", lambda valid, _chance: valid, begun)


def never_ending(kind, body):
    """A directory whose end is another page of it."""
    if kind == sftp.STATUS and body[4:8] == struct.pack(">I", sftp.EOF):
        page = struct.pack(">I", 1) + entry("more", 1)
        return [packet(sftp.NAME, body[:4] + page)]
    return [packet(kind, body)]


def test_sftp_directory_without_an_end(sftp_server, monkeypatch):
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 50)
    sftp_server.spoil = never_ending
    with pytest.raises(TooManyObjects):
        list(sftp_storage(sftp_server).list())


def test_sftp_list_hears_a_cancel(sftp_server):
    """The server answers at once, and never ends."""
    sftp_server.spoil = never_ending
    progress, begun = Progress(), time.monotonic()
    progress.tick = cancelled_from(begun + 0.5)
    with pytest.raises(Cancelled):
        list(scan(sftp_storage(sftp_server), progress))
    assert time.monotonic() < begun + 60


def test_sftp_folders_that_are_none(sftp_server):
    names = (b"", b"a/b", b"../x", b"/", b"a\0b", b"a\nb", b"\xff", b"\xc2\x85")
    sftp_server.folders = [*names, b"x" * 256, b"shop", b"shop"]
    assert sftp_storage(sftp_server).subfolders() == ["shop"]


def test_sftp_folders_without_an_end(sftp_server, monkeypatch):
    monkeypatch.setattr(kinds, "MOST_OBJECTS", 50)
    sftp_server.spoil = never_ending
    with pytest.raises(TooManyObjects):
        sftp_storage(sftp_server).subfolders()


def test_sftp_list_that_nobody_reads_to_its_end(sftp_server, monkeypatch):
    """Closing its directory has nobody to complain to once the connection is gone."""
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: lost.append(told.exc_value))
    storage = sftp_storage(sftp_server)
    with storage._session() as session:
        found = session.scan("/upload")
        next(found)
    storage.close()
    del found
    gc.collect()
    assert lost == []


def test_sftp_server_that_refuses_its_limits(sftp_server):
    def spoil(kind, body):
        if kind == sftp.EXTENDED_REPLY:
            kind, body = sftp.STATUS, body[:4] + struct.pack(">I", sftp.FAILURE)
        return [packet(kind, body)]

    sftp_server.spoil = spoil
    with pytest.raises(SftpNotBegun):
        sftp_storage(sftp_server).stat(KEY)


# -- rclone: the program itself stands between, so it is its words that are spoiled

FILE = {"Path": KEY, "Name": KEY, "Size": 9, "ModTime": "2026-11-23T10:00:00Z"}
SAID = {
    "lsjson": [{**FILE, "IsDir": False}, {**FILE, "Name": "a.json", "IsDir": False}],
    "about": {"total": 1 << 40, "free": 1 << 39},
    "backend": {"Name": "far", "Features": {"About": True, "Move": True}},
}


class Printed:
    """A child that has printed something, and ended: a process takes its time."""

    def __init__(self, text, status):
        self.stdout = os.memfd_create("printed")
        os.write(self.stdout, text)
        os.lseek(self.stdout, 0, os.SEEK_SET)
        self.status = status

    def wait(self):
        return self.status

    def stderr_tail(self):
        return "as you like\0" * 3


@pytest.fixture
def said(monkeypatch):
    """What each command of rclone prints, and its exit status."""
    said = {}

    @contextlib.contextmanager
    def child(_rclone, command, *_options, paths=()):
        text, status = said.get(command, (b"", 0))
        child = Printed(text, status)
        try:
            yield child
        finally:
            os.close(child.stdout)

    monkeypatch.setattr(Rclone, "_child", child)
    monkeypatch.setattr(Rclone, "_binary", lambda _rclone: "/bin/true")
    return said


@pytest.mark.parametrize(
    "shown, size",
    [
        (b"[1]", None),
        (b"[" * 100_000, None),
        (b'[{"Size": 1}, null, {"Name": 5}]', []),
        (b'[{"Name": "a", "Size": "9", "ModTime": 5}]', [0]),
        (b'[{"Name": "a", "Size": 9, "ModTime": "9999-99-99T00:00:00Z"}]', [9]),
        (b"no JSON", None),
    ],
)
def test_rclone_that_says_something_else(said, shown, size):
    features = json.dumps(SAID["backend"]).encode()
    said["version"] = b"rclone v1.75.2\n", 0
    said |= {"listremotes": (b"far: dav\n", 0), "backend": (features, 0)}
    said["lsjson"] = shown, 0
    storage = RcloneStorage(RcloneConfig("far"), TransferLimits())
    if size is None and shown != b"[1]":
        with pytest.raises(RcloneFailed):
            list(storage.list())
    else:
        assert [found.size for found in storage.list()] == (size or [])
    if not shown.startswith(b"{"):
        with pytest.raises(RcloneFailed):
            storage.stat(KEY)


def test_rclone_folders_that_are_none(said):
    names = (
        "",
        "..",
        "a/b",
        "-x",
        "~x",
        "a:b",
        "a\\b",
        " a",
        "a\nb",
        "\ud800",
        "x" * 256,
    )
    told = [{"Name": name, "IsDir": True} for name in (*names, "shop", "shop", 5)]
    said["version"] = b"rclone v1.75.2\n", 0
    said |= {"listremotes": (b"far: dav\n", 0), "backend": (b'{"Features": {}}', 0)}
    said["lsjson"] = json.dumps(told).encode(), 0
    storage = RcloneStorage(RcloneConfig("far"), TransferLimits())
    assert storage.subfolders() == ["shop"]


def test_rclone(said):
    def change(_valid, chance):
        said["version"] = b"rclone v1.75.2\n", 0
        said["listremotes"] = b"far: webdav\n", 0
        said["cat"] = b"123456789", chance.choice((0, 0, 0, 1, 3, 99))
        for command, value in SAID.items():
            value = copy.deepcopy(value)
            if command == "lsjson" and chance.random() < 0.4:
                value = value[0]
            if chance.random() < 0.5:
                changed_value(value, chance)
            text = json.dumps(value).encode()
            text = changed(text, chance) if chance.random() < 0.1 else text
            said[command] = text, chance.choice((0, 0, 0, 0, 0, 1, 3, 99))
        return repr(said)

    def read(_data, chance):
        use(RcloneStorage(RcloneConfig("far"), TransferLimits()), chance)

    def is_json(_data, _error):
        try:
            for command in SAID:
                json.loads(said[command][0])
        except (ValueError, RecursionError):
            return False
        return True

    fuzz("rclone", read, b"", change, is_json)
