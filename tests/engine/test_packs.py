"""Incremental backups: each attachment file is stored once, and every backup comes back
as it was."""

import json
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import replace

import pytest
from extracting import extract_filestore
from packs_world import (
    SHOP,
    MemoryStorage,
    Server,
    complete_backups,
    expected,
    packs_in,
    restored,
)

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.catalogued import Catalogued, compare_stored
from dfr_backup.engine.catalog.scan import read_sidecar, scan
from dfr_backup.engine.catalog.upload_receiver import look_at
from dfr_backup.engine.encryption.files import generate_key, parse_identities
from dfr_backup.engine.encryption.files import parse_recipients as recipients_of
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import Cancelled, EngineError, Mismatch
from dfr_backup.engine.errors.packs import (
    AttachmentsDiffer,
    ExportFirst,
    NotIncremental,
    PackGone,
    PackMissing,
    PackNameTaken,
    TargetExists,
    TooManyPacks,
)
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.model import Manifest
from dfr_backup.engine.manifest.names import FILESTORE, sidecar_key
from dfr_backup.engine.manifest.pack_use import PackUse
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.manifest.write import encode
from dfr_backup.engine.manifest.write import sidecar as sidecar_of
from dfr_backup.engine.packs.complete import CompleteZip
from dfr_backup.engine.packs.export import export
from dfr_backup.engine.packs.names import condemned_key, pack_key
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.sidecar import PackSidecar
from dfr_backup.engine.packs.terms import REWRITE, Terms
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.sources.filestore import ROOM

CONTENTS = [f"content {number}".encode() * (number + 1) for number in range(11)]


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
def server(storage, tmp_path):
    return Server(storage, tmp_path / "one")


@pytest.fixture
def names(server):
    return [server.write(content) for content in CONTENTS]


def path_of(server, name):
    return server.root / name


def test_backup_comes_back(server, storage, names):
    key, packed = server.backup(names)
    assert packed.new_files == len(names)
    assert len(packs_in(storage)) == 3  # of four files each
    assert restored(storage, key) == expected(server, names)
    assert complete_backups(storage) == {key}


def test_second_backup_stores_what_is_new(server, storage, names):
    first, _packed = server.backup(names)
    before = packs_in(storage)
    more = [*names[2:], server.write(b"new")]
    storage.pass_time(days=1)
    second, packed = server.backup(more)
    assert packed.new_files == 1
    assert len(packs_in(storage) - before) == 1
    assert restored(storage, first) == expected(server, names)
    assert restored(storage, second) == expected(server, more)


def test_repeated_backup_opens_no_pack(server, storage, names):
    server.backup(names)
    storage.pass_time(days=1)
    storage.counts.clear()
    _key, packed = server.backup(names)
    assert packed.new_files == 0
    read_back = 1  # its own archive
    assert storage.counts["open"] == read_back
    assert storage.counts["list"] == 3


def test_backup_without_attachments(server, storage):
    key, packed = server.backup([])
    assert packed.uses == ()
    assert restored(storage, key) == expected(server, [])


# === FILES IN TROUBLE === #


def test_damaged_and_oddly_named_files_are_in_the_own_archive(server, storage, names):
    path_of(server, names[3]).write_bytes(b"other")
    odd = "checksums/odd"
    path_of(server, odd).parent.mkdir()
    path_of(server, odd).write_bytes(b"odd")
    wanted = [*names, odd]
    key, packed = server.backup(wanted)
    assert packed.report.damaged_count == 2
    assert packed.content.files == len(names) - 1
    assert restored(storage, key) == expected(server, wanted)
    with open_backup(
        storage, read_sidecar(storage, sidecar_key(key))
    ).archive.open() as (own):
        found = {e.name for e in own.members() if e.name.startswith(FILESTORE)}
    assert found == {FILESTORE + names[3], FILESTORE + odd}


def test_large_damaged_file_is_in_no_pack(server, storage, names):
    large = server.write(b"x" * (ROOM + 1))
    intact = server.write(b"y" * (ROOM + 1))
    path_of(server, large).write_bytes(b"z" * (ROOM + 1))
    key, packed = server.backup([*names, large, intact])
    assert (packed.report.damaged_count, packed.report.files) == (1, len(names) + 2)
    assert packed.content.files == len(names) + 1
    assert restored(storage, key) == expected(server, [*names, large, intact])


