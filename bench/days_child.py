"""One backup or restore of ``bench.days``, in a process of its own: ``python -m
bench.days_child TASK``, where TASK is JSON. Prints what it cost, as JSON.

What is measured begins when everything is imported: from the first step's start to the
last one's end. It is done as a run does it, by the engine.
"""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import COMPLETE, INCREMENTAL
from dfr_backup.engine.manifest.names import (
    DUMP,
    INCREMENTAL_DUMP,
    INDEX,
    MANIFEST,
    archive_name,
    sidecar_key,
)
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs.maker import Making
from dfr_backup.engine.packs.owner import Owner, Place
from dfr_backup.engine.packs.packing import Packing
from dfr_backup.engine.packs.storing import Finished, store
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.postgres.client_tools import find_client_tool
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.dump import dump
from dfr_backup.engine.postgres.snapshot import RowCounter, Snapshot
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.sources import attachment_list
from dfr_backup.engine.sources.filestore import (
    Attachment,
    archive_filestore,
)
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.local.storage import (
    LocalRules,
    LocalStorage,
)
from dfr_backup.engine.storages.s3.config import S3Config
from dfr_backup.engine.storages.s3.storage import S3Storage
from dfr_backup.engine.storages.sftp.link import SftpConfig
from dfr_backup.engine.storages.sftp.storage import SftpStorage

from . import days_names
from .days_meter import Meter

SERIES = "19.0"
IDENTITY = Identity(
    "0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10", "7577000000000000001", 16384
)
OWNER = Owner(IDENTITY, frozenset({IDENTITY.key}), Signer(Key(bytes(32))))
RESTORING = ("check", "create_database", "load", "filestore", "finish")
KIB = 1024


def storage_of(about):
    values = {**about}
    kind = values.pop("kind")
    if kind == "s3":
        return S3Storage(S3Config(**values), TransferLimits())
    if kind == "sftp":
        return SftpStorage(SftpConfig(**values), TransferLimits())
    path = Path(values["path"])
    return LocalStorage(path, LocalRules([path]))


# === A BACKUP === #


def back_up(task):
    """An incremental backup, or a complete one."""
    storage, work = storage_of(task["storage"]), Path(task["work"])
    storage.prepare()
    before = _stored(storage)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    run = Run(task, storage, work)
    with run.meter:
        run.perform()
    report = run.report
    return {
        **run.meter.numbers(task["root"]),
        "key": run.key,
        "stored": _stored(storage) - before,
        "files": report.files,
        "bytes": report.bytes,
        "archive": run.archive_size,
    }


def _stored(storage):
    return sum(found.size for found in storage.list())


