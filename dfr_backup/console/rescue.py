"""For the day on which the host is lost: every database comes back from a storage."""

import contextlib
import json
import re
import sys
import time
from pathlib import Path

from .. import odoo_config
from ..engine.catalog.newest import folders_below, newest_of_each
from ..engine.catalog.scan import scan
from ..engine.errors import EngineError, reason_of
from ..engine.errors.local import DirectoryMissing
from ..engine.errors.restore import BadName, NameTaken
from ..engine.errors.server import NoSuchDatabase, NothingStored, NothingWhole
from ..engine.fileio.durable import write_private
from ..engine.messages import Size
from ..engine.ownership.originals import identity_of, living_databases
from ..engine.profile.model import PLACE, FolderNames
from ..engine.progress import Progress
from ..engine.restore.leftovers import remove_leftovers
from ..engine.storages.base import UNLIMITED
from ..engine.storages.local.storage import LocalRules, LocalStorage
from ..engine.storages.url import storage_at
from ..engine.untrusted import parse_json
from . import archives
from .archives import APPLICATION, explained, restore_stored
from .report import Row, plain, told
from .several import WRONG_USAGE

NAMES = "SELECT datname, oid::bigint FROM pg_database"
USABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")  # as Odoo has them
ANYWHERE = LocalRules([Path("/")])
HEAD = ("BACKUP OF", "SIZE", "SECONDS")


def restore(options):
    """Restore one archive, or all databases of some storages."""
    if options.all and options.sources and not (options.archive or options.to):
        return restore_all(options)
    if options.archive and options.to and not (options.all or options.sources):
        return archives.restore(options)
    print("Either ARCHIVE --to NEWDB, or --from STORAGE --all", file=sys.stderr)
    return WRONG_USAGE


@explained
def restore_all(options):
    """Restore the newest whole backup of each database into its name. What was killed
    goes on when it is called again: whatever is there already is left as it is."""
    found = newest_of_each(_found(options))
    for name in options.exclude:
        if name not in found:
            raise NoSuchDatabase(database=name)
        del found[name]
    if not found:
        raise NothingStored(address=", ".join(options.sources))
    server = odoo_config.connection("postgres", APPLICATION)
    remove_leftovers(server, odoo_config.markers())  # of a call that was killed
    notes, rows = Notes(), []
    for best in found.values():
        try:
            with odoo_config.data_folder_explained():
                rows.append(_restored(best, options, notes))
        except EngineError as error:
            rows.append(_row(best, "failed", error))
    return told(rows, options, HEAD)


def _restored(best, options, notes):
    name = best.database
    if not USABLE.fullmatch(name):
        return _row(best, "failed", BadName(database=name))
    there = _databases()
    if name in there:
        if notes.has(name, there[name]) or _is_same(best, options):
            return _row(best, "was_restored")
        taken = NameTaken(remedy=NameTaken.remedy_alone, database=name)
        return _row(best, "exists", taken)
    if not best.sidecar:
        return _row(best, "failed", NothingWhole(database=name))
    if not options.json:
        place = plain(best.storage.location(best.sidecar.key))
        print(f"=== {name}: {place}", flush=True)
    started = time.monotonic()
    options.to = name
    restore_stored(best.storage, best.sidecar.key, options)
    notes.add(name, _databases().get(name))
    return _row(best, "restored", seconds=time.monotonic() - started)


def _is_same(best, options):
    """Tell whether a database is the one of the backups, and comes back as itself. A
    restore that was killed before it was handed its identity is ended here."""
    if not options.same_identity:
        return False
    with contextlib.suppress(EngineError):
        identity = identity_of(odoo_config.connection(best.database, APPLICATION))
        if identity.uuid not in best.uuids:
            return False
        known = odoo_config.originals().of(identity.uuid)
        if known and known.identity == identity:
            return True
        living = living_databases(odoo_config.connection("postgres", APPLICATION))
        if not known or known.identity not in living:
            odoo_config.hand_over(identity)
            return True
    return False


