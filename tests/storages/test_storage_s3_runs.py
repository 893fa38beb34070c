"""Whole backups of a run without Odoo, in buckets whose keys may not do everything."""

import zipfile
from dataclasses import dataclass
from typing import Any

import memory_context
import pytest
from memory_context import MemoryContext
from run_fixtures import FILES
from test_storage_s3 import restricted

from dfr_backup.engine.manifest.names import FILESTORE, sidecar_key

pytest_plugins = ["run_fixtures"]


@dataclass(eq=False)
class Bucket(memory_context.Storage):
    target: Any = None

    def _get_storage(self):
        return self.target

    _get_own_storage = _get_storage


@pytest.fixture
def context(tmp_path, source):
    context = MemoryContext("backup", tmp_path, source)
    context.plan.incremental = True
    return context


def attachments_of(storage, job, folder):
    """Return what a stored archive holds of the filestore."""
    path = folder / "archive.zip"
    with storage.open(job.archive_name) as stream:
        path.write_bytes(stream.read())
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.startswith(FILESTORE)]
        return sorted(archive.read(name) for name in names)


def test_bucket_that_may_not_be_listed_gets_complete_backups(
    rgw_server, context, tmp_path
):
    target = restricted(rgw_server, "PutObject", "GetObject", "DeleteObject")
    storage = Bucket(1, "Bucket", None, target=target)
    job = context.job.plan([storage])
    job.perform()
    states = dict(job.states)
    assert states["archive_files"] == states["upload"] == states["verify"] == "success"
    assert states["initialize"] == "warning"
    assert not job.run_state.incremental
    assert context.packs.not_listed == {storage}
    assert attachments_of(target, job, tmp_path) == sorted(FILES)
    assert target.stat(sidecar_key(job.archive_name)).size


def test_bucket_that_may_be_listed_gets_packs(rgw_server, context):
    target = restricted(
        rgw_server, "PutObject", "GetObject", "DeleteObject", "ListBucket"
    )
    job = context.job.plan([Bucket(1, "Bucket", None, target=target)])
    assert job.perform() == "success", job.states
    assert job.run_state.incremental
    assert not context.packs.not_listed
