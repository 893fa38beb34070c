"""Whose a location is, looked at before anything in it is read, written or deleted.

A small object in the location, its marker, holds a random id, by which the location is
recognised, and a copy of who owns it. What counts is the record of that id on this
server (``owners``). Access that the server lends (a directory, a remote, keys of the
operator) opens nothing of another database, until the operator opens it; with
credentials that were typed into the database, reading is open.
"""

import secrets
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..catalog.scan import owner_in, usable_sidecar
from ..errors.places import (
    OtherPlace,
    PlaceLost,
    PlaceNotEmpty,
    PlaceOfAnother,
    PlaceRaced,
)
from ..identity import Identity
from ..manifest.names import SIDECAR_SUFFIX, sidecar_key
from ..storages.base import UNKNOWN, Storage, Unknown
from .marker import MARKER, MOST, Marker, read_marker
from .owners import Owners, Record


class Purpose(Enum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Stored:
    """A backup that the catalogue knows: the key and the SHA-256 of its archive."""

    key: str
    sha256: str


def _nothing(_place_id: str) -> None:
    return None


@dataclass(frozen=True)
class Guest:
    """The database that wants to use a location.

    ``lent``: the server lends the access. ``known_id`` is that of the location when it
    was last seen, "" before. ``newest`` returns its own newest backups there, by the
    catalogue. ``was_there``: the storage is older than the owners of locations.
    ``former`` are the uuids of databases whose place it has taken. ``welcome`` is
    called with the id of each location that is let in to: it notes the id, and raises
    SamePlace when another storage of the database has it.
    """

    identity: Identity
    lent: bool
    known_id: str = ""
    newest: Callable[[], Sequence[Stored]] = tuple
    was_there: bool = False
    former: frozenset[str] = frozenset()
    welcome: Callable[[str], None] = _nothing


def open_command(location: str, database: str) -> str:
    """Return the line with which the operator lets a database into a location."""
    return f"odoo backup open {shlex.quote(location)} -d {shlex.quote(database)}"


class Door:
    """Lets a database into a location, or raises one of ``errors.places``."""

    def __init__(self, storage: Storage, owners: Owners, guest: Guest):
        self._storage = storage
        self._owners = owners
        self._guest = guest

    def admit(self, purpose: Purpose) -> Record | None:
        """Return the record of the location; None when it has no owner yet and is
        only read, or when nobody can tell. Whoever writes first, owns it."""
        found = read_marker(self._storage)
        if isinstance(found, Unknown):
            return self._unknown(purpose)
        if found is None:
            return self._unmarked(purpose)
        return self._marked(found, purpose)

    def enter(self, purpose: Purpose) -> bool:
        """Come in as ``admit`` does; return whether only its own backups are for this
        database."""
        record = self.admit(purpose)
        return bool(record and record.is_shared_for(self._guest.identity))

    def _marked(self, marker: Marker, purpose: Purpose) -> Record | None:
        guest = self._guest
        if guest.known_id and marker.place_id != guest.known_id:
            raise OtherPlace(location=self._location)
        record = self._owners.find(marker.place_id)
        if record is None and self._is_ours(marker):
            record = self._owners.claim(marker.place_id, self._record())
        if record and self._is_let_in(record):
            guest.welcome(marker.place_id)
            return record
        if record and guest.was_there and self._holds_ours():
            record = self._owners.share_with(marker.place_id, guest.identity)
            guest.welcome(marker.place_id)
            return record
        owner = record.owner if record else marker.owner
        # what only a marker says opens nothing that the server lends
        known = owner if record or not guest.lent else None
        if not (self._may(purpose, known) or self._reads(marker.place_id, purpose)):
            name = owner.name if owner else ""
            raise PlaceOfAnother(**self._values, owner=name)
        if purpose is Purpose.WRITE:
            guest.welcome(marker.place_id)
        return record

    def _is_ours(self, marker: Marker) -> bool:
        """Tell whether a location that this server has no record of is ours. A marker
        alone is the word of whoever can write there."""
        ours = marker.owner == self._guest.identity
        return ours and (not self._guest.lent or self._holds_ours())

    def _is_let_in(self, record: Record) -> bool:
        return self._guest.identity in (record.owner, *record.opened, *record.sharers)

    def _may(self, purpose: Purpose, owner: Identity | None) -> bool:
        """Tell what somebody may who is not let in. A database that was moved goes on
        to add its backups; what it may delete is decided elsewhere."""
        guest = self._guest
        if purpose is Purpose.READ:
            return not guest.lent
        if owner is None:
            return not guest.lent
        same = owner.uuid == guest.identity.uuid
        return same or (not guest.lent and owner.uuid in guest.former)

    def _reads(self, place_id: str, purpose: Purpose) -> bool:
        """Tell whether the operator has opened the location for no more than this."""
        if purpose is not Purpose.READ:
            return False
        return self._guest.identity in self._owners.readers(place_id)

    def _unmarked(self, purpose: Purpose) -> Record | None:
        self._storage.check()  # a directory that is missing has an error of its own
        guest = self._guest
        if guest.known_id:
            if not self._holds_ours():
                raise PlaceLost(location=self._location)
            return self._mark_again()
        if guest.lent and not self._is_empty() and not self._holds_ours():
            raise PlaceNotEmpty(**self._values)
        return self._claim() if purpose is Purpose.WRITE else None

    def _unknown(self, purpose: Purpose) -> Record | None:
        """Nobody tells whether there is a marker: that is not the same as none."""
        guest = self._guest
        if guest.known_id:
            return self._known(guest.known_id, purpose)
        if guest.lent:
            raise PlaceNotEmpty(**self._values)
        return self._claim() if purpose is Purpose.WRITE else None

    def _known(self, place_id: str, purpose: Purpose) -> Record | None:
        """Return the record of the location that was here last: without its marker, it
        alone tells who may do what."""
        record = self._owners.find(place_id)
        if record is None or self._is_let_in(record):
            return record
        if not (self._may(purpose, record.owner) or self._reads(place_id, purpose)):
            raise PlaceOfAnother(**self._values, owner=record.owner.name)
        return record

    def _claim(self) -> Record:
        """Note the owner first: whoever is killed before the marker is there has
        claimed nothing, and whoever is killed after it owns the location."""
        place_id, guest = secrets.token_hex(16), self._guest
        guest.welcome(place_id)
        record = self._owners.claim(place_id, self._record())
        marker = Marker(place_id, guest.identity).to_bytes()
        if self._storage.create(marker, MARKER):
            return record
        found = read_marker(self._storage)
        if found is None:  # somebody has written over it
            self._storage.put_bytes(marker, MARKER)
            return record
        self._owners.forget(place_id)
        known = isinstance(found, Marker) and self._owners.find(found.place_id)
        if isinstance(found, Marker) and known and self._is_let_in(known):
            guest.welcome(found.place_id)  # another run of this database was faster
            return known
        raise PlaceRaced(location=self._location)

    def _mark_again(self) -> Record | None:
        guest = self._guest
        record = self._owners.find(guest.known_id)
        owner = record.owner if record else guest.identity
        if owner != guest.identity and record and not self._is_let_in(record):
            raise PlaceOfAnother(**self._values, owner=owner.name)
        self._storage.put_bytes(Marker(guest.known_id, owner).to_bytes(), MARKER)
        return self._owners.claim(guest.known_id, record or self._record())

    def _record(self) -> Record:
        """Return ours; it is one of a shared location when somebody else has stored
        there before locations had owners."""
        ours = self._guest.identity
        shared = self._guest.was_there and self._holds_others()
        return Record(ours, self._location, sharers=(ours,) if shared else ())

    def _is_empty(self) -> bool:
        return all(found.key == MARKER for found in self._storage.list())

    def _holds_ours(self) -> bool:
        """Tell whether one of our newest backups is there: its manifest says so."""
        return any(self._is_there(stored) for stored in self._guest.newest())

    def _holds_others(self) -> bool:
        """Tell whether a backup of another database is there. Reads each manifest, up
        to the first of another one."""
        ours = {"", self._guest.identity.uuid, *self._guest.former}
        return any(
            found.key.endswith(SIDECAR_SUFFIX)
            and owner_in(self._storage, found.key) not in ours
            for found in self._storage.list()
        )

    def _is_there(self, stored: Stored) -> bool:
        key = sidecar_key(stored.key)
        if self._storage.stat(key) is None:
            return False
        sidecar = usable_sidecar(self._storage, key)
        return sidecar is not None and sidecar.sha256 == stored.sha256

    @property
    def _location(self) -> str:
        return self._storage.location("")

    @property
    def _values(self) -> dict[str, Any]:
        command = open_command(self._location, self._guest.identity.name)
        return {"location": self._location, "command": command}


def open_to(storage: Storage, owners: Owners, identity: Identity) -> Record:
    """Let a database in, as the server's operator wishes; mark the location when it
    has no marker. It belongs to the first who is let in."""
    found = read_marker(storage)
    location = storage.location("")
    if not isinstance(found, Marker):
        found = Marker(secrets.token_hex(16), identity)
        if not storage.create(found.to_bytes(), MARKER):
            if storage.peek(MARKER, MOST) is UNKNOWN:
                raise PlaceRaced(location=location)
            storage.put_bytes(found.to_bytes(), MARKER)  # over what is no marker
    owners.claim(found.place_id, Record(identity, location))
    return owners.open_to(found.place_id, identity)


def open_for_reading(storage: Storage, owners: Owners, identity: Identity) -> bool:
    """Let a database read in a location, as the server's operator wishes, and do no
    more there; tell whether the location could be recognised. It is not written to: one
    without a marker is opened by ``open_to`` alone."""
    found = read_marker(storage)
    if not isinstance(found, Marker):
        return False
    owners.open_for_reading(found.place_id, identity)
    return True