def _row(best, state, problem=None, seconds=None):
    sidecar, notes = best.sidecar, []
    if len(best.uuids) > 1:
        notes.append(
            f"backups of {len(best.uuids)} databases have this name: the newest counts"
        )
    for partial in best.partial:
        notes.append(
            f"newer, but without database or attachments: {partial.key} of "
            f"{partial.taken_at:%Y-%m-%d %H:%M} UTC"
        )
    for one in best.unusable:
        notes.append(f"newer, but unusable: {one.key}: {one.problem.message}")
    facts = {
        "archive": sidecar and best.storage.location(sidecar.key),
        "taken_at": sidecar and sidecar.taken_at.isoformat(),
        "size": sidecar and sidecar.size,
        "seconds": seconds and round(seconds, 2),
        "notes": notes,
    }
    cells = (
        f"{sidecar.taken_at:%Y-%m-%d %H:%M} UTC" if sidecar else "none",
        str(Size(sidecar.size)) if sidecar else "",
        f"{seconds:.0f}" if seconds else "",
    )
    return Row(best.database, state, problem, cells, tuple(notes), facts)


def _databases():
    """Return the oid of each database of the server, by its name."""
    server = odoo_config.connection("postgres", APPLICATION)
    with contextlib.closing(server.connect()) as session, session.cursor() as cr:
        cr.execute(NAMES)
        return dict(cr.fetchall())


class Notes:
    """Which databases a call has restored: the next one knows them by it."""

    def __init__(self):
        self._path = odoo_config.data_root() / "restored.json"
        try:
            self._oids = dict(parse_json(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            self._oids = {}

    def has(self, name, oid):
        return self._oids.get(name) == oid

    def add(self, name, oid):
        self._oids[name] = oid
        with contextlib.suppress(OSError):  # then the next call says that it exists
            write_private(self._path, json.dumps(self._oids).encode(), over=True)


# === WHAT IS STORED === #


def _found(options):
    """Yield what the storages hold, each with its storage."""
    for source in options.sources:
        for storage in _storages(source, options):
            if not options.json:
                print(f"Looking at {plain(storage.location(''))}", flush=True)
            for one in scan(storage, Progress()):
                yield storage, one


def _storages(source, options):
    """Return the storages of an address, or of a section of the profile: each folder
    below it, where that is on this server."""
    section = None
    if "/" not in source:  # an address needs no profile, which may be lost as well
        profile = odoo_config.profile()
        section = profile and profile.section(source)
    if section and not section.kind.directory:
        return _of_section(section, (options.database or "").split(","))
    if section:
        section.require_base()
        path = str(section.values[section.kind.directory])
        before, brace, _after = path.partition("{")
        source = before.rpartition("/")[0] if brace else before
    elif "://" in source:
        return [storage_at(source, folder=True)[0]]
    try:
        folders = folders_below(Path(source).resolve())
    except OSError as error:
        raise DirectoryMissing(folder=source, log=reason_of(error)) from error
    return [LocalStorage(folder, ANYWHERE) for folder in folders]


def _of_section(section, databases):
    """Return the storages of a section. What cannot list folders has one for each
    database that is named."""
    folders = [
        str(value)
        for name, value in section.values.items()
        if name in section.kind.folder
    ]
    places = {place for text in folders for place in PLACE.findall(text)}
    if places - {"database"} or (places and not any(databases)):
        remedy = NothingStored.remedy_folders
        raise NothingStored(remedy=remedy, address=f"[storage {section.name}]")
    names = [FolderNames.of(name, "") for name in databases if name or not places]
    kind = section.kind.engine
    return [kind.from_settings(SectionSettings(section, one)) for one in names]


class SectionSettings:
    """The ``Settings`` of a section, as one database has them."""

    server = odoo_config
    limits = UNLIMITED

    def __init__(self, section, names):
        self._section, self._names = section, names

    def value(self, name):
        value = self._section.values.get(name, "")
        is_folder = name in self._section.kind.folder and isinstance(value, str)
        return self._names.fill(value) if is_folder else value

    def secret(self, name):
        return self._section.secret(name)
