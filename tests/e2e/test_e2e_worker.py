"""``odoo backup worker``: a process in the foreground that starts waiting runs."""

import os
import signal
import subprocess

from conftest import DEV, _ordinary
from waits import Hold, until

REQUEST = """
env["backup.plan"].search([], limit=1).action_run_now()
env.cr.commit()
"""


def start_worker(instance, fault=None):
    log = open(instance.folder / "worker.log", "ab")  # noqa: SIM115
    return subprocess.Popen(
        _ordinary([DEV / "bin/odoo", "backup", "worker"]),
        env=instance.environ(fault),
        stdout=log,
        stderr=log,
    )


def test_a_worker_takes_a_run_is_stopped_and_another_finishes_it(instance, tmp_path):
    instance.write_conf(dfr_backup_spawn="False")
    instance.shell(REQUEST)
    assert instance.sql("SELECT state, spawn_count FROM backup_job") == [
        ("pending", None)
    ]
    hold = Hold(tmp_path, "step.archive_files.begin")
    first = start_worker(instance, hold.fault)
    try:
        hold.await_it()
        [(pid,)] = instance.sql("SELECT pid FROM backup_job")
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
        until(lambda: not os.path.exists(f"/proc/{pid}"), seconds=60)
        second = start_worker(instance)
        try:
            done = "SELECT state, attempt FROM backup_job WHERE date_end IS NOT NULL"
            assert until(lambda: instance.sql(done)) == [("success", 2)]
        finally:
            second.terminate()
            assert second.wait(60) == 0
    finally:
        first.kill()
    assert instance.leftovers() == []