def test_missing_file_comes_from_its_pack(server, storage, names):
    server.backup(names)
    contents = expected(server, names)
    path_of(server, names[0]).unlink()
    path_of(server, names[1]).write_bytes(b"cut")
    storage.pass_time(days=1)
    key, packed = server.backup(names)
    report = packed.report
    assert (report.missing_count, report.damaged_count) == (1, 1)
    assert {issue.store_fname for issue in report.troubles} == {names[0], names[1]}
    assert restored(storage, key) == contents
    gone = f"aa/{'aa' * 20}"
    storage.pass_time(days=1)
    _key, packed = server.backup([*names, gone])
    assert packed.report.missing_count == 2
    assert packed.content.files == len(names)


# === WHAT COUNTS AS STORED === #


def lose_index(server):
    shutil.rmtree(server.place.index)


def again(server, storage, names):
    """Return how many files the next backup stores anew, and see it restored."""
    storage.pass_time(days=1)
    key, packed = server.backup(names)
    assert restored(storage, key) == expected(server, names)
    return packed.new_files


def test_lost_index_is_read_from_the_packs(server, storage, names):
    server.backup(names)
    lose_index(server)
    assert again(server, storage, names) == 0


def test_damaged_index_is_not_believed(server, storage, names):
    server.backup(names)
    for path in server.place.index.iterdir():
        data = bytearray(path.read_bytes())
        data[-40] ^= 1
        path.write_bytes(data)
    assert again(server, storage, names) == 0


@pytest.mark.parametrize("how", ["gone", "cut", "condemned", "without sidecar"])
def test_what_is_not_stored_is_stored_again(server, storage, names, how):
    server.backup(names)
    key = min(packs_in(storage))
    if how == "gone":
        storage.delete(key)
    elif how == "cut":
        data, modified = storage.objects[key]
        storage.objects[key] = data[:-1], modified
    elif how == "condemned":
        storage.put_bytes(b"", condemned_key(key))
    else:
        storage.delete(sidecar_key(key))
    assert 0 < again(server, storage, names) <= 4
    assert again(server, storage, names) == 0


@pytest.mark.parametrize(
    "identity",
    [
        Identity(SHOP.uuid, SHOP.system, 20000),  # a raw copy of the database
        Identity(SHOP.uuid, "7577000000000000002", SHOP.oid),  # a clone elsewhere
        Identity("aaaaaaaa-9d1c-4d3e-8a75-6b7a2f1c9e10", SHOP.system, 7),
    ],
)
def test_packs_of_another_database_are_not_used(
    server, storage, names, identity, tmp_path
):
    server.backup(names)
    other = Server(storage, tmp_path / "two", identity)
    for content in CONTENTS:
        other.write(content)
    assert again(other, storage, names) == len(names)


def test_packs_of_a_former_identity_are_used(server, storage, names, tmp_path):
    server.backup(names)
    moved = Server(storage, tmp_path / "two", Identity(SHOP.uuid, SHOP.system, 20000))
    keys = frozenset({moved.identity.key, SHOP.key})
    object.__setattr__(moved.owner, "keys", keys)
    for content in CONTENTS:
        moved.write(content)
    assert again(moved, storage, names) == 0


def test_after_a_lost_key_packs_are_read_once(server, storage, names, tmp_path):
    server.backup(names)
    lose_index(server)
    server.owner = Server(storage, tmp_path / "two", key=Key(bytes(32))).owner
    storage.counts.clear()
    assert again(server, storage, names) == 0
    assert storage.counts["open"] > len(packs_in(storage))


def test_after_a_lost_key_a_damaged_pack_is_not_used(server, storage, names, tmp_path):
    server.backup(names)
    lose_index(server)
    server.owner = Server(storage, tmp_path / "two", key=Key(bytes(32))).owner
    key = min(packs_in(storage))
    data, modified = storage.objects[key]
    storage.objects[key] = data[:60] + b"?" + data[61:], modified
    assert again(server, storage, names) == 4


def test_wrong_signature_is_not_used(server, storage, names):
    server.backup(names)
    lose_index(server)
    key = sidecar_key(min(packs_in(storage)))
    data, modified = storage.objects[key]
    content = json.loads(data)
    content["signature"]["value"] = "00" * 32
    storage.objects[key] = encode(content), modified
    assert again(server, storage, names) == 4