class Run:
    """The steps of a backup, as ``runs/backup.py`` has them."""

    def __init__(self, task, storage, work):
        self._task = task
        self._storage = storage
        self._list = work / "attachments.jsonl"
        self._path = work / "archive.part"
        self._work = work
        self._incremental = task["incremental"]
        self.meter = Meter(work / "packs")
        self.key = ""

    def perform(self):
        with self.meter.part("dump"):
            self._dump()
        self._writer.save()
        with self.meter.part("files"):
            self._archive_files()
        with self.meter.part("finalize"):
            self._finalize()
        with self.meter.part("store"):
            self._store()

    def _dump(self):
        connection = Connection(self._task["database"])
        name = INCREMENTAL_DUMP if self._incremental else DUMP
        with Snapshot(connection) as snapshot:
            self._moment = snapshot.taken_at
            with self.meter.part("list"):
                attachment_list.save(self._list, self._attachments(snapshot))
            self._writer = ArchiveWriter.create(self._path)
            tool = find_client_tool("pg_dump", snapshot.server_version)
            with (
                RowCounter(snapshot, Progress()) as self._rows,
                self._writer.stream_member(name) as member,
            ):
                dump(tool, connection, snapshot, member.write, Progress())
            with self._writer.stream_member(INDEX) as member:
                snapshot.index_attachments(member.write)

    def _attachments(self, snapshot):
        """Yield the attachments, or only as many ``names`` as there are to be."""
        if names := self._task.get("names"):
            return _names(names)
        return snapshot.attachments()

    def _archive_files(self):
        root, progress = Path(self._task["root"]), Progress()
        if not self._incremental:
            files = attachment_list.load(self._list)
            self.report = archive_filestore(self._writer, root, files, progress)
            return
        self._packed = Packing(self._making()).pack(
            self._writer, root, lambda: attachment_list.load(self._list), progress
        )
        self.report = self._packed.report

    def _making(self):
        place = Place(self._storage, Path(self._task["index"]))
        return Making(
            place,
            OWNER,
            Terms(**self._task.get("terms", {})),
            self._work / "packs",
            lambda: datetime.now(timezone.utc),
            RetryPolicy(),
        )

    def _finalize(self):
        count, sums = self._writer.write_checksums()
        self._manifest = manifest.build(
            {
                "db_name": self._task["database"],
                "version": SERIES,
                "major_version": SERIES,
                "modules": {},
            },
            self._facts({"count": count, "sha256sums": sums}),
        )
        self._writer.add_bytes(MANIFEST, manifest.encode(self._manifest))
        self._closed = self._writer.close()
        self.archive_size = self._closed.size
        self.key = archive_name(
            self._task["database"],
            self._moment,
            hashlib.md5(os.urandom(8)).hexdigest(),  # noqa: S324
        )

    def _facts(self, members):
        facts = {
            "format": INCREMENTAL if self._incremental else COMPLETE,
            "snapshot_at": self._moment,
            "run": "bench",
            "job": "bench",
            "database_uuid": IDENTITY.uuid,
            "identity": IDENTITY.to_json(),
            "missing": [],
            "contents": ["database", "filestore"],
            "members": members,
            "rows": self._rows.counts,
            "filestore": {
                "files": self.report.files,
                "damaged": self.report.damaged_count,
            },
        }
        if self._incremental:
            facts["packed"] = self._packed.content.to_json()
        return facts

    def _store(self):
        storage, key, closed = self._storage, self.key, self._closed
        if self._incremental:
            finished = Finished(
                self._path, key, closed.size, closed.sha256, self._manifest
            )
            place = Place(storage, Path(self._task["index"]))
            store(place, finished, self._packed, OWNER.sign, Progress())
            return
        storage.put(self._path, key, Progress())
        beside = manifest.sidecar(
            self._manifest, key, closed.size, closed.sha256, OWNER.sign
        )
        storage.put_bytes(beside, sidecar_key(key))
        storage.verify(key, closed.size, closed.sha256, Progress())


def _names(count):
    """Yield so many attachments, in their order, of which there is no file."""
    step = (1 << 160) // count
    for number in range(count):
        digest = f"{number * step:040x}"
        yield Attachment(f"{digest[:2]}/{digest}", digest, 14_000, f"file {number}")


# === A RESTORE === #


def restore(task):
    """Restore everything, as a run does."""
    storage, work = storage_of(task["storage"]), Path(task["work"])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    meter = Meter(work)
    with meter:
        _restore(task, storage, work, meter)
    numbers = meter.numbers(task["root"])
    return {**numbers, "read": 0}  # what was opened was written


def _restore(task, storage, work, meter):
    place = DatabaseLocation(task["target"], Path(task["root"]))
    options = RestoreOptions(place, SERIES)
    markers = Path(task["markers"])
    with Restore(Connection("postgres"), options, work, markers) as restoring:
        with meter.part("fetch"):
            restoring.fetch(storage, task["key"], Progress())
        for step in RESTORING:
            with meter.part(step):
                getattr(restoring, step)(Progress())


# === ANOTHER PROGRAM === #


def command(task):
    """Some commands, one after the other."""
    meter = Meter(Path(task["work"]))
    with meter:
        for argv in task["commands"]:
            subprocess.run(argv, check=True, stdout=sys.stderr)
    numbers = meter.numbers(task["root"])
    numbers["rss"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB
    return numbers


def name(task):
    """Let a location have packs with many attachments by name only."""
    storage = storage_of(task["storage"])
    storage.prepare()
    meter = Meter(Path(task["work"]))
    with meter:
        place = Place(storage, Path(task["index"]))
        days_names.make(place, OWNER, _names(task["names"]))
    return meter.numbers(task["root"])


WORK = {"name": name, "back_up": back_up, "restore": restore, "command": command}

if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(WORK[given["do"]](given)))
