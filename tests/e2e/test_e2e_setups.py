"""The set-ups of ``examples/``, walked through as docs/containers.rst says: its own
commands, with the files of the examples. What stands for the container's engine is in
containers.py, for the image's entry point in entry_point.py."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Instance, copy_database, drop_database
from containers import (
    EXAMPLES,
    PAGE,
    Compose,
    Host,
    Kubernetes,
    block,
    faulty,
    seen_from_outside,
    typed,
)
from docutils import nodes
from docutils.core import publish_doctree
from waits import Hold, until

from dfr_backup.engine.errors.dump import ServerUnreachable

DATABASE = "production"
# what the form of a storage is filled in with, in the order of the sentence
STORAGE = re.compile(
    r"bucket ``(\w+)``, access key ``(\w+)``, endpoint ``(\S+)``, "
    r"\*Environment Variable Prefix\* ``(\w+)``"
)
ADD_STORAGE = """
storage = env["backup.storage"].create({values!r})
storage.action_test()
env["backup.plan"].search([]).storage_ids += storage
env.cr.commit()
"""
UNITS = EXAMPLES / "systemd"
ENDED = "SELECT state, attempt FROM backup_job WHERE date_end IS NOT NULL"
REQUEST = """
env["backup.plan"].search([], limit=1).action_run_now()
env.cr.commit()
"""


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    try:
        yield made
    finally:
        made.end()


def succeeded(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def failed_checks(done):
    return [row["error_code"] for row in json.loads(done.stdout) if not row["ok"]]


# === DOCKER COMPOSE === #


@pytest.mark.release
def test_docker_compose(host):
    compose = Compose(host)
    *calls, doctor = typed(block("Docker Compose"), compose.folder)
    for call in calls:
        done = compose.do(call)
        if done:
            succeeded(done)
    assert compose.do(doctor).returncode == 1
    assert len(failed_checks(compose.do([*doctor, "--json"]))) == 1, "no backup yet"
    login = compose.login()
    seen = seen_from_outside(host, DATABASE, *login)
    add_the_storage(compose, seen)
    press_the_button(compose, seen)
    commands_reach_postgresql(compose, seen)
    assert failed_checks(compose.do([*doctor, "--json"])) == []
    a_container_that_stops(compose, seen)


def add_the_storage(compose, seen):
    """What the reader does in the browser, with what the page says."""
    bucket, key, endpoint, prefix = STORAGE.search(" ".join(PAGE.split())).groups()
    values = {
        "name": "S3",
        "provider": "s3",
        "s3_bucket": bucket,
        "s3_access_key": key,
        "s3_endpoint": compose.host.here(endpoint),
        "external_name": prefix,
    }
    shell = ("/entrypoint.sh", "odoo", "shell", "-d", DATABASE, "--no-http")
    code = ADD_STORAGE.format(values=values)
    succeeded(compose.exec("odoo", *shell, text=code))
    tested = "SELECT last_test_error_code FROM backup_storage WHERE provider = 's3'"
    assert seen.sql(tested) == [(None,)]


def press_the_button(compose, seen):
    until(lambda: _answers(seen))
    plans = seen.rpc("backup.plan", "search", [])
    job = seen.rpc("backup.plan", "action_run_now", plans)["res_id"]
    assert seen.await_job(job) == "success"
    states = "SELECT state, count(*) FROM backup_copy GROUP BY state"
    assert seen.sql(states) == [("verified", 2)]
    folder = compose.host.root / "data"
    (stored,) = until(lambda: list(folder.glob("**/*.zip")))  # rclone writes late
    (local,) = seen.storage.glob("*.zip")
    assert stored.read_bytes() == local.read_bytes()


def _answers(seen):
    try:
        return seen.rpc("backup.plan", "search", [])
    except OSError:
        return False


def commands_reach_postgresql(compose, seen):
    for call in typed(block("How commands reach PostgreSQL"), compose.folder):
        succeeded(compose.do(call))
    states = seen.sql("SELECT state FROM backup_job")
    assert len(states) >= 2  # more, where the plan's own time has come
    assert set(states) == {("success",)}
    around = compose.exec("odoo", "odoo", "backup", "list", "-d", DATABASE)
    assert around.returncode != 0
    assert ServerUnreachable.code in around.stdout + around.stderr


def a_container_that_stops(compose, seen):
    """A run that goes on is killed with it, and goes on when Odoo is back."""
    service = compose.whole["services"]["odoo"]
    minutes = re.fullmatch(r"(\d+)m", service["stop_grace_period"])[1]
    hold = Hold(compose.host.folder, "step.archive_files.begin")
    compose.restart_odoo(60 * int(minutes), hold.fault)
    until(lambda: _answers(seen))
    plans = seen.rpc("backup.plan", "search", [])
    job = seen.rpc("backup.plan", "action_run_now", plans)["res_id"]
    hold.await_it()
    compose.restart_odoo(60 * int(minutes))
    assert seen.await_job(job) == "success"
    attempts = seen.sql("SELECT attempt FROM backup_job WHERE id = %s", job)
    assert attempts == [(2,)]


# === KUBERNETES === #


@pytest.fixture
def elsewhere(host, plain_template):
    """A database of Odoo that is there before the pods, and its files on their
    volume."""
    seen = Instance(f"{plain_template.database}_pod", host.folder)
    seen.data = host.root / "var/lib/odoo"
    copy_database(plain_template, seen)
    yield seen
    drop_database(seen.database)


@pytest.mark.release
def test_kubernetes(host, elsewhere):
    folder = host.folder / "kubernetes"
    shutil.copytree(EXAMPLES / "kubernetes", folder)
    options, name = elsewhere.options, elsewhere.database
    (folder / "db_password").write_text(options["db_password"])
    conf = (EXAMPLES / "compose/odoo.conf").read_text().splitlines(keepends=True)
    (folder / "odoo.conf").write_text(host.here("".join(conf[:4])))
    cronjob = folder / "cronjob.yaml"
    cronjob.write_text(cronjob.read_text().replace(DATABASE, name))
    page = block("Kubernetes").replace("db.example.com", options["db_host"])
    page = page.replace("PGPORT=5432", f"PGPORT={options['db_port']}")
    cluster = Kubernetes(host, folder)
    *calls, doctor = typed(page.replace(DATABASE, name), folder)
    for call in calls:
        done = cluster.do(call)
        if done:
            succeeded(done)
    assert len(failed_checks(cluster.do([*doctor, "--json"]))) == 1, "no backup yet"
    cluster.apply(cronjob)
    succeeded(cluster.run("odoo-backup"))
    assert failed_checks(cluster.do([*doctor, "--json"])) == []
    a_worker_of_its_own(cluster, folder, elsewhere)


def a_worker_of_its_own(cluster, folder, seen):
    """The pod of a worker takes what Odoo's pods leave, and ends when it is told to."""
    with open(folder / "odoo.conf", "a") as conf:
        conf.write(block("A worker of its own"))
    again = """
        kubectl create secret generic odoo-conf --from-file=odoo.conf
        kubectl apply -f odoo.yaml
        kubectl apply -f worker.yaml
    """
    for call in typed(again, folder):
        cluster.do(call)
    asked = ("odoo", "backup", "run", "--no-wait", "-d", seen.database)
    cluster.do(["kubectl", "exec", "deploy/odoo", "--", *asked])
    waits = "SELECT state, spawn_count FROM backup_job ORDER BY id DESC LIMIT 1"
    assert seen.sql(waits) == [("pending", None)]
    cluster.start("odoo-backup-worker")
    until(lambda: seen.sql(ENDED) == [("success", 1)] * 2)
    assert cluster.stop("odoo-backup-worker") == 0


