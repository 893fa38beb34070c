"""Restore one archive in three ways: ``python -m bench.restore --size 128``.

Ours, ``odoo db load``, and the floor, which is psql alone on a dump that is unpacked already.
It reports; it never fails on a number.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import types
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from . import contenders, content, places
from .sample import disk_usage, measure

REPO = Path(__file__).resolve().parents[1]
TARGET = "bench_restored"
SERIES = "19.0"
STEPS = ("check", "create_database", "load", "filestore", "finish")  # after the fetch
SCRATCH = "dfr_restore_"  # how our databases are called until they are complete
MARKERS = places.HOME / "restores"
RESULT = places.HOME / "restore.json"
NAMES = {"floor": "floor: psql, no files", "odoo": "odoo db load", "ours": "dfr_backup"}
HEAD = ("wall s", "x Odoo", "x floor", "CPU py", "CPU pg", "foreign", "PSS MiB", "temp MiB")
TARGET_RATIO = 1 / 2  # of Odoo's wall time
TARGET_TEMPORARY = 0.1  # of the archive
MIB = 1 << 20


def main():
    options = _options()
    lock = places.only_one()
    places.prepare()
    database = options.database or content.ensure(options.size)
    archive = places.OUT / "restore.zip"
    places.empty(places.OUT)
    _make_archive(database, archive)
    rounds = [_round(number, archive) for number in range(options.rounds)]
    middle = {
        name: {
            key: statistics.median([one[name][key] for one in rounds]) for key in rounds[0][name]
        }
        for name in NAMES
    }
    RESULT.write_text(json.dumps({"size_mib": options.size, "median": middle, "rounds": rounds}))
    _print(middle, archive.stat().st_size)
    places.empty(places.OUT)
    lock.close()


def _options():
    parser = argparse.ArgumentParser(prog="bench.restore", description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="MiB of SQL, and of attachments")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", help="instead of one that is made: of the benchmark's own")
    return parser.parse_args()


def _round(number, archive):
    """Everybody once, in turned order."""
    names, results = list(NAMES), {}
    turn = number % len(names)
    for name in names[turn:] + names[:turn]:
        _remove_target()
        places.empty(places.TMP)
        results[name] = one = CONTENDERS[name](archive)
        print(f"round {number + 1} {name:<6} {one['wall']:7.2f} s", file=sys.stderr, flush=True)
    _remove_target()
    return results


# === WHO TAKES PART === #


def floor(archive):
    """psql alone, in one transaction, on a dump that lies there unpacked."""
    with zipfile.ZipFile(archive) as source:
        source.extract("dump.sql", places.TMP)
    create = ["createdb", "-T", "template0", "-E", "unicode", "--lc-collate=C", TARGET]
    subprocess.run(create, check=True)
    psql = ["psql", "-Xq1", "-v", "ON_ERROR_STOP=1", "-d", TARGET, "-f", places.TMP / "dump.sql"]
    _output, cost, _sampler = measure(psql, TARGET, places.environment())
    return {**_numbers(cost), "temporary": 0}


def odoo(archive):
    """Odoo's own command; the start of its process is not held against it."""
    startup = contenders.startup()
    cost = _measured(["odoo", "db", "load", TARGET, str(archive)])
    return {**cost, "wall": cost["wall"] - startup}


def ours(archive):
    """All steps of a restore; first of all the archive is compared with its manifest."""
    return _measured([sys.executable, "-m", "bench.restore", "--child", str(archive)])


def _measured(command):
    directories = [places.TMP, places.DATA / "filestore"]
    before = disk_usage(directories)
    env = places.environment()
    env["PYTHONPATH"] = os.pathsep.join([str(REPO), os.environ["PYTHONPATH"], env["PYTHONPATH"]])
    _output, cost, _sampler = measure(command, TARGET, env, directories, scratch=SCRATCH)
    if not places.filestore(TARGET).is_dir():
        raise SystemExit(f"{command[0]} restored nothing: see {places.LOG / 'run.log'}")
    kept = disk_usage(directories) - before
    return {**_numbers(cost), "temporary": max(0, cost["disk"] - kept)}


def _numbers(cost):
    keys = ("wall", "cpu_python", "cpu_postgres", "cpu_foreign", "pss_mib")
    return {key: cost[key] for key in keys}


