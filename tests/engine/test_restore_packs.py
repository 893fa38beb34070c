"""A restore of incremental backups: from this server and from afar, encrypted, and with
packs that are lost or damaged."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import threading
import time
import warnings
import zipfile
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from packs_world import HereStorage, MemoryStorage, Server, packs_in

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.catalogued import Catalogued
from dfr_backup.engine.catalog.fetch import AT_ONCE
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.files import (
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import Cancelled, EngineError, RetryableError
from dfr_backup.engine.errors.packs import (
    AttachmentsDiffer,
    AttachmentsLost,
    ExportFirst,
    PacksUnknown,
)
from dfr_backup.engine.errors.restore import RestoredDiffers, is_acceptable
from dfr_backup.engine.manifest.names import FILESTORE, INDEX, sidecar_key
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore import steps
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore

CONTENTS = [f"content {number}".encode() * (number + 1) for number in range(11)]
TABLES = """
CREATE TABLE ir_attachment (id serial PRIMARY KEY, name text, store_fname text,
  checksum text, file_size int, res_model text, res_field text, res_id int,
  mimetype text, type text, db_datas bytea);
"""
STEPS = ("check", "create_database", "load", "filestore", "compare")


def store_fname(content):
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return f"{sha1[:2]}/{sha1}"


@pytest.fixture(scope="module")
def dump():
    """What pg_dump makes of a database that has all of CONTENTS as attachments."""
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    name = f"dfr_test_packs_{os.getpid()}"
    rows = ", ".join(
        f"('file {n}', '{store_fname(c)}', {len(c)}, 'binary')"
        for n, c in enumerate(CONTENTS)
    )
    columns = "name, store_fname, file_size, type"
    sql = f"{TABLES} INSERT INTO ir_attachment ({columns}) VALUES {rows};"
    subprocess.run(["createdb", "-T", "template0", name], check=True)
    try:
        subprocess.run(["psql", "-Xqd", name], input=sql.encode(), check=True)
        command = ["pg_dump", "--no-owner", name]
        return subprocess.run(command, check=True, capture_output=True).stdout
    finally:
        subprocess.run(["dropdb", name], check=True)


class Shop(Server):
    """A database whose backups know which attachment is which file."""

    def pack(self, own: ArchiveWriter, names):
        own.add_bytes(INDEX, b"".join(map(index_line, sorted(names))))
        return super().pack(own, names)


def index_line(name):
    line = dict.fromkeys(("name", "res_model", "res_field", "res_id", "mimetype"))
    line |= {"id": 1, "store_fname": name, "file_size": 0}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


class World:
    def __init__(self, folder, storage, dump):
        self.folder = folder
        self.storage = storage
        self.dump = dump
        self.server = Shop(storage, folder / "server")
        self.names = sorted(map(self.server.write, CONTENTS))
        self.progress = Progress()
        self.options = {}
        self.others = ()
        self.known = Catalogued.from_sidecar

    def backup(self, names=None):
        key, _packed = self.server.backup(names or self.names, self.dump)
        return key

    def restore(self, key, wanted=STEPS):
        """Restore it, and return its attachment files."""
        name = f"dfr_test_packs_to_{os.getpid()}"
        place = DatabaseLocation(name, self.folder / "files")
        options = RestoreOptions(place, "19.0", **self.options)
        places = self.folder / "work", self.folder / "markers"
        known = self.known(read_sidecar(self.storage, sidecar_key(key)))
        with Restore(Connection("postgres"), options, *places) as job:
            job.fetch(self.storage, key, self.progress, known, self.others)
            for step in wanted:
                getattr(job, step)(self.progress)
            root = job.target.filestore
            return {
                str(path.relative_to(root)): path.read_bytes()
                for path in root.rglob("*")
                if path.is_file()
            }

    def expected(self):
        return {name: (self.server.root / name).read_bytes() for name in self.names}

    def damage(self, key, how="content"):
        """Let one byte of a pack be another one, in the content of its first file, in
        its name in the directory, or in the list of checksums; or let all of it be
        gone, or be cut off."""
        data = bytes_of(self.storage, key)
        directory, start = data.index(b"PK\1\2"), 30 + len("filestore/xx/") + 40
        at = {
            "content": start + 2,
            "name": directory + 46 + len("filestore/xx/") + 7,
            "odd name": directory + 46 + len("filestore/xx/"),
            "list": directory - 40,
        }
        if how == "gone":
            self.storage.delete(key)
        elif how == "cut":
            self.storage.put_bytes(data[:-1], key)
        else:
            self.storage.put_bytes(flipped(data, at[how]), key)

    def packs_of(self, key):
        return [use.key for use in read_sidecar(self.storage, sidecar_key(key)).packs]


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.fixture(params=["here", "far"])
def world(request, tmp_path, dump):
    here = request.param == "here"
    storage = HereStorage(tmp_path / "stored") if here else MemoryStorage()
    return World(tmp_path, storage, dump)


def encrypt(world):
    key = generate_key()
    recipients = parse_recipients(key.public)
    world.server.encryption = PackEncryption("one", recipients)
    world.options["identities"] = parse_identities(key.private)


def test_database_and_attachments_come_back(world):
    key = world.backup()
    assert len(packs_in(world.storage)) == 3
    assert world.restore(key) == world.expected()
    assert not world.progress.warnings


def test_encrypted_packs(world):
    encrypt(world)
    key = world.backup()
    assert all(pack.endswith(".age") for pack in world.packs_of(key))
    assert world.restore(key) == world.expected()
    fetched = world.folder / "work/packs"
    for path in fetched.glob("*") if fetched.exists() else ():
        assert path.read_bytes().startswith(b"age-encryption.org/")


def test_only_what_is_wanted_is_unpacked(world):
    world.backup()
    world.names = world.names[3:]
    key = world.backup()
    found = world.restore(key, ("create_database", "load", "filestore"))
    assert found == world.expected()


def test_damaged_files_of_its_own_archive(world):
    """They were damaged when they were saved, and are as they were."""
    (world.server.root / world.names[4]).write_bytes(b"other")
    assert world.restore(world.backup()) == world.expected()
    (warned,) = [each for each in warnings_of(world) if "names" in each.values]
    assert warned.values["count"] == 1


def test_everything_is_counted_before(world):
    key = world.backup()
    place = DatabaseLocation(f"dfr_test_packs_to_{os.getpid()}", world.folder / "files")
    places = world.folder / "work", world.folder / "markers"
    options = RestoreOptions(place, "19.0")
    with Restore(Connection("postgres"), options, *places) as job:
        job.fetch(world.storage, key, world.progress)
        about = job.archive.describe()
        job.check(world.progress)
    assert about.files == len(CONTENTS)
    assert about.file_bytes == sum(map(len, CONTENTS))
    assert set(about.contents) == {"database", "filestore"}


# === LOST AND DAMAGED PACKS === #


@pytest.mark.parametrize("how", ["content", "name", "odd name", "gone", "cut"])
@pytest.mark.parametrize("vouched", [True, False])
def test_what_no_other_pack_has_is_counted(world, how, vouched):
    key = world.backup()
    if not vouched:
        world.known = lambda sidecar: Catalogued(sidecar.size, sidecar.sha256)
    lost = lose(world, key, how)
    with pytest.raises(AttachmentsLost) as error:
        world.restore(key)
    values = error.value.message.values
    assert (values["backup"], values["count"]) == (key, len(lost))
    assert is_acceptable(error.value)
    assert not list(world.folder.glob("files*"))


@pytest.mark.parametrize("how", ["content", "name", "gone", "cut"])
@pytest.mark.parametrize("index", [True, False])
def test_what_is_lost_is_left_out_when_somebody_accepts_it(world, how, index):
    """Everything else comes back, and every damage is one at a time: so is the count.
    Who has not the names of the attachments knows how many there are all the same."""
    world.server.__class__ = Shop if index else Server
    key = world.backup()
    lost = lose(world, key, how)
    with pytest.raises(AttachmentsLost) as error:
        world.restore(key)
    assert error.value.message.values["count"] == len(lost)
    world.options["accepted"] = [AttachmentsLost.finding]
    kept = {name: data for name, data in world.expected().items() if name not in lost}
    assert world.restore(key) == kept
    warned = [warning.values for warning in warnings_of(world)]
    assert {"count": len(lost), "names": "\n".join(sorted(lost))} in warned or not index
    assert len(lost) in [values.get("count") for values in warned]


def warnings_of(world):
    return [each for each in world.progress.warnings if hasattr(each, "values")]


def test_only_what_was_accepted_may_be_missing(world):
    """Whatever else is not there is no restore."""
    key = world.backup()
    lose(world, key, "content")
    world.options["accepted"] = [AttachmentsLost.finding]
    verified = steps.verify_restored

    def lose_one_more(connection, manifest, filestore, *others, **more):
        next(path for path in filestore.rglob("*") if path.is_file()).unlink()
        return verified(connection, manifest, filestore, *others, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "verify_restored", lose_one_more)
        with pytest.raises(RestoredDiffers):
            world.restore(key)


def test_damaged_list_of_checksums_loses_nothing(world):
    key = world.backup()
    lose(world, key, "list")
    assert world.restore(key) == world.expected()
    assert world.progress.warnings


def test_all_that_is_lost_is_counted_at_once(world):
    """One pack is gone, and one file of another one is damaged."""
    key = world.backup()
    first, second, *_others = sorted(world.packs_of(key))
    lost = lose(world, key, "content", first) | lose(world, key, "gone", second)
    with pytest.raises(AttachmentsLost) as error:
        world.restore(key)
    assert error.value.message.values["count"] == len(lost) > 1


def test_encrypted_pack_that_is_damaged(world):
    encrypt(world)
    key = world.backup()
    pack = max(world.packs_of(key))
    data = bytes_of(world.storage, pack)
    world.storage.put_bytes(flipped(data, len(data) - 20), pack)
    with pytest.raises(AttachmentsLost) as error:
        world.restore(key)
    assert 0 < error.value.message.values["count"] < len(CONTENTS)
    world.options["accepted"] = [AttachmentsLost.finding]
    found = world.restore(key)
    assert found.items() < world.expected().items()
    assert len(found) == len(CONTENTS) - error.value.message.values["count"]


def test_what_was_missing_in_the_backup_is_not_lost(world):
    missing = world.names[0]
    content = (world.server.root / missing).read_bytes()
    (world.server.root / missing).unlink()
    key = world.backup()
    lost = lose(world, key, "gone")
    with pytest.raises(AttachmentsLost) as error:
        world.restore(key)
    assert error.value.message.values["count"] == len(lost)
    world.options["accepted"] = [AttachmentsLost.finding]
    (world.server.root / missing).write_bytes(content)
    kept = world.expected().keys() - lost - {missing}
    assert world.restore(key).keys() == kept


def lose(world, key, how, pack=None):
    """Damage a pack of a backup, its last one unless another is named; return what is
    lost in it."""
    pack = pack or max(world.packs_of(key))
    names = files_in(world.storage, pack)
    world.damage(pack, how)
    return set(names if how in ("gone", "cut") else names[:1])


def files_in(storage, pack):
    with zipfile.ZipFile(io.BytesIO(bytes_of(storage, pack))) as zipped:
        return [
            name.removeprefix(FILESTORE)
            for name in zipped.namelist()
            if name.startswith(FILESTORE)
        ]


@pytest.mark.parametrize("how", ["content", "gone", "cut"])
def test_what_is_lost_is_taken_from_another_pack(world, how):
    """The next backup has stored it again."""
    first = world.backup()
    pack = max(world.packs_of(first))
    size = len(bytes_of(world.storage, pack))
    world.damage(pack, "gone")
    world.storage.now += timedelta(days=1)
    second = world.backup()
    assert pack not in world.packs_of(second)
    if how != "gone":
        left = bytes(size) if how == "content" else b"cut"
        world.storage.put_bytes(left, pack)
    assert world.restore(first) == world.expected()
    assert len(world.progress.warnings) == 2
    assert world.restore(second) == world.expected()


def test_what_is_lost_is_taken_from_another_storage(world, tmp_path):
    other = Shop(MemoryStorage(), tmp_path / "other")
    other.root = world.server.root
    other.backup(world.names, world.dump)
    key = world.backup()
    world.damage(max(world.packs_of(key)), "gone")
    world.damage(min(world.packs_of(key)), "content")
    world.others = [other.storage]
    assert world.restore(key) == world.expected()


def test_another_file_of_that_name_elsewhere_is_not_taken(world, tmp_path):
    first = world.backup()
    pack = max(world.packs_of(first))
    world.damage(pack, "gone")
    world.storage.now += timedelta(days=1)
    second = world.backup()
    (again,) = set(world.packs_of(second)) - set(world.packs_of(first))
    world.damage(again, "content")
    with pytest.raises(AttachmentsLost) as lost:
        world.restore(first)
    assert lost.value.message.values["count"] == 1


def test_sidecar_that_names_fewer_packs_is_refused(world):
    key = world.backup()
    content = json.loads(bytes_of(world.storage, sidecar_key(key)))
    content["packs"].pop()
    world.storage.put_bytes(json.dumps(content).encode(), sidecar_key(key))
    with pytest.raises(AttachmentsDiffer):
        world.restore(key)


def bytes_of(storage, key):
    data = storage.objects[key]
    return data if isinstance(data, bytes) else data[0]


def test_forged_pack_is_not_believed(world):
    """It has the right names and sizes, and the sidecar its checksums. Nobody vouches
    for that sidecar."""
    key = world.backup()
    pack = max(world.packs_of(key))
    world.storage.put_bytes(forged(bytes_of(world.storage, pack)), pack)
    data = bytes_of(world.storage, pack)
    content = json.loads(bytes_of(world.storage, sidecar_key(key)))
    (use,) = (use for use in content["packs"] if use["key"] == pack)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        use["sums"] = hashlib.sha256(zipped.read("SHA256SUMS")).hexdigest()
    use |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    world.storage.put_bytes(json.dumps(content).encode(), sidecar_key(key))
    world.known = lambda sidecar: Catalogued(sidecar.size, sidecar.sha256)
    with pytest.raises(AttachmentsLost) as lost:
        world.restore(key)
    assert lost.value.message.values["count"] == len(files_in(world.storage, pack))


@pytest.mark.parametrize("wanted", [b"\xff" * 9, b"\x0f\x00"])
def test_bitmap_of_another_length_loses_nothing(world, wanted):
    """Somebody has changed the sidecar, which nobody vouches for: what is in the pack
    is taken by its names."""
    key = world.backup()
    content = json.loads(bytes_of(world.storage, sidecar_key(key)))
    content["packs"][0]["wanted"] = base64.b64encode(wanted).decode()
    world.storage.put_bytes(json.dumps(content).encode(), sidecar_key(key))
    world.known = lambda sidecar: Catalogued(sidecar.size, sidecar.sha256)
    assert world.restore(key) == world.expected()


def test_pack_whose_directory_lies_hides_no_loss(world):
    """It has one file twice and lacks another one; what it has in vain is no harm."""
    key = world.backup()
    pack = max(world.packs_of(key))
    names = files_in(world.storage, pack)
    data, target = bytes_of(world.storage, pack), io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w") as zipped,
    ):
        for name in (names[0], names[0], *names[1:-1]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                zipped.writestr(FILESTORE + name, source.read(FILESTORE + name))
        zipped.writestr(f"{FILESTORE}zz/evil", b"evil")
    lying = target.getvalue()
    world.storage.put_bytes(lying, pack)
    content = json.loads(bytes_of(world.storage, sidecar_key(key)))
    (use,) = (use for use in content["packs"] if use["key"] == pack)
    use |= {"size": len(lying), "sha256": "ab" * 32}
    world.storage.put_bytes(json.dumps(content).encode(), sidecar_key(key))
    world.known = lambda sidecar: Catalogued(sidecar.size, sidecar.sha256)
    with pytest.raises(AttachmentsLost) as lost:
        world.restore(key)
    assert lost.value.message.values["count"] == 1
    world.options["accepted"] = [AttachmentsLost.finding]
    kept = world.expected()
    del kept[names[-1]]
    assert world.restore(key) == kept


def forged(pack):
    """Return a pack with the same files, each with other content of its size."""
    target, sums = io.BytesIO(), ""
    with (
        zipfile.ZipFile(io.BytesIO(pack)) as source,
        zipfile.ZipFile(target, "w") as zipped,
    ):
        for member in source.infolist()[:-1]:
            content = b"x" * member.file_size
            zipped.writestr(member.filename, content)
            sums += f"{hashlib.sha256(content).hexdigest()}  {member.filename}\n"
        zipped.writestr("SHA256SUMS", sums)
    return target.getvalue()


@pytest.mark.parametrize("left", [None, b"{}"])
def test_archive_without_its_manifest_is_refused(world, left):
    key = world.backup()
    sidecar = read_sidecar(world.storage, sidecar_key(key))
    world.storage.delete(sidecar_key(key))
    if left:
        world.storage.put_bytes(left, sidecar_key(key))
    options = RestoreOptions(DatabaseLocation("x", world.folder / "files"), "19.0")
    places = world.folder / "work", world.folder / "markers"
    known = Catalogued.from_sidecar(sidecar)
    with (
        Restore(Connection("postgres"), options, *places) as job,
        pytest.raises(PacksUnknown if left else ExportFirst),
    ):
        job.fetch(world.storage, key, world.progress, known)


# === BY HAND === #

PAGE = Path(__file__).resolve().parents[2] / "docs/format.rst"
JQ = """#!/usr/bin/env python3
import json, sys
assert sys.argv[1:3] == ["-r", ".packs[].key"]
for pack in json.load(open(sys.argv[3]))["packs"]:
    print(pack["key"])