def test_pack_of_other_content_than_its_name_is_not_used(server, storage, names):
    """Somebody who may write there describes a pack of his own as ours."""
    forged = Server(storage, server.folder.parent / "two", key=Key(bytes(32)))
    own = forged.folder / "forged.zip"
    writer = ArchiveWriter.create(own)
    writer.add_bytes(FILESTORE + names[0], b"something else")
    _count, sums = writer.write_checksums()
    closed = writer.close()
    key = pack_key(SHOP.uuid, closed.sha256, encrypted=False)
    about = PackSidecar(key, closed.size, closed.sha256, sums, 1, 14, "", SHOP)
    storage.put(own, key, Progress())
    storage.put_bytes(about.to_bytes(forged.owner), sidecar_key(key))
    assert again(server, storage, names) == len(names)


# === ENCRYPTION === #


def encryption(mark="one"):
    key = generate_key()
    return PackEncryption(mark, recipients_of(key.public)), parse_identities(
        key.private
    )


def test_encrypted_packs(server, storage, names):
    server.encryption, identities = encryption()
    key, _packed = server.backup(names)
    assert all(pack.endswith(".age") for pack in packs_in(storage))
    assert again_encrypted(server, storage, names, identities) == 0
    assert restored(storage, key, identities) == expected(server, names)
    # without a key the packs can be read back, and not looked into
    sidecar = read_sidecar(storage, sidecar_key(key))
    open_backup(storage, sidecar).check(Progress())


def again_encrypted(server, storage, names, identities):
    storage.pass_time(days=1)
    key, packed = server.backup(names)
    assert restored(storage, key, identities) == expected(server, names)
    return packed.new_files


def test_lost_index_of_encrypted_packs_costs_storing_anew(server, storage, names):
    server.encryption, identities = encryption()
    server.backup(names)
    lose_index(server)
    assert again_encrypted(server, storage, names, identities) == len(names)


def test_packs_for_other_keys_are_not_used(server, storage, names):
    server.encryption, _identities = encryption("one")
    server.backup(names)
    server.encryption, identities = encryption("two")
    assert again_encrypted(server, storage, names, identities) == len(names)
    server.encryption = None
    assert again(server, storage, names) == len(names)


# === STORING === #


class Killed(BaseException):
    """The process has ended."""


def killed_at(storage, count):
    """Let the storage's operation of that number be the last one."""
    left = [count]

    def operation(_name, _key):
        if left[0] == 0:
            raise Killed
        left[0] -= 1

    storage.operation = operation


def test_backup_goes_on_after_a_kill_at_each_step(server, storage, names):
    for count in range(200):
        storage.objects.clear()
        shutil.rmtree(server.place.index, ignore_errors=True)
        killed_at(storage, count)
        try:
            server.backup(names)
        except Killed:
            pass
        else:
            break
        storage.operation = lambda name, key: None
        assert len(complete_backups(storage)) <= 1
        kept = sum(sidecar_key(key) in storage.objects for key in packs_in(storage))
        storage.pass_time(minutes=5)
        key, packed = server.backup(names)
        assert packed.new_files <= max(0, len(names) - 4 * kept)
        assert restored(storage, key) == expected(server, names)
    assert count > 15


def test_next_pack_is_made_while_one_is_completed(server, names, monkeypatch):
    made, closed = threading.Event(), []
    add, close = ArchiveWriter.add_prepared, ArchiveWriter.close

    def adding(writer, prepared):
        if prepared.name == f"{FILESTORE}{sorted(names)[4]}":  # four make a pack
            made.set()
        add(writer, prepared)

    def closing(writer, *look):
        closed.append(bool(closed) or made.wait(30))
        return close(writer, *look)

    monkeypatch.setattr(ArchiveWriter, "add_prepared", adding)
    monkeypatch.setattr(ArchiveWriter, "close", closing)
    server.backup(names)
    assert closed == [True] * 4  # three packs, and the archive of the run


@pytest.mark.parametrize("how", ["gone", "condemned"])
@pytest.mark.parametrize("when", ["before its sidecar", "after its sidecar"])
def test_backup_whose_pack_goes_is_no_backup(server, storage, names, how, when):
    first, _packed = server.backup(names)
    storage.pass_time(days=1)
    pack = min(packs_in(storage))

    def operation(name, key):
        is_own = name == "put" and "-files-" not in key
        if is_own and key.endswith(".zip" if when.startswith("before") else ".json"):
            if how == "gone":
                storage.objects.pop(pack, None)
            else:
                storage.objects[condemned_key(pack)] = b"", storage.now

    storage.operation = operation
    with pytest.raises(PackGone):
        server.backup(names)
    storage.operation = lambda name, key: None
    assert complete_backups(storage) <= {first}
    assert again(server, storage, names) == 4


