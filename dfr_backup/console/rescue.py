"""For the day on which the host is lost: every database comes back from a storage."""

import contextlib
import json
import re
import sys
import time

from .. import odoo_config
from ..engine.catalog.newest import found_below, newest_of_each
from ..engine.errors import EngineError
from ..engine.errors.restore import BadName, NameTaken
from ..engine.errors.server import NoSuchDatabase, NothingStored, NothingWhole
from ..engine.fileio.durable import write_private
from ..engine.messages import Size
from ..engine.ownership.originals import identity_of, living_databases
from ..engine.profile.model import FolderNames
from ..engine.restore.leftovers import remove_leftovers
from ..engine.storages.base import UNLIMITED
from ..engine.storages.url import storage_at
from ..engine.untrusted import parse_json
from . import archives
from .archives import APPLICATION, Told, explained, let_read, restore_stored
from .report import Row, plain, told
from .several import WRONG_USAGE

NAMES = "SELECT datname, oid::bigint FROM pg_database"
USABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")  # as Odoo has them
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
    unreadable, rows = [], []
    found = newest_of_each(_found(options, unreadable))
    for name in options.exclude:
        if name not in found:
            raise NoSuchDatabase(database=name)
        del found[name]
    if not found and not unreadable:
        raise NothingStored(address=", ".join(options.sources))
    server = odoo_config.connection("postgres", APPLICATION)
    remove_leftovers(server, odoo_config.markers())  # of a call that was killed
    notes = Notes()
    for best in found.values():
        try:
            with odoo_config.data_folder_explained():
                rows.append(_restored(best, options, notes))
        except EngineError as error:
            rows.append(_row(best, "failed", error))
    return told([*rows, *unreadable], options, HEAD)


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
            options.to = best.database
            let_read(best.storage, options, [])
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


def _found(options, unreadable):
    """Yield what the storages hold, each with its storage. ``unreadable`` gets a row
    for each folder that cannot be read."""

    def report(storage, error):
        where = storage.location("")
        if error:
            unreadable.append(Row(where, "unreadable", error))
        elif not options.json:
            print(f"Looking at {plain(where)}", flush=True)

    for source in options.sources:
        for storage in _storages(source, options):
            yield from found_below(storage, Told(options), report)


def _storages(source, options):
    """Return the storages of an address, or of a section of the profile."""
    section = None
    if "/" not in source:  # an address needs no profile, which may be lost as well
        profile = odoo_config.profile()
        section = profile and profile.section(source)
    if section:
        return _of_section(section, filter(None, (options.database or "").split(",")))
    return [storage_at(source, folder=True)[0]]


def _of_section(section, databases):
    """Return the storage in which all databases of a section have their folders, or
    that of each database that is named, where names are all it takes."""
    kind, places, databases = section.kind, section.places(), list(databases)
    if kind.directory:
        section.require_base()
        return [storage_at(section.base(), folder=True)[0]]
    if not (databases and set().union(*places.values()) == {"database"}):
        if not set(places) <= {kind.path}:
            remedy = NothingStored.remedy_folders
            raise NothingStored(remedy=remedy, address=f"[storage {section.name}]")
        databases = [""]
    settings = [SectionSettings(section, name) for name in databases]
    return [kind.engine.from_settings(one) for one in settings]


class SectionSettings:
    """The ``Settings`` of a section as a database has them, or without one those of
    the folder in which all have theirs."""

    server = odoo_config
    limits = UNLIMITED

    def __init__(self, section, database):
        self._section, self._names = section, database and FolderNames.of(database, "")

    def value(self, name):
        kind, value = self._section.kind, self._section.values.get(name, "")
        if name not in kind.folder or not isinstance(value, str):
            return value
        if self._names:
            return self._names.fill(value)
        return self._section.base() if name == kind.path else value

    def secret(self, name):
        return self._section.secret(name)
