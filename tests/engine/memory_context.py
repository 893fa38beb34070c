"""What a run gets of the world, without Odoo: records in memory, a database and a
storage that are real."""

import contextlib
import shutil
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, ClassVar

from dfr_backup.engine.catalog.catalogued import Catalogued
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import Cancelled, Deferred, EngineError
from dfr_backup.engine.errors.packs import MayNotList
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import INCREMENTAL
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs.content import summed
from dfr_backup.engine.packs.freeing import remember
from dfr_backup.engine.packs.owner import Owner, Place
from dfr_backup.engine.packs.terms import REWRITE, TERMS
from dfr_backup.engine.policy.outcome import StepOutcome
from dfr_backup.engine.policy.supervision import MAX_ATTEMPTS
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.dump import DumpOptions
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.reservations import Reservations
from dfr_backup.engine.restore.database_location import DatabaseLocation
from dfr_backup.engine.restore.leftovers import remove_leftovers
from dfr_backup.engine.restore.options import RestoreOptions
from dfr_backup.engine.restore.steps import Restore
from dfr_backup.engine.retry import RetryPolicy
from dfr_backup.engine.storages.base import TransferLimits
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage
from dfr_backup.runs.registry import run_kind
from dfr_backup.runs.state import RunState

OPEN = ("pending", "running")
GOOD = ("success", "warning")
SERVER_KEY = Key(bytes(range(32)))
IMPATIENT = TransferLimits(retries=RetryPolicy(patience=0))


class Killed(BaseException):
    """The process is gone: nothing of it tidies up."""


class Records:
    """A set of records; it has what its only record has, and the records that its
    records refer to."""

    def __init__(self, *records):
        self.records = list(dict.fromkeys(records))

    def __bool__(self):
        return bool(self.records)

    def __iter__(self):
        return iter(self.records)

    def browse(self):
        return Records()

    def filtered(self, wanted):
        return Records(*filter(wanted, self.records))

    def _noted_of(self, sidecar):
        return {}

    def __getattr__(self, name):
        if name.endswith("_id"):
            found = [getattr(record, name) for record in self.records]
            return Records(*filter(None, found))
        (record,) = self.records or [Nothing()]
        return getattr(record, name)


class Nothing:
    """What no record says."""

    state, kind, storage_id, copy_id = False, False, None, None

    def _is_good(self):
        return False

    def _is_closed(self):
        return True

    def _note(self, line):
        pass


@dataclass(eq=False)
class Storage:
    """A directory. ``broken`` is the error of whatever is asked of it."""

    id: int
    name: str
    folder: Any
    can_delete: bool = True
    broken: EngineError | None = None

    def _get_storage(self):
        if self.broken:
            raise self.broken
        self.folder.mkdir(exist_ok=True)
        return LocalStorage(self.folder, LocalRules([self.folder]), IMPATIENT)

    _get_own_storage = _get_storage


@dataclass(eq=False)
class Copy:
    id: int
    key: str
    storage_id: Storage
    size: int = 0
    sha256: str = ""
    origin: str = "run"
    state: str = "stored"
    packs: int = 0
    new_size: int = 0
    proven_at: bool = True

    def _catalogued(self):
        return Catalogued(self.size, self.sha256)

    _catalogued_to_restore = _catalogued

    def _require_trusted(self):
        pass

    def _noted_of(self, sidecar):
        return {}

    def _note_verified(self, job):
        self.state = "verified"


@dataclass(eq=False)
class Step:
    job: Any
    kind: str
    storage_id: Any = None
    copy_id: Any = None
    state: str = "pending"
    date_start: Any = False
    error: EngineError | None = None
    log: list = field(default_factory=list)

    def _is_closed(self):
        return self.state not in OPEN

    def _is_good(self):
        return self.state in GOOD

    @contextlib.contextmanager
    def _running(self):
        context = self.job.context
        progress = Progress(lambda _progress: context.cancel.check())
        self.state, self.date_start = "running", datetime.now(timezone.utc)
        context.cancel.check()
        try:
            yield progress
        except Cancelled:
            self.state = "skipped"
            raise
        except Deferred:
            self.state = "pending"
            raise
        except EngineError as error:
            self.state, self.error = "failure", error
        else:
            self.state = "warning" if progress.warnings else "success"
        finally:
            self.log += progress.lines

    def _skip(self, reason):
        self.state = "skipped"
        self._note(reason)

    def _mark_done(self, line):
        self.state = "success"
        self._note(line)

    def _note(self, line):
        self.log.append(line)

    def _reset(self):
        self.state, self.error = "pending", None


