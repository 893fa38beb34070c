"""A whole restore test without Odoo: with the PostgreSQL that the environment names
(PGHOST…)."""

from run_fixtures import databases, restore_of


def test_a_restore_test_looks_at_each_copy_and_leaves_nothing(stored, tmp_path, source):
    context, made = restore_of(stored, tmp_path, source, kind="drill"), []
    context.restores.boot = lambda database, progress: made.append(database)
    state = context.job.perform()
    assert state == "success", [s.error for s in context.job.step_ids]
    assert context.restores.tested == stored
    assert len(made) == len(stored)
    assert not databases() & set(made)


def test_a_restore_test_goes_on_after_a_copy_that_fails(stored, tmp_path, source):
    first, second = stored
    (first.storage_id.folder / first.key).unlink()
    context = restore_of([first, second], tmp_path, source, kind="drill")
    assert context.job.perform() == "failure"
    assert context.restores.tested == [second]
