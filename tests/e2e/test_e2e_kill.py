"""A runner killed with SIGKILL in the middle of each step: resumed, or closed, and
no trace."""

import subprocess
import zipfile

import pytest

# for each change; tests/faults kill at every instant
ALWAYS = ("archive.journal.written", "storage.put.written")
# at least one instant inside every step, and the borders where something is half done
INSTANTS = [
    "postgres.snapshot.exported",  # initialize
    "postgres.dump.first_bytes",  # dump database
    "archive.member.written",
    "step.archive_files.begin",
    "archive.journal.written",
    "filestore.large.begin",
    "archive.checksums.written",  # compress
    "archive.finalized",
    "archive.recorded",
    "archive.renamed",
    "storage.put.written",  # upload
    "storage.rename.after",
    "storage.manifest.before",
    "step.verify.begin",
    "step.cleanup.begin",
    "step.cleanup.end",
]


@pytest.mark.parametrize(
    "instant",
    [
        name if name in ALWAYS else pytest.param(name, marks=pytest.mark.release)
        for name in INSTANTS
    ],
)
def test_killed_once_goes_on(instance, tmp_path, instant):
    run = instance.backup(fault=f"kill:{instant}:{tmp_path}/marker")
    assert (tmp_path / "marker").exists(), "the instant was never reached"
    assert run.state == "success"
    assert instance.sql("SELECT attempt FROM backup_job") == [(2,)]
    with zipfile.ZipFile(run.archive) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        archive.extractall(tmp_path / "x")
    assert len(names) == len(set(names))
    assert "dump.sql" in names
    in_list = run.manifest["dfr_backup"]["attachments"]["files"]
    assert sum(name.startswith("filestore/") for name in names) == in_list
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "x", check=True
    )
    assert len(instance.stored(instance.storage)) == 2  # one archive and its manifest
    assert instance.leftovers() == []


@pytest.mark.release
def test_killed_always_is_closed_after_three_attempts(instance):
    run = instance.backup(fault="kill-always:postgres.dump.first_bytes:-")
    assert (run.state, run.status) == ("failure", 1)
    assert run.report["job"]["error_code"] == "RUN-01"
    assert run.by_kind["dump_database"]["error_code"] == "RUN-01"
    assert instance.sql("SELECT attempt FROM backup_job") == [(3,)]
    assert run.states["dump_database"] == "failure"
    assert instance.leftovers() == []
    assert instance.stored(instance.storage) == []
    assert instance.backup().state == "success"  # the next run is not in its way
