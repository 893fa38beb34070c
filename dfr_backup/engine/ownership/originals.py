"""Which database of an identity is the original: a file of this server says so, which
no database can write."""

import contextlib
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg2

from ..errors import EngineError, reason_of
from ..errors.identity import AddonMissing, OriginalsUnusable
from ..fileio.durable import write_private
from ..identity import Identity, present_identity
from ..postgres.connection import Connection
from ..untrusted import parse_json

LARGEST_FILE = 1 << 20  # bytes
MOST_FORMER = 100  # identities that one database has had before
HAS_ADDON = """
    SELECT EXISTS (SELECT FROM ir_module_module WHERE name = 'dfr_backup'
                      AND state IN ('installed', 'to upgrade'))
"""
LIVING = """
    SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate
     ORDER BY oid
"""


@dataclass(frozen=True)
class Original:
    """The original of an identity. ``former`` are the keys of those that it has taken
    the place of. ``settled`` (UTC) is when that was said: whatever was stored until
    then under one of these identities counts as its own."""

    identity: Identity
    former: tuple[str, ...] = ()
    settled: datetime | None = None

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all identities whose backups are this database's own."""
        return frozenset((self.identity.key, *self.former))


class Originals:
    """The originals that this server knows, in a directory of its own: one file for
    each uuid. Every method raises OriginalsUnusable."""

    def __init__(self, folder: Path):
        self._folder = folder

    def of(self, uuid: str) -> Original | None:
        """Return the original of a uuid, None when nobody has claimed it yet."""
        path = self._path(uuid)
        try:
            with open(path, "rb") as file:
                text = file.read(LARGEST_FILE)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OriginalsUnusable(file=path, reason=reason_of(error)) from error
        return _parsed(text, path)

    def claim(self, identity: Identity) -> Original:
        """Note the original of a uuid unless somebody has done so; return who it
        is."""
        self._store(Original(identity), over=False)
        return self.of(identity.uuid) or Original(identity)

    def hand_over(self, identity: Identity) -> Original:
        """Let this database be the original of its uuid from now on, in place of the
        one that was."""
        before = self.of(identity.uuid)
        keys = before.keys - {identity.key} if before else ()
        made = Original(
            identity, tuple(sorted(keys))[:MOST_FORMER], datetime.now(timezone.utc)
        )
        self._store(made, over=True)
        return made

    def put_back(self, uuid: str, before: Original | None) -> None:
        """Undo a hand-over: what ``of`` has returned before it holds again."""
        if before:
            self._store(before, over=True)
            return
        with self._explained(self._path(uuid)):
            self._path(uuid).unlink(missing_ok=True)

    def _store(self, original: Original, *, over: bool) -> None:
        """Write the file, without ``over`` only where there is none."""
        path = self._path(original.identity.uuid)
        with self._explained(path):
            write_private(path, _text(original), over=over)

    @contextlib.contextmanager
    def _explained(self, path: Path) -> Any:
        try:
            yield
        except OSError as error:
            raise OriginalsUnusable(file=path, reason=reason_of(error)) from error

    def _path(self, uuid: str) -> Path:
        return self._folder / f"{hashlib.sha256(uuid.encode()).hexdigest()[:32]}.json"


@dataclass(frozen=True)
class Standing:
    """Who a database is (``present``) and who its original is: itself, another one, or
    nobody knows. ``known`` is what the server says, None when it says nothing;
    ``remembered`` is who the database says that it was."""

    present: Identity
    known: Original | None = None
    remembered: Identity | None = None

    @property
    def is_original(self) -> bool:
        """Whether this database is the original of its identity."""
        return self.known is not None and self.known.identity == self.present

    @property
    def keys(self) -> frozenset[str]:
        """The keys of the identities whose backups are this database's own."""
        own = frozenset((self.present.key,))
        return self.known.keys | own if self.known and self.is_original else own


def find_standing(
    present: Identity,
    remembered: Identity | None,
    originals: Originals,
    server: Connection,
) -> Standing:
    """Return the standing of the database ``present``.

    The server's file decides. Without one, a database that remembers itself in another
    place (``remembered``) is a copy, or was moved; else the oldest living database of
    the cluster with this uuid is the original, and that is noted. Raise EngineError.
    """
    known = originals.of(present.uuid)
    if known is None:
        if remembered and remembered.uuid == present.uuid and remembered != present:
            return Standing(present, None, remembered)
        namesakes = living_namesakes(server, present)
        known = originals.claim(min(namesakes, key=lambda each: each.oid))
    return Standing(present, known, remembered)


def living_namesakes(server: Connection, present: Identity) -> list[Identity]:
    """Return the ``living_databases`` that have the uuid of ``present``, and that one:
    it may be about to get the addon. Raise RetryableError."""
    found = living_databases(server)
    return [present, *(each for each in found if each.uuid == present.uuid)]


def living_databases(server: Connection) -> list[Identity]:
    """Return all databases of the cluster with this addon that accept connections, as
    far as they let us in. Raise RetryableError."""
    found = []
    for name in _names(server):
        try:
            found.append(identity_of(replace(server, database=name)))
        except EngineError:
            continue
    return found


def identity_of(connection: Connection) -> Identity:
    """Return who a database with this addon is. Raise AddonMissing, ServerUnreachable,
    which are EngineErrors."""
    with contextlib.closing(connection.connect()) as session, session.cursor() as cr:
        try:
            cr.execute(HAS_ADDON)
            if cr.fetchone()[0]:
                return present_identity(cr)
        except psycopg2.Error as error:
            raise AddonMissing(database=connection.database) from error
    raise AddonMissing(database=connection.database)


def is_living(server: Connection, identity: Identity) -> bool:
    """Tell whether a database of this cluster has that identity and accepts
    connections. Raise RetryableError."""
    return identity in living_databases(server)


def _names(server: Connection) -> list[str]:
    with contextlib.closing(server.connect()) as session, session.cursor() as cr:
        cr.execute(LIVING)
        return [name for (name,) in cr.fetchall()]


def _text(original: Original) -> bytes:
    settled = original.settled.isoformat() if original.settled else None
    content = {
        "identity": original.identity.to_json(),
        "former": list(original.former),
        "settled": settled,
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _parsed(text: bytes, path: Path) -> Original:
    try:
        content = parse_json(text)
        identity = Identity.from_json(content["identity"])
        former = tuple(map(str, content["former"]))
        settled = content["settled"] and datetime.fromisoformat(content["settled"])
    except (ValueError, KeyError, TypeError) as error:
        raise OriginalsUnusable(file=path, reason=str(error)) from error
    return Original(identity, former, settled or None)