CONTENDERS = {"floor": floor, "odoo": odoo, "ours": ours}


def _remove_target():
    subprocess.run(["dropdb", "--if-exists", TARGET], check=True, stderr=subprocess.DEVNULL)
    shutil.rmtree(places.filestore(TARGET), ignore_errors=True)


# === WITH OUR ENGINE === #


def _find_engine():
    """Make ``dfr_backup.engine`` importable without Odoo."""
    package = types.ModuleType("dfr_backup")
    package.__path__ = [str(REPO / "dfr_backup")]
    sys.modules["dfr_backup"] = package


def _make_archive(database, path):
    """Archive the database and its files, as a run does, with a manifest beside."""
    _find_engine()
    from dfr_backup.engine import manifest
    from dfr_backup.engine.archive.writer import ArchiveWriter
    from dfr_backup.engine.dump import dump
    from dfr_backup.engine.filestore import archive_filestore
    from dfr_backup.engine.postgres import Connection, find_client_tool
    from dfr_backup.engine.progress import Progress
    from dfr_backup.engine.snapshot import Snapshot

    connection, writer = Connection(database), ArchiveWriter.create(path)
    with Snapshot(connection) as snapshot:
        attachments = list(snapshot.attachments())
        tool = find_client_tool("pg_dump", snapshot.server_version)
        with writer.stream_member("dump.sql") as member:
            dump(tool, connection, snapshot, member.write, Progress())
    archive_filestore(writer, places.filestore(database), attachments, Progress())
    count, digest = writer.write_checksums()
    now = datetime.now(timezone.utc)
    odoo = {"db_name": database, "version": SERIES, "major_version": SERIES, "modules": {}}
    ours = {
        "snapshot_at": now,
        "run": database,
        "job": database,
        "missing": [],
        "contents": ["database", "filestore"],
        "members": {"count": count, "sha256sums": digest},
    }
    facts = manifest.build(odoo, ours)
    writer.add_bytes("manifest.json", manifest.encode(facts))
    sealed = writer.close()
    sidecar = manifest.sidecar(facts, path.name, sealed.size, sealed.sha256)
    path.with_name(manifest.sidecar_key(path.name)).write_bytes(sidecar)


def _child(archive):
    """Restore as a run does, in a process of its own."""
    _find_engine()
    from dfr_backup.engine.postgres import Connection
    from dfr_backup.engine.progress import Progress
    from dfr_backup.engine.restore.steps import Restore, RestoreOptions
    from dfr_backup.engine.restore.target import Place
    from dfr_backup.engine.storages.local import LocalRules, LocalStorage

    storage = LocalStorage(places.OUT, LocalRules([places.OUT]))
    options = RestoreOptions(Place(TARGET, places.filestore(TARGET)), SERIES)
    with Restore(Connection("postgres"), options, places.TMP, MARKERS) as restore:
        restore.fetch(storage, Path(archive).name, Progress())
        for step in STEPS:
            getattr(restore, step)(Progress())


# === THE TABLE === #


def _print(middle, size):
    print(f"{'median':<24}" + "".join(f"{head:>10}" for head in HEAD))
    odoo_wall, floor_wall = middle["odoo"]["wall"], middle["floor"]["wall"]
    for name, one in middle.items():
        cells = (
            f"{one['wall']:.2f}",
            f"{one['wall'] / odoo_wall:.3f}",
            f"{one['wall'] / floor_wall:.3f}",
            f"{one['cpu_python']:.1f}",
            f"{one['cpu_postgres']:.1f}",
            f"{one['cpu_foreign']:.1f}",
            f"{one['pss_mib']:.0f}",
            f"{one['temporary'] / MIB:.0f}",
        )
        print(f"{NAMES[name]:<24}" + "".join(f"{cell:>10}" for cell in cells))
    _verdict("wall / odoo db load", middle["ours"]["wall"] / odoo_wall, TARGET_RATIO)
    _verdict("temporary disk / archive", middle["ours"]["temporary"] / size, TARGET_TEMPORARY)


def _verdict(what, ratio, target):
    verdict = "reached" if ratio <= target else "MISSED"
    print(f"{what:<40} {ratio:9.3f}   at most {target:7.3f}   {verdict}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2])
    else:
        main()
