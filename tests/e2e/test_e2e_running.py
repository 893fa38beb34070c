"""What happens around a run: cancel, a second request, a busy database, a restored
copy."""

import subprocess
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import DEV, _ordinary, drop_database
from waits import Hold, until

from dfr_backup.engine.progress import REPORT_INTERVAL

# writes, deletes and collects while the run stands still, and until it has ended
WRITERS = """
import pathlib, time
end = time.time() + 300
n = 0
Attachment = env["ir.attachment"]
going_on = [("state", "in", ("pending", "running"))]
while time.time() < end and env["backup.job"].search_count(going_on):
    n += 1
    raw = f"busy {n} {time.time()}".encode() * 50
    Attachment.create({"name": f"busy-{n}", "raw": raw})
    Attachment.search([("name", "=like", "%.bin")], limit=3).unlink()
    env.cr.commit()
    Attachment._gc_file_store()
    env.cr.commit()
    env.invalidate_all()
    if n == 12:
        pathlib.Path({go_on!r}).touch()
print("ROUNDS", n)
Attachment._gc_file_store()
env.cr.commit()
"""
# the dump's watch has seen twice that the upgrade waits, with more than the patience
# between
SEEN = """
SELECT 1 FROM pg_stat_activity watch, pg_stat_activity upgrade
 WHERE watch.datname = current_database() AND upgrade.datname = current_database()
   AND watch.application_name = 'dfr_backup watch' AND watch.state = 'idle'
   AND starts_with(upgrade.query, 'ALTER TABLE') AND upgrade.wait_event_type = 'Lock'
   AND watch.query_start > upgrade.query_start + interval '5 seconds'
"""


def start(instance, *args, fault=None, text=None):
    return subprocess.Popen(
        _ordinary([DEV / "bin/odoo", *args]),
        env=instance.environ(fault),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.release
def test_a_busy_database_still_restores_complete(instance, restore, tmp_path):
    hold = Hold(tmp_path, "step.archive_files.begin")
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=hold.fault
    )
    until(lambda: instance.sql("SELECT 1 FROM backup_job"))
    busy = start(instance, "shell", "-d", instance.database, "--no-http")
    code = WRITERS.replace("{go_on!r}", repr(str(hold.go_on)))
    output, errors = busy.communicate(code, timeout=400)
    rounds = int(output.split("ROUNDS ")[1].split()[0])
    assert rounds > 10, errors
    assert hold.reached, "the run was over before anybody was busy"
    backup.communicate(timeout=300)
    assert backup.returncode == 0
    # the collector did its work again once the run was over
    assert not list((instance.filestore / "checklist").glob("*/*"))
    (archive,) = instance.storage.glob("*.zip")
    restore(instance, archive)


def test_cancel_in_the_middle_leaves_nothing(instance, tmp_path):
    hold = Hold(tmp_path, "postgres.dump.first_bytes")
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=hold.fault
    )
    hold.await_it()
    instance.shell("env['backup.job'].search([]).action_cancel(); env.cr.commit()")
    time.sleep(REPORT_INTERVAL)  # so often a run asks whether it is cancelled
    hold.let_go()
    until(lambda: instance.sql("SELECT 1 FROM backup_job WHERE state = 'cancelled'"))
    # at once, and not when the dump was done
    states = dict(instance.sql("SELECT kind, state FROM backup_step"))
    assert (states["initialize"], states["dump_database"]) == ("success", "skipped")
    backup.communicate(timeout=300)
    assert backup.returncode == 1
    assert instance.leftovers() == []
    assert instance.stored(instance.storage) == []


@pytest.mark.release
def test_requests_while_running_make_one_waiting_run(instance, tmp_path):
    hold = Hold(tmp_path, "step.compress.begin")
    with instance.serve(env=instance.environ(hold.fault)):
        plan = instance.rpc("backup.plan", "search", [])
        jobs = [instance.rpc("backup.plan", "action_run_now", plan)["res_id"]]
        until(lambda: instance.sql("SELECT 1 FROM backup_job WHERE state = 'running'"))
        jobs += [
            instance.rpc("backup.plan", "action_run_now", plan)["res_id"]
            for _ in range(3)
        ]
        assert len(set(jobs)) == 2
        states = instance.sql("SELECT state FROM backup_job ORDER BY id")
        assert states == [("running",), ("pending",)]
        hold.let_go()
        assert instance.await_job(jobs[0]) == "success"
        assert instance.await_job(jobs[-1]) == "success"
    assert instance.leftovers() == []


@pytest.mark.release
def test_a_restored_copy_closes_the_run_that_it_was_saved_in(instance):
    run = instance.backup()
    with zipfile.ZipFile(run.archive) as archive:
        dump = archive.read("dump.sql").decode()
    assert "\trunning\t" in dump  # the run was going on when it was saved
    copy = f"{instance.database}_c"
    done = instance.odoo("db", "load", copy, str(run.archive))
    assert done.returncode == 0, done.stderr
    try:
        code = "env['backup.plan']._cron_supervise(); env.cr.commit()"
        done = instance.odoo("shell", "-d", copy, "--no-http", text=code)
        assert instance.sql("SELECT state FROM backup_job", database=copy) == [
            ("cancelled",)
        ]
        assert len(instance.stored(instance.storage)) == 2
    finally:
        drop_database(copy)


@pytest.mark.release
def test_the_dump_gives_way_to_an_upgrade_and_is_tried_again(instance, tmp_path):
    instance.sql("UPDATE backup_plan SET patience = 1")
    hold = Hold(tmp_path, "postgres.dump.first_bytes")
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=hold.fault
    )
    hold.await_it()
    with ThreadPoolExecutor(1) as another, hold:
        # waits for pg_dump's lock
        column = "ALTER TABLE res_partner ADD COLUMN upgraded int"
        upgrade = another.submit(instance.sql, column)
        until(lambda: instance.sql(SEEN))
        hold.let_go()
        upgrade.result(300)
    until(lambda: instance.sql("SELECT 1 FROM backup_job WHERE state = 'pending'"))
    query = "SELECT error_code, error, not_before FROM backup_job"
    ((code, error, not_before),) = instance.sql(query)
    assert code == "DUMP-09"
    assert "res_partner" in error
    assert not_before
    instance.sql("UPDATE backup_job SET not_before = now() AT TIME ZONE 'UTC'")
    backup.communicate(timeout=300)
    assert backup.returncode == 0
    assert instance.sql("SELECT state, attempt, error FROM backup_job") == [
        ("success", 2, None)
    ]
    (log,) = instance.sql("SELECT log FROM backup_step WHERE kind = 'dump_database'")[0]
    assert "res_partner" in log
    assert instance.leftovers() == []


def test_two_servers_on_one_database_run_it_once(instance, tmp_path):
    instance.sql("UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC'")
    code = "env['backup.plan']._cron_supervise(); env.cr.commit()"
    nodes = [
        start(instance, "shell", "-d", instance.database, "--no-http") for _ in range(3)
    ]
    for node in nodes:
        node.stdin.write(code)
        node.stdin.close()
    for node in nodes:
        node.wait(300)
        node.stdout.close()
        node.stderr.close()
    ((job,),) = instance.sql("SELECT id FROM backup_job")
    assert instance.await_job(job) == "success"
