"""SIGKILL of the runner at every checkpoint that there is, in backups, restores and
drills."""

import os
import shutil
import time

import pytest
from checkpoint_names import checkpoints
from far import LARGE, add_bucket, encrypt
from instances import made_instance
from lab import DRILL, REQUEST, RESTORE, Fault, Lab
from s3_servers import moto

from dfr_backup.engine.packs.names import condemned_key, prefix_of

BACKUP = [
    "step.initialize.begin",
    "postgres.snapshot.exported",
    "step.initialize.end",
    "step.dump_database.begin",
    "archive.member.begin",
    "process.spawn.before",
    "process.spawn.after",
    "postgres.dump.first_bytes",
    "archive.member.written",
    "archive.journal.written",
    "step.dump_database.end",
    "step.archive_files.begin",
    "filestore.large.begin",
    "step.archive_files.end",
    "step.compress.begin",
    "archive.checksums.written",
    "archive.directory.written",
    "archive.fsync",
    "archive.finalized",
    "archive.recorded",
    "archive.renamed",
    "step.compress.end",
    "step.upload.begin",
    "storage.put.written",
    "storage.rename.before",
    "storage.rename.after",
    "storage.manifest.before",
    "step.upload.end",
    "step.verify.begin",
    "step.verify.end",
    "step.cleanup.begin",
    "step.cleanup.end",
]
FAR = [  # encrypted, into a local storage and a bucket
    "archive.finalized",
    "encryption.written",
    "archive.recorded",
    "archive.renamed",
    "storage.put.begun",
    "storage.put.part",
    "storage.put.complete.before",
    "storage.put.complete.after",
    "storage.put.written",
    "storage.manifest.before",
    "step.verify.begin",
    "step.cleanup.begin",
]
PACKED = [  # incremental, into a local storage and a bucket; the n-th time
    ("step.archive_files.begin", 1),
    ("storage.put.written", 1),
    ("packs.pack.stored", 1),
    ("packs.sidecar.stored", 1),
    ("packs.packed", 1),
    ("step.archive_files.end", 1),
    ("archive.recorded", 1),
    ("storage.manifest.before", 1),
    ("packs.listed", 1),
    ("packs.named", 1),
    ("storage.put.part", 1),
    ("storage.put.complete.before", 1),
    ("packs.pack.stored", 2),
    ("packs.sidecar.stored", 2),
    ("storage.manifest.before", 2),
    ("packs.listed", 2),
    ("packs.named", 2),
    ("step.verify.begin", 2),
]
LOAD = [  # of a copy, in a restore and in a drill
    "step.fetch.begin",
    "step.fetch.end",
    "step.check.begin",
    "step.check.end",
    "step.create_database.begin",
    "restore.marker.written",
    "restore.database.created",
    "step.create_database.end",
    "step.load.begin",
    "restore.load.rows",
    "restore.load.indexes",
    "restore.load.foreign_keys",
    "restore.load.end",
    "step.load.end",
    "step.filestore.begin",
    "restore.filestore.begin",
    "restore.filestore.end",
    "step.filestore.end",
    "step.compare.begin",
    "step.compare.end",
]
PUBLISH = [
    "step.finish.begin",
    "restore.finished",
    "restore.publish.before",
    "restore.publish.previous_files",
    "restore.publish.files",
    "restore.publish.after",
    "step.finish.end",
]
PROVE = [
    "step.boot.begin",
    "step.boot.end",
    "step.drop.begin",
    "restore.undo.dropped",
    "step.drop.end",
]
ELSEWHERE = {  # by tests of their own below
    "archive.rollback": "test_killed_while_a_failed_dump_is_rolled_back",
    "storage.delete": "test_killed_while_old_copies_are_deleted",
    "storage.put.abort": "test_killed_while_a_cancelled_upload_is_undone",
    "fetch.piece": "test_killed_while_a_copy_is_fetched",
    "step.scan.begin": "test_killed_in_a_scan",
    "step.scan.end": "test_killed_in_a_scan",
    # no cell replaces a staging copy: tests/engine/test_restore_staging.py; the command
    # that replaces a database: tests/engine/test_restore_database.py
    "restore.put_back.fenced": "",
    "restore.put_back.renamed": "",
    # no cell puts attachments back: tests/engine/test_sources_filestore_repair.py
    "step.repair.begin": "",
    "step.repair.end": "",
    "repair.written": "",
    "repair.published": "",
    # nor imports, nor unpacks addons: dfr_backup/tests/test_backup_import.py
    "upload.piece": "",
    "import.recorded": "",
    "step.addons.begin": "",
    "step.addons.end": "",
    # a command, without a run: tests/engine/test_packs.py
    "export.written": "",
    "step.prune.begin": "test_killed_in_a_prune",
    "step.prune.end": "test_killed_in_a_prune",
    "packs.condemned": "test_killed_in_a_prune",
    # no cell lets two days pass: tests/engine/test_run_prune.py
    "packs.deleted": "",
    # nor a month: tests/engine/test_packs_nightly.py
    "packs.read": "",
}
SHORT = {
    "backup": {
        "postgres.dump.first_bytes",
        "archive.journal.written",
        "archive.recorded",
    },
    "far": {"storage.put.complete.before"},
    "packed": {("packs.pack.stored", 1), ("packs.named", 2)},
    "restore": {"restore.publish.files"},
    "drill": {"restore.load.rows"},
}
KEEP_TWO = {
    "retention": "custom",
    **dict.fromkeys(["keep_hourly", "keep_daily", "keep_weekly", "keep_monthly"], 0),
    "keep_last": 2,
    "keep_minimum": 2,
    "keep_within_days": 2,
}
PRUNE = 'result = env["backup.storage"].search([]).action_prune()["res_id"]'
LARGER = LARGE.replace("12", "20")
SCAN = 'result = env["backup.storage"].search([]).action_scan()["res_id"]'


