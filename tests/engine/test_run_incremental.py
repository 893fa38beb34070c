"""Whole incremental backups without Odoo: with the PostgreSQL that the environment
names (PGHOST…), and storages that are directories."""

import hashlib
import json
import shutil
import zipfile
from datetime import datetime, timedelta, timezone

import memory_context
import pytest
from memory_context import Killed, MemoryContext
from run_fixtures import FILES, raising, run_sql

from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.files import (
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.errors.local import DirectoryMissing, NoPermission
from dfr_backup.engine.errors.packs import (
    AttachmentsGone,
    KeepsEverything,
    KeysChanged,
    PackMissing,
)
from dfr_backup.engine.errors.storage import LockRefused
from dfr_backup.engine.manifest.names import (
    CLOSING,
    FILESTORE,
    INCREMENTAL_DUMP,
    INDEX,
    sidecar_key,
)
from dfr_backup.engine.packs.maker import PUTTING
from dfr_backup.engine.packs.names import condemned_key
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.packing import Packing
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.readings import DAY, Readings
from dfr_backup.engine.packs.readings import FILE as READINGS
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import Reservations
from dfr_backup.engine.storages.base import Lock
from dfr_backup.engine.storages.local.storage import LocalStorage


@pytest.fixture
def incremental(backup):
    backup.plan.incremental = True
    return backup


def another(before, storages):
    """Return the context of the next backup of the same database."""
    context = MemoryContext("backup", before.folder, before.name_of_database)
    context.plan.incremental = before.plan.incremental
    context.packs.by = before.packs.by
    context.job.plan(storages)
    return context


def add_file(context, content, number=7):
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    path = path_of(context, content)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    row = "INSERT INTO ir_attachment VALUES (%s, %s, %s, %s, 'm', 'n', 'binary')"
    values = number, f"{digest[:2]}/{digest}", digest, len(content)
    run_sql(context.name_of_database, row, *values)


def path_of(context, content):
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return context.files.filestore_path() / digest[:2] / digest


def restored(storage, job, identities=None):
    """Return the members of a stored backup but for those about others, all of it
    read and compared."""
    target = storage._get_storage()
    sidecar = read_sidecar(target, sidecar_key(job.archive_name))
    backup = open_backup(target, sidecar, identities)
    backup.check(Progress())
    found = {}
    for entry, pieces in backup.contents():
        content = b"".join(pieces)
        if entry.name not in CLOSING:
            assert entry.name not in found
            found[entry.name] = content
    return found


def is_whole(storage, job, files=FILES, identities=None):
    members = restored(storage, job, identities)
    assert members.pop(INCREMENTAL_DUMP).startswith(b"--")
    members.pop(INDEX)
    return sorted(members.values()) == sorted(files)


def packs_of(storage):
    return {path.name for path in storage.folder.glob("*-files-*.zip*")}


def reset(job):
    for step in job._uploads_missing():
        step._reset()
    job._step("cleanup")._reset()
    job.attempt = 0


def is_nowhere(storage, job):
    """Tell whether a storage has no sidecar of a run: it has no backup then."""
    return not (storage.folder / sidecar_key(job.archive_name)).exists()


def test_attachments_are_stored_once(incremental, storages):
    job = incremental.job
    assert job.perform() == "success", [(s.kind, s.error) for s in job.step_ids]
    assert all(is_whole(storage, job) for storage in storages)
    assert [copy.state for copy in job.copy_ids] == ["verified", "verified"]
    assert all(copy.new_size > 0 for copy in job.copy_ids)
    assert not incremental.files.work_path().exists()
    before = [packs_of(storage) for storage in storages]
    add_file(incremental, b"new" * 300)
    second = another(incremental, storages)
    assert second.job.perform() == "success", second.job.states
    files = [*FILES, b"new" * 300]
    for storage, known in zip(storages, before, strict=True):
        assert is_whole(storage, second.job, files)
        assert is_whole(storage, job)
        (new,) = packs_of(storage) - known
        assert (storage.folder / new).stat().st_size < 1000
        assert known <= packs_of(storage)
    assert all(0 < copy.new_size < 1000 for copy in second.job.copy_ids)


def test_a_repeated_run_stores_no_pack(incremental, storages):
    assert incremental.job.perform() == "success"
    before = packs_of(storages[0])
    second = another(incremental, storages)
    assert second.job.perform() == "success"
    assert packs_of(storages[0]) == before
    assert [copy.new_size for copy in second.job.copy_ids] == [0, 0]
    assert is_whole(storages[0], second.job)


def test_what_is_in_the_way_makes_it_complete(incremental, storages):
    incremental.packs.in_the_way = KeepsEverything(storage="S1")
    job = incremental.job
    assert job.perform() == "success"
    assert job._step("initialize").state == "warning"
    assert not job.run_state.incremental
    assert not packs_of(storages[0])
    assert (storages[0].folder / job.archive_name).exists()


def test_a_run_ends_as_it_began(incremental, storages):
    job = incremental.job
    incremental.at["dump_database"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    incremental.at.clear()
    incremental.plan.incremental = False
    assert job.perform() == "success"
    assert is_whole(storages[0], job)
    last = another(incremental, storages)
    assert last.job.perform() == "success"
    sidecar = storages[0].folder / sidecar_key(last.job.archive_name)
    assert json.loads(sidecar.read_text())["dfr_backup"]["format"] == 1


# === KILLED, CANCELLED === #


@pytest.mark.parametrize(
    "killed", ["dump_database", "archive_files", "compress", "upload", "verify"]
)
def test_a_killed_backup_goes_on(incremental, storages, killed):
    job = incremental.job
    incremental.at[killed] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    done = [step for step in job.step_ids if step.state == "success"]
    starts = [step.date_start for step in done]
    incremental.at.clear()
    assert job.perform() == "success", job.states
    assert [step.date_start for step in done] == starts
    assert all(is_whole(storage, job) for storage in storages)
    assert len(packs_of(storages[0])) == 1


def test_a_cancelled_backup_leaves_packs_and_no_backup(incremental, storages):
    incremental.at["verify"] = raising(Cancelled())
    job = incremental.job
    assert job.perform() == "cancelled"
    assert not incremental.files.work_path().exists()
    assert all(is_nowhere(storage, job) for storage in storages)
    before = packs_of(storages[0])
    assert before
    second = another(incremental, storages)
    assert second.job.perform() == "success"
    assert packs_of(storages[0]) == before


# === SEVERAL STORAGES === #


@pytest.mark.parametrize("broken", [0, 1])
def test_a_storage_that_fails_stops_no_other(incremental, storages, broken):
    job, other = incremental.job, storages[1 - broken]
    storages[broken].broken = DirectoryMissing(folder="/gone")
    assert job.perform() == "partial", job.states
    assert job._step("archive_files")._is_good()
    assert job._step("upload", storages[broken]).error.code == DirectoryMissing.code
    assert is_whole(other, job)
    storages[broken].broken = None
    reset(job)
    assert job.perform() == "success", job.states
    assert is_whole(storages[broken], job)
    assert not incremental.files.work_path().exists()


def test_a_retry_takes_what_is_lost_from_another_storage(incremental, storages):
    job = incremental.job
    storages[1].broken = DirectoryMissing(folder="/gone")
    assert job.perform() == "partial"
    storages[1].broken = None
    path_of(incremental, FILES[0]).unlink()  # collected as garbage meanwhile
    path_of(incremental, FILES[1]).write_bytes(bytes(len(FILES[1])))
    reset(job)
    assert job.perform() == "success", job.states
    assert is_whole(storages[1], job)
    assert not incremental.files.work_path().exists()


def test_a_retry_stores_nothing_with_a_gap(incremental, storages):
    job = incremental.job
    storages[1].broken = DirectoryMissing(folder="/gone")
    assert job.perform() == "partial"
    storages[1].broken = None
    for name in packs_of(storages[0]):
        (storages[0].folder / name).write_bytes(b"rot")
    path_of(incremental, FILES[0]).unlink()
    reset(job)
    assert job.perform() == "partial"
    assert job._step("upload", storages[1]).error.code == AttachmentsGone.code
    assert is_nowhere(storages[1], job)
    path_of(incremental, FILES[0]).write_bytes(FILES[0])
    reset(job)
    assert job.perform() == "success"
    assert is_whole(storages[1], job)


def test_a_storage_that_has_a_lost_file_keeps_it(incremental, storages):
    assert incremental.job.perform() == "success"
    path_of(incremental, FILES[0]).unlink()
    second = another(incremental, storages)
    assert second.job.perform() == "success"
    assert second.job._step("archive_files").state == "warning"
    assert second.job.run_state.filestore["missing"] == 1
    assert all(is_whole(storage, second.job) for storage in storages)


def test_a_damaged_file_is_in_the_archive_alone(incremental, storages):
    path_of(incremental, FILES[0]).write_bytes(b"rot")
    job = incremental.job
    assert job.perform() == "success"
    assert job.run_state.filestore["damaged"] == 1
    assert all(is_whole(at, job, [b"rot", FILES[1]]) for at in storages)


def test_a_storage_that_has_what_another_lacks_decides_nothing(incremental, storages):
    """The first storage has lost its packs, and the filestore one of the files: the
    second could give it, but both have the same backup."""
    assert incremental.job.perform() == "success"
    path_of(incremental, FILES[0]).unlink()
    for path in storages[0].folder.iterdir():
        path.unlink()
    second = another(incremental, storages)
    assert second.job.perform() == "success"
    assert all(is_whole(at, second.job, FILES[1:]) for at in storages)


# === WHAT IS STORED, LOST === #


def test_a_pack_that_goes_before_the_sidecar_is_stored_again(incremental, storages):
    job, (first, _second) = incremental.job, storages

    def lose():
        for name in packs_of(first):
            (first.folder / name).unlink()
        incremental.at.clear()

    incremental.at["compress"] = lose
    assert job.perform() == "success", job.states
    assert is_whole(first, job)


def test_a_condemned_pack_is_stored_again(incremental, storages):
    job, (first, _second) = incremental.job, storages

    def condemn():
        for name in packs_of(first):
            (first.folder / condemned_key(name)).touch()
        incremental.at.clear()

    incremental.at["compress"] = condemn
    assert job.perform() == "success", job.states
    assert is_whole(first, job)
    named = read_sidecar(first._get_storage(), sidecar_key(job.archive_name)).packs
    assert not any((first.folder / condemned_key(use.key)).exists() for use in named)


def test_a_pack_that_is_lost_fails_the_verification(incremental, storages):
    job, (first, _second) = incremental.job, storages

    def lose():
        for name in packs_of(first):
            (first.folder / name).unlink()
        incremental.at.clear()

    incremental.at["verify"] = lose
    assert job.perform() == "partial", job.states
    assert job._step("verify", first).error.code == PackMissing.code
    assert is_nowhere(first, job)
    reset(job)
    assert job.perform() == "success", job.states
    assert is_whole(first, job)


def test_a_refused_lock_fails_its_storage_and_is_noted(
    incremental, storages, monkeypatch
):
    def refuse(self, key, lock):
        raise LockRefused(key=key, location=self.location(""), problem="")

    lock = Lock(datetime.now(timezone.utc) + timedelta(days=1))
    monkeypatch.setattr(LocalStorage, "new_lock", lambda self, periods=1.0: lock)
    monkeypatch.setattr(LocalStorage, "extend_lock", refuse)
    job = incremental.job
    assert job.perform() == "failure", job.states
    assert {step.error.code for step in job.step_ids if step.error} == {
        LockRefused.code
    }
    assert incremental.packs.lock_refused == set(storages)
    assert all(is_nowhere(storage, job) for storage in storages)


def test_a_storage_that_may_not_be_listed_gets_complete_backups(
    incremental, storages, monkeypatch
):
    def refuse(self):
        raise NoPermission(doing="", folder=self.folder(), user="")

    monkeypatch.setattr(LocalStorage, "_entries", refuse)
    job = incremental.job
    job.perform()
    assert incremental.packs.not_listed == set(storages)
    assert not job.run_state.incremental
    assert job._step("archive_files").state == "success", job.states
    for storage in storages:
        with zipfile.ZipFile(storage.folder / job.archive_name) as archive:
            names = [n for n in archive.namelist() if n.startswith(FILESTORE)]
            assert sorted(map(archive.read, names)) == sorted(FILES)


def test_a_storage_that_is_broken_is_not_one_that_may_not_be_listed(
    incremental, storages
):
    storages[0].broken = DirectoryMissing(folder="/gone")
    assert incremental.job.perform() == "partial"
    assert not incremental.packs.not_listed
    assert incremental.job.run_state.incremental


def test_packs_are_rewritten_once(incremental, storages):
    """By the run that has stored its backup; one that fails leaves it to the next."""
    assert incremental.job.perform() == "success"
    before = [packs_of(storage) for storage in storages]
    run_sql(incremental.name_of_database, "DELETE FROM ir_attachment WHERE id = 0")
    second = another(incremental, storages)
    second.packs.rewriting = set(storages)
    storages[1].broken = DirectoryMissing(folder="/gone")
    assert second.job.perform() == "partial"
    assert second.packs.rewriting == {storages[1]}
    storages[1].broken = None
    reset(second.job)
    assert second.job.perform() == "success"
    assert second.packs.rewriting == set()
    third = another(incremental, storages)
    assert third.job.perform() == "success"
    assert [copy.new_size for copy in third.job.copy_ids] == [0, 0]
    for job in (second.job, third.job):
        for storage, known in zip(storages, before, strict=True):
            sidecar = sidecar_key(job.archive_name)
            used = read_sidecar(storage._get_storage(), sidecar).packs
            assert {use.key for use in used}.isdisjoint(known)
            assert all(use.wanted is None for use in used)
            assert is_whole(storage, job, FILES[1:])


def test_what_is_asked_meanwhile_is_left_to_the_next_run(
    incremental, storages, monkeypatch
):
    assert incremental.job.perform() == "success"
    second, pack = another(incremental, storages), Packing.pack

    def pack_and_ask(*arguments):
        packed = pack(*arguments)
        monkeypatch.undo()
        second.packs.rewriting = set(storages)
        return packed

    monkeypatch.setattr(Packing, "pack", pack_and_ask)
    assert second.job.perform() == "success", second.job.states
    assert second.packs.rewriting == {storages[0]}  # the other one was packed later


def test_a_lost_index_costs_nothing(incremental, storages):
    assert incremental.job.perform() == "success"
    before = packs_of(storages[0])
    shutil.rmtree(incremental.folder / "packs")
    second = another(incremental, storages)
    assert second.job.perform() == "success"
    assert packs_of(storages[0]) == before


# === ENCRYPTED === #


def keys():
    made = generate_key()
    encryption = PackEncryption.for_recipients(parse_recipients(made.public))
    return encryption, parse_identities(made.private)


def test_packs_are_encrypted(incremental, storages):
    encryption, identities = keys()
    incremental.packs.by = encryption
    incremental.plan.encryption_key = lambda: encryption.key
    job = incremental.job
    assert job.perform() == "success", job.states
    assert all(name.endswith(".age") for name in packs_of(storages[0]))
    assert all(is_whole(at, job, identities=identities) for at in storages)


def test_packs_have_the_keys_of_their_archive(incremental, storages):
    job = incremental.job
    storages[1].broken = DirectoryMissing(folder="/gone")
    assert job.perform() == "partial"
    storages[1].broken = None
    incremental.packs.by, _identities = keys()
    reset(job)
    assert job.perform() == "partial"
    assert job._step("upload", storages[1]).error.code == KeysChanged.code
    assert is_nowhere(storages[1], job)


# === SPACE === #


def test_only_what_is_new_needs_space(incremental, storages):
    """In the working directory the dump and one pack; in a storage what it lacks."""
    other, seen = Reservations(Folder(incremental.slots), "another run"), []
    incremental.packs.new_bytes = lambda storage, files: 1000 * storage.id
    incremental.at["dump_database"] = lambda: seen.append(list(other._of_others()))
    assert incremental.job.perform() == "success", incremental.job.states
    work, first, first_new, second, second_new = [need for _disk, need in seen[0]]
    files = sum(map(len, FILES))
    assert work.folder == incremental.files.work_path()
    assert work.bytes == second.bytes + files  # all of them fit into one pack
    assert (first.folder, first.bytes) == (storages[0].folder, 0)  # it is linked
    assert (first_new.folder, first_new.bytes) == (storages[0].folder, 1000)
    assert (second_new.folder, second_new.bytes) == (storages[1].folder, 2000)


def test_an_interrupted_pack_is_removed(incremental, storages):
    """One that was stored and not described, by a process that was killed."""
    job, (first, _second) = incremental.job, storages
    incremental.at["compress"] = raising(Killed())
    with pytest.raises(Killed):
        job.perform()
    (pack,) = packs_of(first)
    (first.folder / sidecar_key(pack)).unlink()
    partial = first.folder / f"{pack}.part"
    partial.touch()
    folder = incremental.files.work_path() / f"packs-{first.id}/0"
    folder.mkdir(parents=True)
    (folder / PUTTING).write_text(pack)
    assert job.run().needs_last_runner()
    job._step("archive_files")._reset()
    incremental.at.clear()
    assert job.perform() == "success", job.states
    assert is_whole(first, job)
    assert not partial.exists()
    # one of the same files and the same second has the same name
    for left in packs_of(first):
        assert (first.folder / sidecar_key(left)).exists()


def test_the_database_is_stored_without_a_filestore(incremental):
    shutil.rmtree(incremental.files.filestore_path())
    job = incremental.job
    assert job.perform() == "partial"
    assert {copy.state for copy in job.copy_ids} == {"verified"}
    for storage in job._storages():
        members = restored(storage, job)
        assert INCREMENTAL_DUMP in members


# === WHAT IS READ EACH NIGHT === #


def forget_readings(context, storages):
    """Let nobody know any more what was read when."""
    for storage in storages:
        (context.packs.index(storage) / READINGS).unlink()


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_pack_is_found_and_its_files_are_stored_again(incremental, storages):
    """By the run that finds it: its own backup needs no damaged pack in the end."""
    assert incremental.job.perform() == "success"
    (bad,) = packs_of(storages[0])
    damage(storages[0].folder / bad)
    forget_readings(incremental, storages)
    second = another(incremental, storages)
    assert second.job.perform() == "success", second.job.states
    step = second.job._step("verify", storages[0])
    assert [step.state, second.job._step("verify", storages[1]).state] == [
        "warning",
        "success",
    ]
    assert second.catalogue.bad_packs == [bad]
    assert (storages[0].folder / condemned_key(bad)).exists()
    assert [copy.state for copy in second.job.copy_ids] == ["verified", "verified"]
    assert all(is_whole(storage, second.job) for storage in storages)
    sidecar = read_sidecar(
        storages[0]._get_storage(), sidecar_key(second.job.archive_name)
    )
    assert bad not in {use.key for use in sidecar.packs}


def test_a_damaged_pack_of_a_lost_key_is_told_and_stored_again(
    incremental, storages, monkeypatch
):
    """The server that has signed its description is lost with its key."""
    one = storages[:1]
    incremental.job.plan(one)
    assert incremental.job.perform() == "success"
    (bad,) = packs_of(one[0])
    damage(one[0].folder / bad)
    forget_readings(incremental, one)
    monkeypatch.setattr(memory_context, "SERVER_KEY", Key(bytes(32)))
    second = another(incremental, one)
    assert second.job.perform() == "success", second.job.states
    assert second.catalogue.bad_packs == [bad]
    assert (one[0].folder / condemned_key(bad)).exists()
    assert is_whole(one[0], second.job)
    assert bad not in needed_by(second, one[0])


def test_a_damaged_pack_that_cannot_be_condemned_is_told(
    incremental, storages, monkeypatch
):
    """And no backup uses it again: what is remembered of it is forgotten."""
    one = storages[:1]
    incremental.job.plan(one)
    assert incremental.job.perform() == "success"
    (bad,) = packs_of(one[0])
    damage(one[0].folder / bad)
    forget_readings(incremental, one)
    monkeypatch.setattr(memory_context, "SERVER_KEY", Key(bytes(32)))
    (one[0].folder / condemned_key(bad)).mkdir()
    second = another(incremental, one)
    second.job.perform()
    assert second.catalogue.bad_packs == [bad]
    (one[0].folder / condemned_key(bad)).rmdir()
    third = another(incremental, one)
    assert third.job.perform() == "success", third.job.states
    assert is_whole(one[0], third.job)
    assert bad not in needed_by(third, one[0])


def needed_by(context, storage):
    beside = sidecar_key(context.job.archive_name)
    return {use.key for use in read_sidecar(storage._get_storage(), beside).packs}


def test_what_cannot_be_stored_again_fails_the_verification(incremental, storages):
    """The filestore has lost a file meanwhile that only the damaged pack had."""
    one = storages[:1]
    incremental.job.plan(one)
    assert incremental.job.perform() == "success"
    (bad,) = packs_of(one[0])
    damage(one[0].folder / bad)
    forget_readings(incremental, one)
    path_of(incremental, FILES[0]).unlink()
    second = another(incremental, one)
    assert second.job.perform() == "failure"
    assert isinstance(second.job._step("verify").error, AttachmentsGone)
    assert second.catalogue.bad_packs == [bad]


def test_a_storage_that_fails_in_the_night_is_a_warning(incremental, storages):
    assert incremental.job.perform() == "success"
    forget_readings(incremental, storages)
    (
        storages[0].folder / next(iter(packs_of(storages[0]))).replace(".zip", ".json")
    ).write_bytes(b"{}")
    second = another(incremental, storages)
    assert second.job.perform() == "success", second.job.states
    assert second.job._step("verify", storages[0]).state == "warning"
    assert [copy.state for copy in second.job.copy_ids] == ["verified", "verified"]


def test_a_pack_that_stays_unread_is_told(incremental, storages):
    """Not at once: the next night may be able to read it."""
    one = storages[:1]
    incremental.job.plan(one)
    assert incremental.job.perform() == "success"
    forget_readings(incremental, one)
    (bad,) = packs_of(one[0])
    (one[0].folder / sidecar_key(bad)).write_bytes(b"{}")
    second = another(incremental, one)
    assert second.job.perform() == "success", second.job.states
    assert not hasattr(second.catalogue, "unread_packs")
    readings = Readings.of(second.packs.index(one[0]))
    readings.packs_at -= DAY
    readings.save()
    third = another(incremental, one)
    assert third.job.perform() == "success", third.job.states
    assert third.catalogue.unread_packs == 1
    assert third.job._step("verify").state == "warning"


def test_the_next_run_of_the_day_reads_no_pack(incremental, storages):
    assert incremental.job.perform() == "success"
    forget_readings(incremental, storages)
    assert another(incremental, storages).job.perform() == "success"
    (pack,) = packs_of(storages[0])
    damage(storages[0].folder / pack)
    third = another(incremental, storages)
    assert third.job.perform() == "success"
    assert third.job._step("verify", storages[0]).state == "success"


def test_a_damaged_file_of_the_filestore_is_found(incremental, storages):
    assert incremental.job.perform() == "success"
    path = path_of(incremental, FILES[0])
    damage(path)
    second = another(incremental, storages)
    second.plan.damaged = {f"{path.parent.name}/{path.name}"}
    assert second.job.perform() == "success"
    assert second.job._step("archive_files").state == "warning"
    assert second.job.run_state.filestore["damaged"] == 1
    assert all(is_whole(storage, second.job) for storage in storages)


def test_all_of_the_filestore_is_read_in_a_month(incremental, storages):
    assert incremental.job.perform() == "success"
    for content in FILES:
        damage(path_of(incremental, content))
    found = 0
    for _night in range(30):
        readings = Readings.of(incremental.packs.index(storages[0]))
        readings.files_at -= DAY
        readings.save()
        following = another(incremental, storages)
        assert following.job.perform() == "success"
        found += following.job.run_state.filestore["damaged"]
    assert found == len(FILES)