@dataclass(eq=False)
class Job:
    """A run. ``perform`` does what its process does with it."""

    kind: str
    context: Any = None
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    trigger: str = "manual"
    database_uuid: str = "0d5a0000-0000-4000-8000-000000000000"
    include_database: bool = True
    include_filestore: bool = True
    include_addons: bool = False
    archive_name: str = ""
    archive_size: float = 0
    archive_sha256: str = ""
    restore_accepted: Any = None
    restore_database: str = ""
    plan_id: Any = None
    step_ids: Records = field(default_factory=Records)
    copy_ids: Records = field(default_factory=Records)
    data: Any = None
    attempt: int = 0
    state: str = "pending"
    waits_for: Any = None

    @property
    def run_state(self):
        return RunState.read(self.data)

    def plan(self, storages=(), copies=(), **about):
        values = {"include_database": True, "include_filestore": True, **about}
        records = {one.id: one for one in (*storages, *copies)}
        steps = run_kind(self.kind).planned(values, storages, copies)
        self.step_ids = Records(
            *(
                Step(
                    self,
                    step["kind"],
                    records.get(step["storage_id"]),
                    records.get(step.get("copy_id")),
                )
                for step in steps
            )
        )
        for step in self.step_ids:
            if step.copy_id:
                step.storage_id = step.copy_id.storage_id
        return self

    def run(self):
        return run_kind(self.kind)(self.context)

    def perform(self):
        self.attempt += 1
        self.state = "running"
        self.run().perform()
        return self.state

    @property
    def states(self):
        return [(step.kind, step.state) for step in self.step_ids]

    def _step(self, kind, storage=None):
        found = self.step_ids.filtered(
            lambda s: s.kind == kind and storage in (None, s.storage_id)
        )
        return Records(*found.records[:1])

    def _storages(self):
        return self.step_ids.filtered(lambda s: s.kind == "upload").storage_id

    def _uploads_missing(self):
        return self.step_ids.filtered(
            lambda s: s.storage_id and not self._step("verify", s.storage_id)._is_good()
        )

    def _is_too_open(self):
        return False


class MemoryContext:
    """The parts of the context. ``database`` is the name of a real one, ``folder`` has
    everything else. ``at`` are what happens when a checkpoint of a step is asked for:
    functions that may raise."""

    def __init__(self, kind, folder, database, **values):
        self.job = Job(kind, self, **values)
        self.folder = folder
        self.slots = folder / "slots"
        self.name_of_database = database
        self.at = {}  # what to do while a step of that kind runs
        self.store = Store(self)
        self.cancel = Cancel(self)
        self.ending = Ending(self)
        self.files = Files(self)
        self.database = Database(self)
        self.plan = Plan(self)
        self.archive = Archive(self)
        self.catalogue = Catalogue(self)
        self.packs = Packs(self)
        self.restores = Restores(self)
        self.repairs = SimpleNamespace()


class Part:
    def __init__(self, context):
        self.context = context
        self.job = context.job


class Store(Part):
    def persist(self, records, values):
        for record in records if isinstance(records, Records) else [records]:
            vars(record).update(values)

    def update_state(self, **values):
        self.job.data = replace(self.job.run_state, **values).to_json()

    def restart(self, reason):
        for step in self.job.step_ids:
            if step.kind != "initialize":
                step._reset()
        self.job.archive_name = ""
        self.job.data = self.job.run_state.begun_again().to_json()
        self.job.step_ids.records[0]._note(reason)

    def record_archive(self, name, size, sha256, content):
        job = self.job
        job.archive_name, job.archive_size, job.archive_sha256 = name, size, sha256
        self.update_state(manifest=content.to_json())


