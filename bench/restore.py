"""Restore one archive in three ways: ``python -m bench.restore --size 128``.

Ours, ``odoo db load``, and the floor, which is psql alone on a dump that is unpacked
already. It reports; it never fails on a number.

Nothing is deleted before the last round: ext4 without a journal looks for a long time
for places that were not given free a moment ago, and who comes next would pay for it.
What was restored is vacuumed at once: else autovacuum would do it, while somebody else
is measured.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from . import REPO, contenders, content, places
from .sample import disk_usage, measure

TARGET = "bench_restored"  # and a number
SERIES = "19.0"
STEPS = ("check", "create_database", "load", "filestore", "finish")  # after the fetch
SCRATCH = "dfr_restore_"  # how our databases are called until they are complete
MARKERS = places.HOME / "restores"
DONE = places.HOME / "restored"  # the files of what was restored, until the end
CLUSTER = places.DEV / "pg/data/base"
RESULT = places.HOME / "restore.json"
NAMES = {"floor": "floor: psql, no files", "odoo": "odoo db load", "ours": "dfr_backup"}
HEAD = (
    "wall s",
    "x Odoo",
    "x floor",
    "CPU py",
    "CPU pg",
    "foreign",
    "PSS MiB",
    "temp MiB",
)
TARGET_RATIO = 1 / 2  # of Odoo's wall time
TARGET_TEMPORARY = 0.1  # of the archive
PAUSE = 3  # seconds in which the disk comes to rest
MIB = 1 << 20


def main():
    options = _options()
    lock = places.only_one()
    places.prepare()
    database = options.database or content.ensure(options.size)
    archive = places.OUT / "restore.zip"
    _clean_up()
    _make_archive(database, archive)
    _require_space(archive, options.rounds)
    with zipfile.ZipFile(archive) as source:  # for the floor
        source.extract("dump.sql", places.OUT)
    rounds = [_round(number, archive) for number in range(options.rounds)]
    middle = {
        name: {
            key: statistics.median([one[name][key] for one in rounds])
            for key in rounds[0][name]
        }
        for name in NAMES
    }
    RESULT.write_text(
        json.dumps({"size_mib": options.size, "median": middle, "rounds": rounds})
    )
    _print(middle, archive.stat().st_size)
    _clean_up()
    lock.close()


def _options():
    parser = argparse.ArgumentParser(prog="bench.restore", description=__doc__)
    parser.add_argument(
        "--size", type=int, default=128, help="MiB of SQL, and of attachments"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--database", help="instead of one that is made: of the benchmark's own"
    )
    return parser.parse_args()


def _require_space(archive, rounds):
    with zipfile.ZipFile(archive) as source:
        unpacked = sum(member.file_size for member in source.infolist())
    needed = (
        2 * unpacked * rounds * len(NAMES)
    )  # tables need more room than their rows as text
    if shutil.disk_usage(places.HOME).free < needed:
        raise SystemExit(
            f"This takes {needed >> 30} GiB of disk: choose a smaller --size"
        )


def _round(number, archive):
    """Everybody once, in turned order, each into a database of its own."""
    names, results = list(NAMES), {}
    turn = number % len(names)
    for name in names[turn:] + names[:turn]:
        _come_to_rest()
        target = f"{TARGET}_{number}_{name}"
        results[name] = one = CONTENDERS[name](archive, target)
        _vacuum(target)
        print(
            f"round {number + 1} {name:<6} {one['wall']:7.2f} s",
            file=sys.stderr,
            flush=True,
        )
    return results


def _vacuum(database):
    silent = {
        **os.environ,
        "PGOPTIONS": "-c client_min_messages=error",
    }  # about what is not ours
    command = ["vacuumdb", "--quiet", "--analyze", "--jobs=2", database]
    subprocess.run(command, env=silent, check=True)


def _come_to_rest():
    """Let everything reach the disk, and give the memory free that the one before
    has filled."""
    os.sync()
    for folder in (DONE, CLUSTER):
        places.forget(folder)
    time.sleep(PAUSE)


def _clean_up():
    for name in _databases():
        subprocess.run(["dropdb", name], check=True)
        shutil.rmtree(places.filestore(name), ignore_errors=True)
    for directory in (places.OUT, places.TMP, DONE):
        places.empty(directory)


def _databases():
    query = f"SELECT datname FROM pg_database WHERE datname ~ '^{TARGET}_[0-9]'"
    psql = ["psql", "-XAtd", "postgres", "-c", query]
    return subprocess.run(
        psql, check=True, capture_output=True, text=True
    ).stdout.split()


# === WHO TAKES PART === #


def floor(archive, target):
    """psql alone, in one transaction, on a dump that lies there unpacked."""
    create = ["createdb", "-T", "template0", "-E", "unicode", "--lc-collate=C", target]
    subprocess.run(create, check=True)
    dump = archive.with_name("dump.sql")
    psql = ["psql", "-Xq1", "-v", "ON_ERROR_STOP=1", "-d", target, "-f", dump]
    _output, cost, _sampler = measure(psql, target, places.environment())
    return {**_numbers(cost), "temporary": 0}


def odoo(archive, target):
    """Odoo's own command; the start of its process is not held against it."""
    startup = contenders.startup()
    cost = _measured(["odoo", "db", "load", target, str(archive)], target)
    return {**cost, "wall": cost["wall"] - startup}


