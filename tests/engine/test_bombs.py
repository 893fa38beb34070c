"""No archive of 1 MiB may cost more than 2 s of processor or 100 MiB of memory before
it is refused."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from dfr_backup.engine.archive.zip_format import Member, central_entry, local_header
from dfr_backup.engine.untrusted import MAX_BYTES, MOST_VALUES

REPO = Path(__file__).parents[2]
MOST_SECONDS, MOST_MEMORY = 2, 100 << 20
LARGEST_FILE = 1 << 20
BLOCK = 1 << 20
STAMP = (0, 0)
LINE = (
    b'{"id":1,"name":"a","res_model":"b","res_field":null,"res_id":1,'
    b'"store_fname":"aa/bb","file_size":1,"mimetype":null}\n'
)


def repeated(text, blocks):
    """Return (deflated, size, CRC-32) of a text that is repeated to so many blocks of
    1 MiB, without ever making it."""
    return in_blocks([((text * (BLOCK // len(text) + 1))[:BLOCK], blocks)])


def in_blocks(parts):
    """Return (deflated, size, CRC-32) of blocks that are each repeated so often."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated, size, crc = b"", 0, 0
    for block, times in parts:
        once = press.compress(block) + press.flush(zlib.Z_FULL_FLUSH)
        deflated += once * times
        size += len(block) * times
        for _number in range(times):
            crc = zlib.crc32(block, crc)
    return deflated + press.flush(), size, crc


def whole(content):
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = press.compress(content) + press.flush()
    return deflated, len(content), zlib.crc32(content)


def bomb(path, **members):
    """Write a zip whose members are (deflated, size, CRC-32)."""
    directory, offset = [], 0
    with open(path, "wb") as stream:
        for name, (deflated, size, crc) in members.items():
            name = name.replace("_dot_", ".").replace("__", "/")
            member = Member(name, 8, size, len(deflated), crc, "", offset, 0)
            stream.write(local_header(member, STAMP) + deflated)
            directory.append(central_entry(member, STAMP))
            offset = stream.tell()
        stream.write(b"".join(directory) + end(directory, offset))
    assert path.stat().st_size <= LARGEST_FILE
    return path


def end(directory, start):
    count, size = len(directory), sum(map(len, directory))
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, 0)


def cost_of(kind, path):
    command = [sys.executable, str(REPO / "tests/engine/bombs.py"), kind, str(path)]
    done = subprocess.run(command, capture_output=True, timeout=200)
    assert not done.returncode, done.stderr.decode()
    return json.loads(done.stdout)


def assert_cheap(kind, path):
    cost = cost_of(kind, path)
    assert cost["seconds"] < MOST_SECONDS, cost
    assert cost["bytes"] < MOST_MEMORY, cost
    return cost["code"]


MANY = b"[" + b"[]," * (MOST_VALUES // 2 - 10) + b"[]]"
WIDE = "😀" * (MAX_BYTES // 4 - 20)
MANIFESTS = {
    "spaces": repeated(b" ", 900),
    "nested": whole(b"[" * MAX_BYTES),
    "objects": whole(b'{"a":' * (MAX_BYTES // 5)),
    "lists": whole(b"[" + b"[]," * (16 << 20) + b"[]]"),
    "values": whole(b'{"dfr_backup":{"rows":' + MANY + b"}}"),
    "names": whole(json.dumps({f"{n:x}": n for n in range(MOST_VALUES)}).encode()),
    "wide": whole(json.dumps({"db_name": WIDE}, ensure_ascii=False).encode()),
    "escapes": whole(b'{"db_name":"' + rb"\u00e9" * (MAX_BYTES // 6 - 20) + b'"}'),
    "digits": whole(b"[" + b"9" * (MAX_BYTES - 2) + b"]"),
    "fraction": whole(b"[" + b"9" * (MAX_BYTES - 4) + b".5]"),
}


@pytest.mark.parametrize("kind", ["look", "browse"])
@pytest.mark.parametrize("content", MANIFESTS)
def test_manifest(tmp_path, kind, content):
    members = {"dump_dot_sql": whole(b"SELECT 1;"), "filestore__aa__b": whole(b"x")}
    members["manifest_dot_json"] = MANIFESTS[content]
    code = assert_cheap(kind, bomb(tmp_path / "bomb.zip", **members))
    # what only fills a page is not refused: it is left out
    assert code or kind == "browse"


@pytest.mark.parametrize("content", [b"a", b"\n", b"a  b\n"])
@pytest.mark.parametrize("kind", ["check", "checked", "describe", "restore"])
def test_list_of_checksums(tmp_path, kind, content):
    members = {
        "dump_dot_sql": whole(b"SELECT 1;"),
        "SHA256SUMS": repeated(content, 200),
    }
    assert assert_cheap(kind, bomb(tmp_path / "bomb.zip", **members))


@pytest.mark.parametrize(
    "content",
    [b"SET a=12345678;\n", b";", b"--\n", b"-- a\n", b"\n", b"--" + b"a" * BLOCK],
)
def test_dump(tmp_path, content):
    """Each of them is what a dump may have, and none has this many."""
    members = {"dump_dot_sql": repeated(content, 300)}
    assert assert_cheap("restore", bomb(tmp_path / "bomb.zip", **members))


@pytest.mark.parametrize("row", [b"\n", b"1\n", b"\\N\n", b"a"])
def test_rows(tmp_path, row):
    """Before a statement that is refused, which is found behind them alone."""
    parts = [
        (b"COPY public.a (b) FROM stdin;\n", 1),
        ((row * BLOCK)[: BLOCK - 1] + b"\n", 600),
        (b"\\.\nALTER SYSTEM SET a = 1;\n", 1),
    ]
    path = bomb(tmp_path / "bomb.zip", dump_dot_sql=in_blocks(parts))
    assert assert_cheap("restore", path)


@pytest.mark.parametrize("content", [b"a", b"\n", LINE])
@pytest.mark.parametrize("kind", ["search", "name"])
def test_index_of_attachments(tmp_path, kind, content):
    members = {"attachments_dot_jsonl": repeated(content, 200)}
    assert assert_cheap(kind, bomb(tmp_path / "bomb.zip", **members))


@pytest.mark.parametrize(
    "content", [b"[", b'{"a":', b"[],", b"1,", b'"\\u0000",', b"9"]
)
def test_manifest_beside(tmp_path, content):
    path = tmp_path / "bomb.json"
    path.write_bytes((content * LARGEST_FILE)[:LARGEST_FILE])
    assert assert_cheap("beside", path)


def test_directory_with_fields_that_never_end(tmp_path):
    """Each entry has 64 KiB of fields that have no length."""
    extra = bytes(65532)
    name, directory, at = b"filestore/aa/b", [], 0
    limits = (0xFFFFFFFF, 0xFFFFFFFF)
    for _number in range(15):
        fields = (45, 45, 0, 0, 0, 0, 0, *limits, len(name), len(extra), 0, 0, 0, 0, at)
        directory.append(struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name + extra)
    path = tmp_path / "bomb.zip"
    path.write_bytes(b"".join(directory) + end(directory, 0))
    assert path.stat().st_size <= LARGEST_FILE
    assert assert_cheap("describe", path)