class Cancel(Part):
    def check(self):
        for step in self.job.step_ids:
            if step.state == "running" and step.kind in self.context.at:
                self.context.at[step.kind]()

    def may_try_again(self):
        return self.job.attempt < MAX_ATTEMPTS

    def must_give_up(self):
        return self.job.attempt > MAX_ATTEMPTS


class Ending(Part):
    def finish(self):
        outcomes = [
            StepOutcome(step.kind, step.state, getattr(step.storage_id, "name", ""))
            for step in self.job.step_ids
        ]
        self.job.state = self.job.run().overall_state(outcomes)

    def cancel(self):
        self._skip_open()
        self.job.run().remove_files()
        self.job.state = "cancelled"

    def interrupt(self):
        self.break_off(None)

    def break_off(self, error):
        self._skip_open()
        self.job.run().remove_files()
        self.finish()

    def postpone(self, error):
        self.job.run().remove_files()
        self.job.state, self.job.waits_for = "pending", error

    def _skip_open(self):
        for step in self.job.step_ids:
            step.state = "skipped" if step.state in OPEN else step.state


class Files(Part):
    def work_path(self):
        return self.context.folder / "work" / self.job.uuid

    def archive_path(self):
        return self.work_path() / self.job.archive_name

    def is_archived(self):
        return bool(self.job.archive_name) and self.archive_path().exists()

    def filestore_path(self):
        return self.context.folder / "filestore" / self.context.name_of_database

    def custom_addons(self):
        return []

    def reservations(self):
        return Reservations(Folder(self.context.slots), self.job.uuid)

    def clean_up(self, progress):
        if not (self.job._uploads_missing() and self.is_archived()):
            self.remove_work()

    def remove_work(self):
        shutil.rmtree(self.work_path(), ignore_errors=True)


class Database(Part):
    def name(self):
        return self.context.name_of_database

    params: ClassVar = {}
    replica_params: ClassVar = None
    patience = 30.0

    def connection(self):
        return Connection(self.name(), self.params)

    def replica(self):
        if self.replica_params is None:
            return None
        return Connection(self.name(), self.replica_params)

    def replica_patience(self):
        return self.patience

    def server_version(self):
        with contextlib.closing(self.connection().connect()) as session:
            return session.server_version // 10000

    def pg_path(self):
        return None

    def dump_options(self):
        return DumpOptions()


class Plan(Part):
    def adopt(self):
        pass

    def adopt_encryption(self):
        pass

    incremental = False

    def is_incremental(self):
        return self.incremental

    def is_encrypted(self):
        return False

    def encryption_key(self):
        return None

    def note_filestore(self, report, complete):
        pass

    damaged = ()

    def damaged_files(self):
        return self.damaged

    def note_size(self):
        return 0

    def last_size(self):
        return self.last

    last = 0


class Archive(Part):
    def taken_at(self):
        moment = self.job.run_state.snapshot_at
        return datetime.fromisoformat(moment).astimezone(timezone.utc)

    def manifest(self, members):
        state, files = self.job.run_state, self.job._step("archive_files")
        saved = ["database"] if self.job._step("dump_database")._is_good() else []
        odoo = {
            "odoo_dump": "1",
            "db_name": self.context.database.name(),
            "version": "19.0",
            "version_info": [19, 0, 0, "final", 0, ""],
            "major_version": "19.0",
            "pg_version": f"{self.context.database.server_version()}.0",
            "modules": {"base": "19.0.1.3"},
        }
        ours = {
            "job": self.job.uuid,
            "run": "B1",
            "plan": "Plan",
            "database_uuid": self.job.database_uuid,
            "identity": Identity.from_key(self.job.database_uuid).to_json(),
            "snapshot_at": self.taken_at().isoformat(),
            "contents": saved + (["filestore"] if files._is_good() else []),
            "missing": [],
            "members": members,
            "pg_dump": state.pg_dump,
            "rows": state.rows,
            "attachments": state.attachments,
            "filestore": state.filestore,
            "addons": None,
            "encryption": {},
        }
        if state.incremental:
            packed = state.packed or summed(()).to_json()
            ours |= {"format": INCREMENTAL, "packed": packed}
        return manifest.build(odoo, ours)

    def sign(self, content):
        return content


