"""Whole runs that prune, without Odoo, over what whole backups have stored."""

import os
import time
from datetime import datetime, timezone

import pytest
from memory_context import Killed, MemoryContext
from test_run_incremental import another, is_whole, packs_of

from dfr_backup.engine.errors.packs import CopyNotListed, KeepsEverything
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.packs import prune as engine_prune
from dfr_backup.engine.packs.names import condemned_key
from dfr_backup.engine.packs.needed import KnownCopy
from dfr_backup.engine.storages.base import Lock
from dfr_backup.engine.storages.local.storage import LocalStorage

DAY = 86400


@pytest.fixture
def incremental(backup):
    backup.plan.incremental = True
    return backup


@pytest.fixture
def storage(storages):
    return storages[0]


def backed_up(context, storage):
    """Store a backup; return its run."""
    run = another(context, [storage])
    assert run.job.perform() == "success"
    return run.job


def prune(context, storage, *jobs):
    """Prune; ``jobs`` are the backups that the catalogue knows."""
    run = MemoryContext("prune", context.folder, context.name_of_database)
    run.packs.known_copies = [
        KnownCopy(job.archive_name, int(job.archive_size), verified=True)
        for job in jobs
    ]
    run.job.plan([storage])
    return run


def age(storage, days):
    """Let all that is stored be so much older."""
    then = time.time() - days * DAY
    for path in storage.folder.iterdir():
        os.utime(path, (then, then))


@pytest.fixture
def unneeded(incremental, storage):
    """A backup was stored, long ago, and forgotten: return its packs."""
    job = backed_up(incremental, storage)
    packs = packs_of(storage)
    for key in (sidecar_key(job.archive_name), job.archive_name):
        (storage.folder / key).unlink()
    age(storage, days=3)
    assert packs
    return packs


def test_what_no_backup_needs_is_condemned_then_deleted(incremental, storage, unneeded):
    first = prune(incremental, storage)
    assert first.job.perform() == "success"
    left = first.packs.unneeded[storage.id]
    assert {pack.key for pack in left} == unneeded
    assert all((storage.folder / condemned_key(key)).exists() for key in unneeded)
    age(storage, days=3)
    jobs = [backed_up(incremental, storage) for _night in range(2)]
    second = prune(incremental, storage, *jobs)
    assert second.job.perform() == "success"
    assert second.packs.unneeded == {storage.id: []}
    assert packs_of(storage)
    assert not packs_of(storage) & unneeded
    assert not list(storage.folder.glob("*.condemned"))
    assert all(is_whole(storage, job) for job in jobs)


@pytest.mark.parametrize("point", ["packs.condemned", "packs.deleted"])
def test_killed_run_goes_on(incremental, storage, unneeded, point, monkeypatch):
    if point == "packs.deleted":
        assert prune(incremental, storage).job.perform() == "success"
        age(storage, days=3)
    nights = 2 if point == "packs.deleted" else 0  # a backup would need them again
    jobs = [backed_up(incremental, storage) for _night in range(nights)]
    run = prune(incremental, storage, *jobs)

    def kill(name):
        if name == point:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(engine_prune, "checkpoint", kill)
        with pytest.raises(Killed):
            run.job.perform()
    assert run.job.perform() == "success"
    assert all(is_whole(storage, job) for job in jobs)
    if point == "packs.deleted":
        assert not packs_of(storage) & unneeded
    else:
        assert all((storage.folder / condemned_key(key)).exists() for key in unneeded)


def test_what_is_locked_is_left_and_said(incremental, storage, unneeded, monkeypatch):
    assert prune(incremental, storage).job.perform() == "success"
    age(storage, days=3)
    jobs = [backed_up(incremental, storage) for _night in range(2)]
    lock = Lock(datetime(2999, 12, 31, 23, 59, tzinfo=timezone.utc))
    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "lock_of", lambda self, key: lock)
        run = prune(incremental, storage, *jobs)
        assert run.job.perform() == "success"
    assert {pack.key for pack in run.packs.unneeded[storage.id]} == unneeded
    assert unneeded <= packs_of(storage)
    (step,) = run.job.step_ids
    assert "2999-12-31 23:59" in str(step.log)
    run = prune(incremental, storage, *jobs)
    assert run.job.perform() == "success"
    assert not packs_of(storage) & unneeded
    assert "2999" not in str(run.job.step_ids.log)


def test_backup_that_is_not_listed_stops_it(incremental, storage, unneeded):
    job = backed_up(incremental, storage)
    (storage.folder / sidecar_key(job.archive_name)).unlink()
    before = {path.name for path in storage.folder.iterdir()}
    run = prune(incremental, storage, job)
    assert run.job.perform() == "failure"
    (step,) = run.job.step_ids
    assert isinstance(step.error, CopyNotListed)
    assert {path.name for path in storage.folder.iterdir()} == before
    assert run.catalogue.listings  # what is lost is noted as that


def test_storage_that_keeps_everything_says_so(incremental, storage, unneeded):
    run = prune(incremental, storage)
    run.packs.in_the_way = KeepsEverything(storage=storage.name)
    assert run.job.perform() == "failure"
    (step,) = run.job.step_ids
    assert isinstance(step.error, KeepsEverything)
    assert packs_of(storage) == unneeded