def test_no_pack_takes_the_name_of_another(server, storage, names):
    server.backup(names[:2])
    pack = min(packs_in(storage))
    storage.delete(sidecar_key(pack))
    with pytest.raises(PackNameTaken):
        server.backup(names[:2])
    assert again(server, storage, names[:2]) == 2


# === THINNING === #


def test_thin_pack_is_stored_anew(server, storage):
    server.terms = Terms(pack_files=100, rewrite_part=1)
    names = [server.write(b"a" * 1000 + bytes([n])) for n in range(10)]
    server.backup(names)
    assert again(server, storage, names[:6]) == 0
    assert again(server, storage, names[:4]) == 4
    assert again(server, storage, names[:4]) == 0


def test_thousands_of_packs_can_be_described(server, storage):
    """As many of which a part is wanted as ``Terms`` lets a backup have, and thousands
    of whole ones; more are refused."""
    key, _packed = server.backup([server.write(b"x")])
    about = json.loads(storage.objects[sidecar_key(key)][0])
    for name in ("archive", "packs", "signature"):
        del about[name]
    digest, bits = "ab" * 32, b"\x55" * (Terms().pack_files // 8)

    def described(partly, whole):
        uses = [
            PackUse(
                f"0f5bd1f6-files-{number:024x}.zip", 1 << 28, digest, digest, wanted
            )
            for number, wanted in enumerate([bits] * partly + [None] * whole)
        ]
        return sidecar_of(Manifest(about), key, 1, digest, packs=uses)

    partly = Terms().bitmap_bytes // len(bits)
    found = parse_sidecar(described(partly, 5000), sidecar_key(key))
    assert len(found.packs) == partly + 5000
    assert found.packs[0].wanted == bits
    with pytest.raises(TooManyPacks):
        described(2 * partly, 0)


def test_backup_never_wants_parts_of_more_packs_than_it_can_say(server, storage):
    """Of others it stores the files anew, whatever thinning may cost."""
    server.terms = replace(server.terms, bitmap_bytes=1, rewrite_part=0.0)
    names = sorted(server.write(b"content %d" % number * 20) for number in range(12))
    server.backup(names)
    left = [name for number, name in enumerate(names) if number % 4]
    storage.pass_time(days=1)
    key, packed = server.backup(left)
    partly = [use for use in packed.uses if use.wanted]
    assert sum(len(use.wanted) for use in partly) == 1
    assert packed.new_files == 6
    assert restored(storage, key) == expected(server, left)


def test_thinning_has_a_limit(server, storage):
    server.terms = Terms(pack_files=10)
    names = [server.write(b"a" * 1000 + bytes([n])) for n in range(100)]
    names.sort()
    server.backup(names)
    wanted = [name for number, name in enumerate(names) if number % 10 < 4]
    counts = [again(server, storage, wanted) for _night in range(8)]
    assert counts[0] == 8  # two packs of ten: a tenth of 100 files would be 10
    assert sum(counts) >= 32
    assert counts[-1] == 0


def test_many_small_packs_become_one(server, storage):
    server.terms = Terms(rewrite_part=1, most_small=3)
    names = []
    for number in range(4):
        names.append(server.write(b"a" * (number + 1)))
        assert again(server, storage, names) == 1
    names.append(server.write(b"b"))
    assert again(server, storage, names) == 5
    assert again(server, storage, names) == 0


def test_rewriting_leaves_packs_as_they_would_be_made_today(server, storage):
    server.terms = Terms(pack_files=10)
    names = sorted(server.write(b"a" * 1000 + bytes([n])) for n in range(40))
    first, _packed = server.backup(names)
    left = [name for number, name in enumerate(names) if number < 20 or number % 10]
    assert again(server, storage, left) == 0  # none of them is thin
    before = packs_in(storage)
    server.terms = replace(REWRITE, pack_files=10, small_bytes=0)
    assert again(server, storage, left) == 18  # of the two packs that lack one each
    made = packs_in(storage) - before
    assert len(made) == 2
    server.terms = Terms(pack_files=10)
    storage.pass_time(days=1)
    key, packed = server.backup(left)
    assert packed.new_files == 0
    assert made <= {use.key for use in packed.uses}  # and not the old ones again
    assert all(use.wanted is None for use in packed.uses)
    for backup, files in ((first, names), (key, left)):
        assert restored(storage, backup) == expected(server, files)


def test_rewriting_makes_one_pack_of_small_ones(server, storage):
    names = []
    for number in range(3):
        names.append(server.write(b"a" * (number + 1)))
        assert again(server, storage, names) == 1
    server.terms = REWRITE
    assert again(server, storage, names) == 3
    assert again(server, storage, names) == 0


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_rewriting_keeps_what_only_a_pack_has(server, storage, how):
    """Nobody can store it anew, and the backup needs it."""
    server.terms = Terms(pack_files=20)
    names = sorted(server.write(b"a" * 1000 + bytes([n])) for n in range(10))
    server.backup(names)
    lost, content = names[3], (server.root / names[3]).read_bytes()
    if how == "missing":
        (server.root / lost).unlink()
    else:
        (server.root / lost).write_bytes(content[:10])
    server.terms = replace(REWRITE, small_bytes=0)
    storage.pass_time(days=1)
    key, packed = server.backup(names[:9])
    assert packed.new_files == 8
    assert packed.report.missing_count + packed.report.damaged_count == 1
    (server.root / lost).write_bytes(content)
    assert restored(storage, key) == expected(server, names[:9])


# === READING === #


def read_all(backup):
    return [b"".join(pieces) for _entry, pieces in backup.contents()]


def test_lost_and_damaged_packs_are_seen(server, storage, names):
    key, _packed = server.backup(names)
    sidecar = read_sidecar(storage, sidecar_key(key))
    known = Catalogued.from_sidecar(sidecar)
    assert compare_stored(storage, key, known, Progress()) == sidecar
    pack = max(packs_in(storage))
    data, modified = storage.objects[pack]
    storage.objects[pack] = data[:60] + b"?" + data[61:], modified
    with pytest.raises(Mismatch):
        open_backup(storage, sidecar).check(Progress())
    with pytest.raises(EngineError):
        read_all(open_backup(storage, sidecar))
    storage.delete(pack)
    with pytest.raises(PackMissing):
        open_backup(storage, sidecar)
    with pytest.raises(PackMissing):
        compare_stored(storage, key, known, Progress())
    assert complete_backups(storage) == set()
    (found,) = scan(storage, Progress())
    assert isinstance(found.problem, PackMissing)


def test_scan_passes_over_packs(server, storage, names):
    key, _packed = server.backup(names)
    storage.delete(sidecar_key(min(packs_in(storage))))
    assert [found.key for found in scan(storage, Progress())] == [key]
    (found,) = scan(storage, Progress())
    with pytest.raises(NotIncremental):
        open_backup(storage, found.sidecar)


@pytest.mark.parametrize("change", ["fewer", "all", "pack gone"])
def test_sidecar_cannot_take_files_away(server, storage, names, change):
    """Not even one that is rightly signed: the archive says what there must be."""
    server.backup(names)
    storage.pass_time(days=1)
    key, _packed = server.backup(names[1:])
    content = json.loads(storage.objects[sidecar_key(key)][0])
    part = next(pack for pack in content["packs"] if pack["wanted"] != "all")
    if change == "pack gone":
        content["packs"].remove(part)
    else:
        part["wanted"] = "AQ==" if change == "fewer" else "all"
    content.pop("signature")
    storage.put_bytes(encode(server.owner.sign(content)), sidecar_key(key))
    sidecar = read_sidecar(storage, sidecar_key(key))
    with pytest.raises(AttachmentsDiffer):
        open_backup(storage, sidecar).check(Progress())


# === COMPLETE ZIPS === #


def exported(storage, key, target, identities=None):
    sidecar = read_sidecar(storage, sidecar_key(key))
    backup = open_backup(storage, sidecar, identities)
    return export(backup, target, Progress())


@pytest.mark.parametrize("encrypted", [False, True])
def test_export_is_a_complete_backup(server, storage, names, tmp_path, encrypted):
    identities = None
    if encrypted:
        server.encryption, identities = encryption()
    large = server.write(b"y" * (ROOM + 1))
    path_of(server, names[3]).write_bytes(b"other")
    key, _packed = server.backup([*names, large])
    target = tmp_path / "full.zip"
    manifest = exported(storage, key, target, identities)
    assert [path.name for path in tmp_path.glob("full*")] == ["full.zip"]
    subprocess.run(["unzip", "-tqq", target], check=True)
    with open_archive(target) as archive:
        assert archive.check(Progress()) == len(names) + 2
        assert archive.manifest == manifest
        assert (manifest.format, manifest.trouble) == (1, {"damaged": 1})
        assert b"".join(archive.sql()).startswith(b"--")
        extract_filestore(archive, tmp_path / "out", Progress())
    for name in [*names, large]:
        assert (tmp_path / "out" / name).read_bytes() == path_of(
            server, name
        ).read_bytes()


def test_export_is_not_what_somebody_else_writes_meanwhile(
    server, storage, names, tmp_path
):
    key, _packed = server.backup(names)
    target = tmp_path / "full.zip"
    backup = open_backup(storage, read_sidecar(storage, sidecar_key(key)))

    class Disturbed(Progress):
        def advance(self, count):
            (tmp_path / "full.zip.part").write_bytes(b"of somebody else")
            super().advance(count)

    export(backup, target, Disturbed())
    with open_archive(target) as archive:
        assert archive.check(Progress()) == len(names) + 1  # and the dump


def test_failed_export_leaves_nothing(server, storage, names, tmp_path):
    key, _packed = server.backup(names)
    pack = max(packs_in(storage))
    data, modified = storage.objects[pack]
    storage.objects[pack] = data[:60] + b"?" + data[61:], modified
    with pytest.raises(EngineError):
        exported(storage, key, tmp_path / "full.zip")
    assert list(tmp_path.glob("full*")) == []


def test_export_is_known_before_and_each_time_the_same(server, storage, names):
    key, _packed = server.backup(names)
    sidecar = read_sidecar(storage, sidecar_key(key))
    first, second = (CompleteZip(open_backup(storage, sidecar)) for _time in range(2))
    whole = b"".join(first.pieces())
    assert (len(whole), first.size) == (second.size, second.size)
    assert whole == b"".join(second.pieces()) == b"".join(first.pieces())


def test_export_opens_one_pack_at_a_time(server, storage, names):
    key, _packed = server.backup(names)
    sidecar = read_sidecar(storage, sidecar_key(key))
    assert sum(map(len, CompleteZip(open_backup(storage, sidecar)).pieces()))
    assert storage.most_open == 1


def test_export_overwrites_nothing(server, storage, names, tmp_path):
    key, _packed = server.backup(names)
    target = tmp_path / "full.zip"
    target.write_bytes(b"precious")
    with pytest.raises(TargetExists):
        exported(storage, key, target)
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.glob("full*")) == [target]