def instants(names, scenario):
    short = SHORT[scenario]
    return [
        pytest.param(n, marks=pytest.mark.short) if n in short else n for n in names
    ]


@pytest.mark.short
def test_every_checkpoint_has_a_cell():
    packed = {name for name, _nth in PACKED}
    cells = {*BACKUP, *FAR, *packed, *LOAD, *PUBLISH, *PROVE, *ELSEWHERE}
    assert cells == checkpoints()
    tests = {name for name in ELSEWHERE.values() if name}
    assert tests <= set(globals())


@pytest.fixture(scope="module")
def far(template, tmp_path_factory):
    """A lab that encrypts, and stores into a bucket as well."""
    folder = tmp_path_factory.mktemp("s3")
    with (
        moto(folder) as server,
        made_instance(template, tmp_path_factory.mktemp("far"), "far") as instance,
        Lab(instance) as made,
    ):
        made.driver.do(LARGE)
        add_bucket(made, server.url)
        encrypt(made)
        yield made


@pytest.fixture(scope="module")
def packed(template, tmp_path_factory):
    """A lab whose plan is incremental, and stores into a bucket as well."""
    folder = tmp_path_factory.mktemp("s3")
    with (
        moto(folder) as server,
        made_instance(template, tmp_path_factory.mktemp("packed"), "packed") as made,
        Lab(made) as lab,
    ):
        add_bucket(lab, server.url)
        lab.write("backup.plan", {"incremental": True})
        lab.check(lab.run())
        yield lab


@pytest.fixture(scope="module")
def stored(lab):
    """A backup from which the restores of this module are made."""
    outcome = lab.run()
    assert outcome.state == "success"
    return outcome


@pytest.mark.parametrize("instant", instants(BACKUP, "backup"))
def test_backup(lab, tmp_path, cell, instant):
    outcome = lab.run(Fault(tmp_path, "kill", instant))
    cell("kill -9", instant, outcome)
    assert outcome.state == "success"
    lab.check(outcome)


@pytest.mark.parametrize("instant", instants(FAR, "far"))
def test_encrypted_backup_into_a_bucket(far, tmp_path, cell, instant):
    outcome = far.run(Fault(tmp_path, "kill", instant))
    cell("kill -9, encrypted, S3", instant, outcome)
    assert outcome.state == "success"
    far.check(outcome)


@pytest.mark.parametrize("instant", instants(PACKED, "packed"), ids=str)
def test_incremental_backup(packed, tmp_path, cell, instant):
    packed.driver.do(LARGER)  # a pack of several parts
    name, nth = instant
    outcome = packed.run(Fault(tmp_path, "kill", name, nth=nth))
    cell("kill -9, incremental", f"{name}, {nth}.", outcome)
    assert outcome.state == "success", outcome.errors
    (copies,) = packed.sql(
        "SELECT count(*) FROM backup_copy WHERE incremental AND job_id = %s",
        outcome.number,
    )
    assert copies == (2,)
    packed.check(outcome)


@pytest.mark.parametrize("instant", instants([*LOAD, *PROVE], "drill"))
def test_drill(lab, stored, tmp_path, cell, instant):
    outcome = lab.run(Fault(tmp_path, "kill", instant), DRILL.format(count=1))
    cell("kill -9 of a drill", instant, outcome)
    assert outcome.state == "success"
    lab.check(outcome)


@pytest.mark.parametrize("instant", instants([*LOAD, *PUBLISH], "restore"))
def test_restore(lab, stored, tmp_path, cell, instant):
    copy = f"{lab.instance.database}_copy"
    try:
        outcome = lab.run(
            Fault(tmp_path, "kill", instant), RESTORE.format(count=1, name=copy)
        )
        cell("kill -9 of a restore", instant, outcome)
        assert outcome.state == "success", outcome.errors
        lab.check(outcome)
        jobs = "SELECT count(*) FROM backup_job WHERE state = 'running'"
        assert lab.instance.sql(jobs, database=copy) == [(0,)]
    finally:
        lab.drop(copy)


def test_killed_while_a_failed_dump_is_rolled_back(lab, tmp_path, cell):
    lab.instance.superuser("CREATE TABLE secret_table (id int)")
    try:
        outcome = lab.run(Fault(tmp_path, "kill", "archive.rollback"))
    finally:
        lab.instance.superuser("DROP TABLE secret_table")
    cell("kill -9", "archive.rollback", outcome)
    assert outcome.state == "partial"
    assert outcome.steps["dump_database"] == "failure"
    lab.check(outcome)


