"""Who takes part: each function performs one backup, deletes it, and returns what it
cost."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import psycopg2

from . import places
from .sample import measure

OCA_SCRIPT = """
import time
values = {"folder": %r, "method": "local", "backup_format": "zip"}
record = env["db.backup"].create(values)
started = time.monotonic()
record.action_backup()
print("BENCH", time.monotonic() - started)
"""
ARCHIVING = ("initialize", "dump_database", "archive_files", "compress")
RUNNER_LIMIT = 10  # seconds that a runner may go on after the command that follows it
REQUESTED = (
    "SELECT extract(epoch FROM create_date) FROM backup_job ORDER BY id DESC LIMIT 1"
)
REGISTRY = """
import sys
from odoo.modules.registry import Registry
from odoo.tools import config
config.parse_config(["--no-http", "-d", sys.argv[1]])
Registry(sys.argv[1])
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) / 1024)
"""


def floor(database):
    """What nobody can beat: PostgreSQL writes everything, and every file is read."""
    env = places.environment()
    dump = ["sh", "-c", 'exec pg_dump --no-owner "$0" >/dev/null', database]
    read = ["sh", "-c", 'find "$0" -type f -print0 | xargs -0 cat >/dev/null']
    _output, cost, _sampler = measure(dump, database, env)
    _output, more, _sampler = measure(
        [*read, str(places.filestore(database))], database, env
    )
    for key in ("wall", "cpu_python", "cpu_postgres", "cpu_foreign"):
        cost[key] += more[key]
    cost["archiving"] = cost["whole"] = cost["wall"]
    return {**cost, "floor_files": more["wall"]}


def startup():
    """How long Odoo's command takes to do nothing: it is not held against it."""
    started = time.monotonic()
    subprocess.run(
        ["odoo", "db"], env=places.environment(), capture_output=True, timeout=60
    )
    return time.monotonic() - started


def odoo(database):
    """Odoo's own dump, as its database manager makes it."""
    places.empty(places.OUT)
    target = places.OUT / "odoo.zip"
    command = ["odoo", "db", "dump", database, str(target)]
    started = startup()
    _output, cost, _sampler = measure(
        command, database, places.environment(), [places.TMP, places.OUT]
    )
    cost["archiving"] = cost["whole"] = cost["wall"] - started
    return _finish(cost, target)


def oca(database):
    """The action of OCA's auto_backup; its time is without the start of the shell."""
    places.empty(places.OUT)
    output, cost, _sampler = measure(
        ["odoo", "shell", "-d", database, "--no-http"],
        database,
        places.environment(),
        [places.TMP, places.OUT],
        OCA_SCRIPT % str(places.OUT),
    )
    found = re.search(r"BENCH ([\d.]+)", output)
    archives = list(places.OUT.glob("*.zip"))
    if not found or not archives:
        return {**cost, "problem": "auto_backup made no archive"}
    cost["archiving"] = cost["whole"] = float(found[1])
    return _finish(cost, archives[0])


def isal(database):
    """Ours, with the fast deflate."""
    return _ours(database, places.environment())


def zlib(database):
    """Ours, with Python's own deflate."""
    return _ours(database, places.environment(isal=False))


def _ours(database, env):
    directories = [places.TMP, places.WORK, places.BACKUPS]
    sampler = None
    try:
        output, cost, sampler = measure(
            ["odoo", "backup", "run", "-d", database, "--json"],
            database,
            env,
            directories,
        )
        result = json.loads(output[output.index("{") :])
    except ValueError:
        return {**cost, "problem": "no answer"}
    finally:
        ended = _end_runner(sampler)
    steps = {
        (step["kind"], step["storage"]): step["seconds"] for step in result["steps"]
    }
    cost["steps"] = {" ".join(filter(None, key)): value for key, value in steps.items()}
    cost["archiving"] = sum(
        value for (kind, _st), value in steps.items() if kind in ARCHIVING
    )
    cost["runner_start"], cost["runner_end"] = sampler.runner_seen
    cost["whole"] = cost["runner_end"] - _requested(database)
    cost["isal"] = places.isal_imports(env)
    if result["job"]["state"] != "success":
        cost["problem"] = f"{result['job']['state']}: {result['job']['error']}"
    if ended:
        cost["problem"] = f"the runner did not end within {RUNNER_LIMIT} s"
    for copy in result["copies"]:
        _finish(cost, Path(copy["path"]))
        Path(copy["path"]).with_suffix(".json").unlink(missing_ok=True)
    return cost


def _requested(database):
    connection = psycopg2.connect(dbname=database)
    with contextlib.closing(connection), connection.cursor() as cr:
        cr.execute(REQUESTED)
        return float(cr.fetchone()[0])


def _end_runner(sampler):
    """End the runner that this benchmark started, should it still be there; normally
    it is not. Tell whether it was."""
    if not sampler or not sampler.runner_pid or sampler.runner_ended.wait(RUNNER_LIMIT):
        return False
    os.kill(sampler.runner_pid, signal.SIGTERM)
    sampler.runner_ended.wait(RUNNER_LIMIT)
    return True


def _finish(cost, archive):
    """Note the size of the archive and what else the disk held, look into it, delete
    it."""
    if not archive.exists():
        return {**cost, "problem": "there is no archive"}
    cost["size"] = archive.stat().st_size
    cost["extra_disk"] = max(0, cost["disk"] - cost["size"])
    with zipfile.ZipFile(archive) as content:
        cost["members"] = len(content.infolist())
        cost["sql"] = content.getinfo("dump.sql").file_size
        cost["sql_packed"] = content.getinfo("dump.sql").compress_size
    archive.unlink()
    return cost


def registry_mib(database):
    """The peak memory of a process that only loads the registry."""
    root = os.environ["PYTHONPATH"]
    env = places.environment()
    env["PYTHONPATH"] = os.pathsep.join([root, env["PYTHONPATH"]])
    done = subprocess.run(
        ["python", "-c", REGISTRY, database],
        env=env,
        cwd="/",
        capture_output=True,
        timeout=120,
    )
    return float(done.stdout.split()[-1])


CONTENDERS = {"floor": floor, "odoo": odoo, "oca": oca, "isal": isal, "zlib": zlib}