# === SYSTEMD === #


class Unit:
    """A unit of the examples, or what Debian's service of Odoo has and a drop-in adds
    to it, as a process of this machine."""

    def __init__(self, host, instance, path):
        self._host = host
        self._conf = configparser.RawConfigParser(strict=False)
        self._conf.optionxform = str
        self._conf["Service"] = {
            "ExecStart": "/usr/bin/odoo",
            "Environment": "ODOO_RC=/etc/odoo/odoo.conf",
        }
        self._conf.read(path)
        (host.root / "etc/odoo/odoo.conf").symlink_to(instance.conf)

    def start(self, fault=None):
        service = self._conf["Service"]
        environ = self._host.environ(
            **dict(word.split("=", 1) for word in shlex.split(service["Environment"]))
        )
        argv = shlex.split(self._host.here(service["ExecStart"]))
        return self._host.start("unit", argv, environ | faulty(fault))

    def stop(self):
        assert self._conf["Service"]["KillMode"] == "mixed"
        return self._host.stop("unit", int(self._conf["Service"]["TimeoutStopSec"]))


@pytest.mark.release
def test_unit_of_a_worker(host, instance, tmp_path):
    name, value = block("A worker of its own").strip().split(" = ")
    instance.write_conf(**{name: value})
    unit = Unit(host, instance, UNITS / "odoo-backup-worker.service")
    instance.shell(REQUEST)
    hold = Hold(tmp_path, "step.archive_files.begin")
    unit.start(hold.fault)
    hold.await_it()
    [(pid,)] = instance.sql("SELECT pid FROM backup_job")
    assert unit.stop() == 0
    until(lambda: not Path(f"/proc/{pid}").exists())
    unit.start()
    assert until(lambda: instance.sql(ENDED)) == [("success", 2)]
    assert unit.stop() == 0
    assert instance.leftovers() == []