"""


def commands(database, data):
    """Return the commands of the page, with the names in capitals filled in."""
    text = PAGE.read_text()
    block = text[text.index("   for p in $(jq -r '.packs[].key' B.json)") :]
    block = block[: block.index("\n\n")]
    return block.replace("DATA_DIR", str(data)).replace("NEW", database)


def test_commands_of_the_page_restore_it(tmp_path, dump):
    """All of them, as they stand there; jq is not on every machine."""
    world = World(tmp_path, HereStorage(tmp_path / "stored"), dump)
    world.backup()
    world.names = world.names[2:]
    (world.server.root / world.names[4]).write_bytes(b"other")
    key = world.backup()
    folder, programs = world.storage.path, tmp_path / "bin"
    (folder / key).rename(folder / "B.zip")
    (folder / sidecar_key(key)).rename(folder / "B.json")
    programs.mkdir()
    if not shutil.which("jq"):
        (programs / "jq").write_text(JQ)
        (programs / "jq").chmod(0o755)
    name, data = f"dfr_test_packs_by_hand_{os.getpid()}", tmp_path / "data"
    (data / "filestore").mkdir(parents=True)
    path = {"PATH": f"{programs}:{os.environ['PATH']}"}
    try:
        subprocess.run(
            ["sh", "-ec", commands(name, data)],
            cwd=folder,
            check=True,
            env=os.environ | path,
        )
        count = "SELECT count(*) FROM ir_attachment"
        counted = subprocess.run(
            ["psql", "-XAtc", count, name], check=True, capture_output=True
        )
        assert int(counted.stdout) == len(CONTENTS)
    finally:
        subprocess.run(["dropdb", "--if-exists", name], check=True)
    for known in world.names:  # the damaged one is good in its pack
        found = (data / "filestore" / name / known).read_bytes()
        assert store_fname(found) == known


# === FROM AFAR === #


@pytest.fixture
def far(tmp_path, dump):
    return World(tmp_path, MemoryStorage(), dump)


def test_interrupted_fetch_goes_on(far):
    key = far.backup()
    packs = far.packs_of(key)
    opened = []

    def operation(name, which):
        if name == "open" and which in packs:
            opened.append(which)
            if len(opened) == 2:
                raise Cancelled

    far.storage.operation = operation
    with pytest.raises(Cancelled):
        far.restore(key)
    assert far.restore(key) == far.expected()
    assert opened.count(opened[0]) == 1
    assert opened.count(opened[1]) == 2


class WithReaders(MemoryStorage):
    """One that several threads may read; each waits by the progress that it has."""

    def __init__(self):
        super().__init__()
        self.heard = threading.local()

    def reader(self):
        return self

    @contextmanager
    def reporting_to(self, progress):
        self.heard.progress = progress
        yield


def test_two_packs_are_fetched_at_a_time(tmp_path, dump):
    far = World(tmp_path, WithReaders(), dump)
    key = far.backup()
    left, together = far.packs_of(key)[:2], threading.Barrier(2, timeout=60)

    def operation(name, which):
        if name == "open" and which in left:
            left.remove(which)
            together.wait()

    far.storage.operation = operation
    assert far.restore(key) == far.expected()
    assert not left


def test_cancel_ends_all_that_are_fetched(tmp_path, dump):
    """The storage is silent; what is here already is used when it goes on."""
    far = World(tmp_path, WithReaders(), dump)
    key = far.backup()
    first, *others = far.packs_of(key)
    opened, waiting = [], []

    def operation(name, which):
        if name == "open" and which in (first, *others):
            opened.append(which)
            if which in others:
                waiting.append(which)
                while True:
                    time.sleep(0.01)
                    far.storage.heard.progress.tick()

    def report(_progress):
        if len(waiting) == AT_ONCE:
            raise Cancelled

    far.storage.operation = operation
    far.progress = Progress(report)
    far.progress.tick = lambda: report(far.progress)
    with pytest.raises(Cancelled):
        far.restore(key)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("dfr_backup worker")]
    far.storage.operation = lambda name, which: opened.append(which)
    far.progress = Progress()
    assert far.restore(key) == far.expected()
    assert opened.count(first) == 1


def test_what_an_earlier_attempt_has_left_is_not_believed(far):
    key = far.backup()
    folder = far.folder / "work/packs"
    folder.mkdir(parents=True)
    sizes = {
        use.key: use.size for use in read_sidecar(far.storage, sidecar_key(key)).packs
    }
    first, second, _third = sizes
    (folder / first).write_bytes(bytes(sizes[first]))
    (folder / second).write_bytes(b"begun")
    assert far.restore(key) == far.expected()
    assert not far.progress.warnings


def test_lost_line_is_tried_again(far):
    key = far.backup()
    failures = []

    def operation(name, which):
        if name == "open" and which in far.packs_of_key and len(failures) < 2:
            failures.append(which)
            raise RetryableError

    far.packs_of_key = far.packs_of(key)
    far.storage.operation = operation
    far.storage.retries = far.storage.retries.__class__(first=0)
    assert far.restore(key) == far.expected()
    assert len(failures) == 2


def test_rows_are_compared(far):
    """What the manifest counted is not there: the restore ends."""
    far.server.manifest = with_rows(far.server.manifest, 12)
    key = far.backup()
    with pytest.raises(RestoredDiffers):
        far.restore(key)
    far.server.manifest = with_rows(Shop.manifest.__get__(far.server), len(CONTENTS))
    assert far.restore(far.backup()) == far.expected()


def with_rows(manifest, count):
    def made(*args):
        found = manifest(*args)
        ours = {**found.ours, "rows": {'"public"."ir_attachment"': count}}
        return type(found)({**found.values, "dfr_backup": ours})

    return made


def test_key_is_needed(world):
    encrypt(world)
    key = world.backup()
    world.options.clear()
    with pytest.raises(EngineError):
        world.restore(key)