def killed_export(storage, key, target):
    """Export in a process that is killed as soon as it has written something."""
    child = os.fork()
    if not child:
        progress = Progress(lambda _progress: os.kill(os.getpid(), signal.SIGKILL))
        progress._next_report = 0
        sidecar = read_sidecar(storage, sidecar_key(key))
        try:
            export(open_backup(storage, sidecar), target, progress)
        finally:
            os._exit(1)
    _child, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_killed_export_leaves_nothing_in_the_clear(server, storage, names, tmp_path):
    key, _packed = server.backup(names)
    killed_export(storage, key, tmp_path / "full.zip")
    assert list(tmp_path.glob("full*")) == []


def test_export_where_no_file_is_without_a_name(
    server, storage, names, tmp_path, monkeypatch
):
    monkeypatch.delattr(os, "O_TMPFILE")
    key, _packed = server.backup(names)
    killed_export(storage, key, tmp_path / "full.zip")
    assert [path.name for path in tmp_path.glob("full*")] == ["full.zip.part"]
    exported(storage, key, tmp_path / "full.zip")
    assert [path.name for path in tmp_path.glob("full*")] == ["full.zip"]


def test_what_a_killed_export_has_left_is_replaced(server, storage, names, tmp_path):
    key, _packed = server.backup(names)
    (tmp_path / "full.zip.part").write_bytes(b"x" * 100_000)
    exported(storage, key, tmp_path / "full.zip")
    subprocess.run(["unzip", "-tqq", tmp_path / "full.zip"], check=True)
    assert not (tmp_path / "full.zip.part").exists()


def test_export_is_cancelled(server, storage, names, tmp_path):
    key, _packed = server.backup(names)

    def cancel(_progress):
        raise Cancelled

    progress = Progress(cancel)
    progress._next_report = 0
    sidecar = read_sidecar(storage, sidecar_key(key))
    with pytest.raises(Cancelled):
        export(open_backup(storage, sidecar), tmp_path / "full.zip", progress)
    assert list(tmp_path.glob("full*")) == []


def test_archive_alone_is_refused(server, storage, names, tmp_path):
    key, _packed = server.backup(names)
    path = tmp_path / key
    path.write_bytes(storage.objects[key][0])
    with open_archive(path) as archive, pytest.raises(ExportFirst):
        archive.sql().__next__()
    with pytest.raises(ExportFirst):
        look_at(path, key, storage.now)
