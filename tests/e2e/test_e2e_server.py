"""The button on a real server, in the ways in which servers are really run."""

import os
from pathlib import Path

import pytest
from conftest import RpcError
from waits import Hold

NICENESS = 10
MODES = {
    "threaded": ([], {}),
    "prefork": (["--workers", "2"], {}),
    "no database list": (["--no-database-list"], {}),
    "proxy": (["--proxy-mode"], {}),
}


def press(instance):
    plan = instance.rpc("backup.plan", "search", [])
    return instance.rpc("backup.plan", "action_run_now", plan)["res_id"]


@pytest.mark.parametrize("mode", MODES)
def test_button(instance, mode):
    arguments, changes = MODES[mode]
    instance.write_conf(**changes)
    with instance.serve(*arguments):
        job = press(instance)
        assert instance.await_job(job) == "success"
    assert instance.leftovers() == []


@pytest.mark.release
def test_runner_outlives_its_server(instance, tmp_path):
    hold = Hold(tmp_path, "step.archive_files.begin")
    with instance.serve("--workers", "2", env=instance.environ(hold.fault)):
        job = press(instance)
        hold.await_it()
        [(pid,)] = instance.sql("SELECT pid FROM backup_job")
        assert_steps_back(pid)
    hold.let_go()
    assert instance.await_job(job) == "success"
    assert instance.sql("SELECT attempt FROM backup_job") == [(1,)]


def assert_steps_back(pid):
    """Whoever wants the processor gets it before the runner does."""
    assert os.getpriority(os.PRIO_PROCESS, pid) == NICENESS
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        assert group.read_text().split()[-1] == str(NICENESS)


def test_schedule_runs_by_the_servers_own_cron(instance):
    instance.sql(
        "UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC' - interval '3 days'"
    )
    instance.sql(
        "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' - interval '1 minute'"
        " FROM ir_model_data d WHERE d.res_id = ir_cron.id AND d.name = "
        "'ir_cron_supervise'"
    )
    with instance.serve():
        jobs = instance.until_cron(lambda: instance.sql("SELECT id FROM backup_job"))
        assert len(jobs) == 1  # one, for three missed days
        assert instance.await_job(jobs[0][0]) == "success"
    assert instance.sql("SELECT trigger FROM backup_job") == [("schedule",)]


@pytest.mark.release
@pytest.mark.parametrize("how", ["command line", "environment"])
def test_options_that_stand_in_no_file(instance, how, tmp_path):
    """The runner has the server's effective configuration, wherever it came from."""
    names = ("addons_path", "data_dir", "db_host", "db_port", "db_user", "db_password")
    given = {name: instance.options[name] for name in names}
    instance.write_conf(**dict.fromkeys(names))
    env, arguments = instance.environ(), []
    if how == "command line":
        arguments = [
            f"--{name.replace('data_dir', 'data-dir')}={given[name]}" for name in given
        ]
        arguments = [a.replace("--addons_path", "--addons-path") for a in arguments]
    else:
        variables = {"db_host": "PGHOST", "db_port": "PGPORT", "db_user": "PGUSER"}
        variables["db_password"] = "PGPASSWORD"
        for name, value in given.items():
            env[variables.get(name, f"ODOO_{name.upper()}")] = value
    instance.options.update(given)  # for this test's own look at the database
    with instance.serve(*arguments, env=env):
        job = press(instance)
        assert instance.await_job(job) == "success"
        log = (instance.data / "dfr_backup/log").glob("*.log")
        assert given["db_password"] not in "".join(path.read_text() for path in log)


def test_password_is_on_no_command_line(instance, tmp_path):
    password = instance.options["db_password"]
    hold = Hold(tmp_path, "postgres.dump.first_bytes")
    with instance.serve(env=instance.environ(hold.fault)):
        job = press(instance)
        hold.await_it()
        lines = []
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as stream:
                    lines.append(stream.read().decode(errors="replace"))
            except OSError:
                continue
        mine = [
            line for line in lines if instance.database in line or "pg_dump" in line
        ]
        assert any("runner" in line for line in mine)
        assert not [line for line in lines if password in line]
        hold.let_go()
        assert instance.await_job(job) == "success"


def test_nothing_over_rpc_without_a_group(instance):
    with instance.serve():
        instance.rpc(
            "res.users",
            "create",
            {"name": "E", "login": "employee", "password": "employee-1"},
        )
        for model in ("plan", "storage", "job", "step", "copy"):
            with pytest.raises(RpcError) as refusal:
                instance.rpc(
                    f"backup.{model}",
                    "search_read",
                    [],
                    login="employee",
                    password="employee-1",
                )
            assert refusal.value.name == "AccessError"
        for method in (
            "action_run_now",
            "action_cancel",
            "action_retry",
        ):  # also on no record
            with pytest.raises(RpcError) as refusal:
                instance.rpc(
                    "backup.job", method, [], login="employee", password="employee-1"
                )
            assert refusal.value.name == "AccessError"