def ours(archive, target):
    """All steps of a restore; beside it the archive is compared with its manifest.
    As with Odoo, the start of the process is not counted."""
    command = [sys.executable, "-m", "bench.restore", "--child", str(archive)]
    started = time.monotonic()
    subprocess.run(command, env=_environment(), check=True)
    startup = time.monotonic() - started
    cost = _measured([*command, target], target)
    return {**cost, "wall": cost["wall"] - startup}


def _measured(command, target):
    directories = [places.TMP, places.DATA / "filestore"]
    before = disk_usage(directories)
    _output, cost, _sampler = measure(
        command, target, _environment(), directories, scratch=SCRATCH
    )
    if not places.filestore(target).is_dir():
        raise SystemExit(f"{command[0]} restored nothing: see {places.LOG / 'run.log'}")
    kept = disk_usage(directories) - before
    places.filestore(target).rename(
        DONE / target
    )  # what is there is looked at all the time
    return {**_numbers(cost), "temporary": max(0, cost["disk"] - kept)}


def _environment():
    env = places.environment()
    paths = [str(REPO), os.environ["PYTHONPATH"], env["PYTHONPATH"]]
    return env | {"PYTHONPATH": os.pathsep.join(paths)}


def _numbers(cost):
    keys = ("wall", "cpu_python", "cpu_postgres", "cpu_foreign", "pss_mib")
    return {key: cost[key] for key in keys}


CONTENDERS = {"floor": floor, "odoo": odoo, "ours": ours}


# === WITH OUR ENGINE === #


def _make_archive(database, path):
    """Archive the database and its files, as a run does, with a manifest beside."""
    from dfr_backup.engine.archive.writer import ArchiveWriter
    from dfr_backup.engine.manifest.names import sidecar_key
    from dfr_backup.engine.manifest.write import build, encode, sidecar
    from dfr_backup.engine.postgres.client_tools import find_client_tool
    from dfr_backup.engine.postgres.connection import Connection
    from dfr_backup.engine.postgres.dump import dump
    from dfr_backup.engine.postgres.snapshot import Snapshot
    from dfr_backup.engine.progress import Progress
    from dfr_backup.engine.sources.filestore import archive_filestore

    connection, writer = Connection(database), ArchiveWriter.create(path)
    with Snapshot(connection) as snapshot:
        attachments = list(snapshot.attachments())
        tool = find_client_tool("pg_dump", snapshot.server_version)
        with writer.stream_member("dump.sql") as member:
            dump(tool, connection, snapshot, member.write, Progress())
    files = archive_filestore(
        writer, places.filestore(database), attachments, Progress()
    )
    count, digest = writer.write_checksums()
    now = datetime.now(timezone.utc)
    odoo = {
        "db_name": database,
        "version": SERIES,
        "major_version": SERIES,
        "modules": {},
    }
    ours = {
        "snapshot_at": now,
        "run": database,
        "job": database,
        "missing": [],
        "contents": ["database", "filestore"],
        "members": {"count": count, "sha256sums": digest},
        "filestore": {"files": files.files, "damaged": files.damaged_count},
    }
    facts = build(odoo, ours)
    writer.add_bytes("manifest.json", encode(facts))
    finalized = writer.close()
    beside = sidecar(facts, path.name, finalized.size, finalized.sha256)
    path.with_name(sidecar_key(path.name)).write_bytes(beside)


def _child(archive, target=None):
    """Restore as a run does, in a process of its own. Without a target, only start."""
    from dfr_backup.engine.postgres.connection import Connection
    from dfr_backup.engine.progress import Progress
    from dfr_backup.engine.restore.database_location import DatabaseLocation
    from dfr_backup.engine.restore.options import RestoreOptions
    from dfr_backup.engine.restore.steps import Restore
    from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

    if not target:
        return
    storage = LocalStorage(places.OUT, LocalRules([places.OUT]))
    place = DatabaseLocation(target, places.filestore(target))
    options = RestoreOptions(place, SERIES)
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
    _verdict(
        "temporary disk / archive", middle["ours"]["temporary"] / size, TARGET_TEMPORARY
    )


def _verdict(what, ratio, target):
    verdict = "reached" if ratio <= target else "MISSED"
    print(f"{what:<40} {ratio:9.3f}   at most {target:7.3f}   {verdict}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(*sys.argv[2:])
    else:
        main()