class Catalogue(Part):
    def _copy_in(self, storage):
        return self.job.copy_ids.filtered(lambda copy: copy.storage_id is storage)

    def catalogued(self, storage):
        return Catalogued(int(self.job.archive_size), self.job.archive_sha256)

    def note_bad_pack(self, storage, use):
        self.bad_packs = [*getattr(self, "bad_packs", ()), use.key]

    def note_unread_packs(self, count):
        self.unread_packs = getattr(self, "unread_packs", 0) + count

    def record_copy(self, storage, state, **noted):
        if not self._copy_in(storage):
            job = self.job
            copy = Copy(
                1000 + storage.id,
                job.archive_name,
                storage,
                int(job.archive_size),
                job.archive_sha256,
            )
            job.copy_ids = Records(*job.copy_ids, copy)
        copy = self._copy_in(storage).records[0]
        copy.state = state
        vars(copy).update(noted)

    def listing(self, storage, progress):
        return {found.key: found.size for found in storage._get_storage().list()}

    def apply_retention(self, storage, progress, listing=None):
        pass

    def note_listed(self, storage, progress, sizes):
        self.listings = [*getattr(self, "listings", ()), sizes]


class Packs(Part):
    known_copies = ()
    in_the_way = None
    by = None  # a PackEncryption

    def __init__(self, context):
        super().__init__(context)
        self.unneeded = {}
        self.lock_refused = set()
        self.not_listed = set()
        self.rewriting = set()

    def obstacle(self):
        if self.not_listed:
            return MayNotList(storage=min(at.name for at in self.not_listed))
        return self.in_the_way

    def index(self, storage):
        return self.context.folder / "packs" / str(storage.id)

    def note_needs(self, storage, key, uses):
        remember(self.index(storage), key, uses)

    def terms(self, storage):
        return REWRITE if storage in self.rewriting else TERMS

    def note_rewritten(self, storage):
        self.rewriting.remove(storage)

    def note_not_listed(self, storage):
        self.not_listed.add(storage)

    def note_lock_refused(self, storage):
        self.lock_refused.add(storage)

    def place(self, storage):
        return Place(storage._get_own_storage(), self.index(storage))

    def owner(self, storage):
        identity = Identity.from_key(self.job.database_uuid)
        return Owner(identity, frozenset((identity.key,)), Signer(SERVER_KEY))

    def encryption(self):
        return self.by

    def new_bytes(self, storage, files):
        return files

    def require_prunable(self, storage):
        if self.in_the_way:
            raise self.in_the_way

    def known(self, storage):
        return self.known_copies

    def note_unneeded(self, storage, packs):
        self.unneeded[storage.id] = packs


class Restores(Part):
    def __init__(self, context):
        super().__init__(context)
        self.booted = []
        self.tested = []

    def open(self, copy, durable, whole, accepted):
        name = self.job.restore_database or f"dfr_drill_{self.job.uuid[:8]}"
        options = RestoreOptions(
            place=DatabaseLocation(name, self.context.folder / "filestore" / name),
            series="19.0",
            accepted=accepted,
            durable=durable,
            whole=whole,
            space=self.context.files.reservations(),
        )
        server = Connection("postgres")
        work = self.context.files.work_path()
        return Restore(server, options, work, self.context.folder / "markers")

    def other_storages(self, copy):
        return []

    def begin_again(self, steps):
        self.forget_leftovers()
        for step in steps:
            step._reset()
        self.context.files.work_path().mkdir(parents=True, exist_ok=True)

    def is_published(self):
        return False

    def identities(self, copy):
        return None

    def note_to_accept(self, errors):
        found = [{"code": error.finding, "text": str(error)} for error in errors]
        self.context.store.update_state(to_accept=found)

    def forget_leftovers(self):
        remove_leftovers(Connection("postgres"), self.context.folder / "markers")

    def forget_addons(self):
        pass

    def forget_fetched(self):
        self.context.files.remove_work()

    def forget_key(self):
        pass

    def boot(self, database, progress):
        self.booted.append(database)

    def note_staging(self):
        pass

    def note_drill(self, copy, steps):
        if all(step._is_good() for step in steps):
            self.tested.append(copy)
