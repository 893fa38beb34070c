"""What happens around a run: cancel, a second request, a busy database, a restored
copy."""

import subprocess
import time
import zipfile

from conftest import DEV, _ordinary, drop_database

WRITERS = """
import time
end = time.time() + 60
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
print("ROUNDS", n)
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


def until(condition, timeout=60):
    for _ in range(timeout * 10):
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def test_a_busy_database_still_restores_complete(instance, restore, tmp_path):
    fault = f"pause:step.archive_files.begin:{tmp_path}/marker:6"
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=fault
    )
    until(lambda: instance.sql("SELECT 1 FROM backup_job"))
    busy = start(instance, "shell", "-d", instance.database, "--no-http")
    output, errors = busy.communicate(WRITERS, timeout=120)
    rounds = int(output.split("ROUNDS ")[1].split()[0])
    assert rounds > 10, errors
    backup.communicate(timeout=120)
    assert backup.returncode == 0
    (archive,) = instance.storage.glob("*.zip")
    restore(instance, archive)
    # the collector did its work again once the run was over
    instance.shell("env['ir.attachment']._gc_file_store(); env.cr.commit()")
    assert not list((instance.filestore / "checklist").glob("*/*"))


def test_cancel_in_the_middle_leaves_nothing(instance, tmp_path):
    marker, pause = tmp_path / "marker", 12  # a shell takes some seconds to start
    fault = f"pause:postgres.dump.first_bytes:{marker}:{pause}"
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=fault
    )
    until(marker.exists)  # the step begins some time before pg_dump's first bytes
    instance.shell("env['backup.job'].search([]).action_cancel(); env.cr.commit()")
    asked = max(time.time(), marker.stat().st_mtime + pause)
    until(lambda: instance.sql("SELECT 1 FROM backup_job WHERE state = 'cancelled'"))
    assert time.time() - asked < 8
    backup.communicate(timeout=60)
    assert backup.returncode == 1
    assert instance.leftovers() == []
    assert instance.stored(instance.storage) == []


def test_requests_while_running_make_one_waiting_run(instance, tmp_path):
    with instance.serve(
        env=instance.environ(f"pause:step.compress.begin:{tmp_path}/m:8")
    ):
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
        assert instance.await_job(jobs[0]) == "success"
        assert instance.await_job(jobs[-1], timeout=150) == "success"
    assert instance.leftovers() == []


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


def test_the_dump_gives_way_to_an_upgrade_and_is_tried_again(instance, tmp_path):
    instance.sql("UPDATE backup_plan SET patience = 1")
    fault = f"pause:postgres.dump.first_bytes:{tmp_path}/marker:8"
    backup = start(
        instance, "backup", "run", "-d", instance.database, "--json", fault=fault
    )
    until((tmp_path / "marker").exists)
    asked = time.monotonic()
    instance.sql(
        "ALTER TABLE res_partner ADD COLUMN upgraded int"
    )  # waits for pg_dump's lock
    assert time.monotonic() - asked < 20
    until(lambda: instance.sql("SELECT 1 FROM backup_job WHERE state = 'pending'"))
    query = "SELECT error_code, error, not_before FROM backup_job"
    ((code, error, not_before),) = instance.sql(query)
    assert code == "DUMP-09"
    assert "res_partner" in error
    assert not_before
    instance.sql("UPDATE backup_job SET not_before = now() AT TIME ZONE 'UTC'")
    backup.communicate(timeout=120)
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
        node.wait(60)
        node.stdout.close()
        node.stderr.close()
    ((job,),) = instance.sql("SELECT id FROM backup_job")
    assert instance.await_job(job) == "success"