@pytest.mark.parametrize("nth", [1, 2])
def test_killed_while_old_copies_are_deleted(lab, stored, tmp_path, cell, nth):
    """Once before the manifest goes, once between it and the archive."""
    lab.run()
    lab.sql(
        "UPDATE backup_copy SET date = date - interval '400 days' WHERE state = "
        "'verified'"
    )
    lab.run()
    lab.write("backup.plan", KEEP_TWO)
    outcome = lab.run(Fault(tmp_path, "kill", "storage.delete", nth=nth))
    lab.write("backup.plan", {"retention": "none"})
    assert any("key" in values for values in outcome.noted["cleanup"])
    cell("kill -9", f"storage.delete, {nth}.", outcome)
    assert outcome.state == "success"
    lab.check(outcome)
    states = "SELECT key, state FROM backup_copy WHERE state IN ('stored', 'verified')"
    assert {key for key, _state in lab.sql(states)} == {
        path.name for path in lab.instance.storage.glob("*.zip")
    }


@pytest.mark.parametrize("instant", ["storage.put.part", "storage.put.abort"])
def test_killed_while_a_cancelled_upload_is_undone(far, tmp_path, cell, instant):
    fault = Fault(tmp_path, "wait_then_kill", "storage.put.part", argument=instant)
    number = far.start(REQUEST, fault)
    fault.await_it()
    far.driver.do(f'env["backup.job"].browse({number}).action_cancel()')
    time.sleep(1)  # so often a step looks whether it is cancelled
    fault.go_on()
    outcome = far.settle(number)
    cell("cancel, then kill -9", instant, outcome)
    assert outcome.state == "cancelled"
    assert outcome.attempt == 2, "it was not killed"
    far.check(outcome)


def test_killed_while_a_copy_is_fetched(far, tmp_path, cell):
    far.check(far.run())
    code = (
        'copy = env["backup.copy"].search([("state", "=", "verified"),'
        ' ("storage_id.provider", "=", "s3")], limit=1)\n'
        'result = copy._request_drill("manual").id'
    )
    outcome = far.run(Fault(tmp_path, "kill", "fetch.piece"), code)
    cell("kill -9 of a drill", "fetch.piece", outcome)
    assert outcome.state == "success", outcome.errors
    far.check(outcome)


@pytest.mark.parametrize("often", ["before", "between"])
def test_archive_is_deleted_around_an_upload(far, tmp_path, cell, often):
    """Before the first storage has it the run begins again; later what is stored
    stays."""
    fault = Fault(
        tmp_path, "wait", "step.upload.begin", nth=1 if often == "before" else 2
    )
    outcome = far.run(fault, meanwhile=lambda: shutil.rmtree(far.instance.work))
    cell("archive deleted", f"{often} two uploads", outcome)
    assert outcome.state == ("success" if often == "before" else "partial"), (
        outcome.errors
    )
    if often == "between":
        assert outcome.codes["upload"] == "STORAGE-02"
    far.check(outcome)


@pytest.mark.parametrize("instant", ["step.scan.begin", "step.scan.end"])
def test_killed_in_a_scan(lab, stored, tmp_path, cell, instant):
    outcome = lab.run(Fault(tmp_path, "kill", instant), SCAN)
    cell("kill -9 of a scan", instant, outcome)
    assert outcome.state == "success"
    lab.check(outcome)


@pytest.mark.parametrize(
    "instant", ["step.prune.begin", "packs.condemned", "step.prune.end"]
)
def test_killed_in_a_prune(packed, tmp_path, cell, instant):
    """What a kill has left of a pack, days ago, is condemned all the same, and what
    backups need is not."""
    query = "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
    ((uuid,),) = packed.sql(query)
    left = packed.instance.storage / f"{prefix_of(uuid)}-files-{Fault.count:024x}.zip"
    left.write_bytes(b"PK")
    os.utime(left, (time.time() - 3 * 86400,) * 2)
    outcome = packed.run(Fault(tmp_path, "kill", instant), PRUNE)
    cell("kill -9 of a prune", instant, outcome)
    assert outcome.state == "success", outcome.errors
    condemned = left.with_name(condemned_key(left.name))
    assert [*left.parent.glob("*.condemned")] == [condemned]
    for path in (left, condemned):
        path.unlink()
    packed.check(packed.run())


@pytest.mark.parametrize(
    "scenario, instant",
    [
        ("lab", "postgres.dump.first_bytes"),
        ("lab", "archive.finalized"),
        ("lab", "storage.rename.before"),
        ("far", "storage.put.complete.before"),
    ],
)
def test_killed_always(request, tmp_path, cell, scenario, instant):
    made = request.getfixturevalue(scenario)
    outcome = made.run(Fault(tmp_path, "kill_always", instant))
    cell("kill -9, every time", instant, outcome)
    assert (outcome.state, outcome.code) == ("failure", "RUN-01")
    assert outcome.attempt >= 3
    made.check(outcome)
    made.check(made.run())