@pytest.mark.release
def test_drop_in_of_odoo(host, instance, tmp_path):
    """SIGTERM ends Odoo alone, SIGKILL the run beside it; that goes on later."""
    unit = Unit(host, instance, UNITS / "odoo.service.d/backup.conf")
    hold = Hold(tmp_path, "step.archive_files.begin")
    instance._await_server(unit.start(hold.fault))
    plans = instance.rpc("backup.plan", "search", [])
    job = instance.rpc("backup.plan", "action_run_now", plans)["res_id"]
    hold.await_it()
    [(pid,)] = instance.sql("SELECT pid FROM backup_job")
    unit.stop()
    until(lambda: not Path(f"/proc/{pid}").exists())
    instance._await_server(unit.start())
    assert instance.await_job(job) == "success"
    assert instance.sql(ENDED) == [("success", 2)]
    unit.stop()
    assert instance.leftovers() == []


# === HOW ODOO FINDS THE COMMAND === #


def ways():
    """Return {way to call the command: whether the page says that it works}."""
    part = PAGE.partition("\nHow Odoo finds the command\n")[2]
    table = publish_doctree(re.search(r"(?ms)^=+ =+$.*?^=+ =+$", part)[0])
    rows = [row.findall(nodes.paragraph) for row in table.findall(nodes.row)]
    told = {way.astext(): verdict.astext() for way, verdict in rows}
    assert all(re.match("works|does not", verdict) for verdict in told.values())
    return {way: verdict.startswith("works") for way, verdict in told.items()}


@pytest.mark.release
def test_ways_to_call_the_command(host, instance):
    (host.root / "etc/odoo/odoo.conf").symlink_to(instance.conf)
    addons = f"{host.root}/opt/odoo-addons"
    instance.write_conf(addons_path=addons)
    variables = {"PGHOST": "db_host", "PGPORT": "db_port", "PGUSER": "db_user"}
    variables["PGPASSWORD"] = "db_password"
    login = {name: instance.options[option] for name, option in variables.items()}
    seen, told = {}, ways()
    for way in told:
        command = way.replace("backup …", f"backup list -d {instance.database}")
        done = subprocess.run(
            ["bash", "-c", host.here(command)],
            env={**host.environ(), **login},
            cwd=host.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        seen[way] = done.returncode == 0
    assert seen == told
    assert set(told.values()) == {True, False}
