"""Where a storage is: whether another one is there, and what its location is to know
of this database."""

import os
import posixpath
from functools import partial

from ...engine.errors.places import (
    PlaceNotEmpty,
    PlaceOfAnother,
    PlaceRaced,
    SamePlace,
)
from ...engine.ownership.locations import Guest, Stored

NEWEST = 5  # backups, one of which must be there for a location to be recognised


def _canonical_address(storage):
    """Return what is the same for two storages that are surely in one folder."""
    kind = storage._kind()
    host = [
        str(storage[name] or "").strip().rstrip("/").lower()
        for name in kind.fields("host")
    ]
    folder = [_canonical_folder(storage, name) for name in kind.fields("folder")]
    return (*host, *folder)


def _canonical_folder(storage, name):
    folder = str(storage[name] or "").strip()
    if name == _directory_field(storage):
        return os.path.realpath(folder)
    return posixpath.normpath(folder.rstrip("/") or ".")


def _others(storage):
    return (
        storage.sudo()
        .with_context(active_test=False)
        .search([("id", "!=", storage.id)])
    )


def refuse_same_address(storage):
    """Raise SamePlace when another storage has this address: an early hint, since
    one folder may have several."""
    mine = _canonical_address(storage)
    for other in _others(storage).filtered(
        lambda one: one.provider == storage.provider
    ):
        if _canonical_address(other) == mine:
            raise SamePlace(location=storage._where(), storage=other.name)


def claim(storage):
    """Own a new location. Whose it is instead is told by the test."""
    try:
        storage._guarded(may_write=True).admit()
    except (PlaceNotEmpty, PlaceOfAnother, PlaceRaced):
        return


def guest_of(storage):
    """Return who this database is to a location."""
    env, storage = storage.env, storage.sudo()
    return Guest(
        identity=env["backup.job"]._current_identity(),
        lent=storage._is_lent(),
        known_id=storage.place_id or "",
        newest=partial(_newest_here, storage),
        was_there=storage.was_there,
        former=frozenset(storage.former_uuids or []),
        welcome=partial(_welcome, storage),
    )


def _newest_here(storage):
    copies = storage.env["backup.copy"].search(
        [
            ("storage_id", "=", storage.id),
            ("state", "!=", "deleted"),
            ("sha256", "!=", False),
        ]
    )
    own = copies.filtered("is_ours")[:NEWEST]
    return [Stored(copy.key, copy.sha256) for copy in own]


def _welcome(storage, place_id):
    """Note the id of the location, at the first time."""
    if storage.place_id == place_id:
        return
    twin = _others(storage).filtered(lambda other: other.place_id == place_id)
    if twin:
        raise SamePlace(location=storage._where(), storage=twin[0].name)
    values = {"place_id": place_id, "was_there": False}
    storage.env["backup.job"]._persist(storage, values)


def near_directory(storage):
    return storage[_directory_field(storage)] or "/"


def warning_of(storage):
    if storage._is_off_site():
        return False
    if storage._is_beside_the_data():
        return storage.env._(
            "This directory is on the same disk as Odoo's data: when the disk "
            "breaks, both are gone. It helps against a mistake, and is quick to "
            "restore from. Add an off-site storage."
        )
    return storage.env._(
        "This directory is on this server: it protects against a broken disk, but not "
        "against fire, theft or an intruder. Add an off-site storage."
    )


def sharing_in_words(storage):
    return storage.env._(
        "Other databases keep backups in the same location. Each of them sees and "
        "deletes only its own. Create a storage with a location of its own for "
        "this database, select it in the plan instead of this one, and keep this "
        "one until its last backup has expired."
    )


def _directory_field(storage):
    """Return the field that is a directory of this server, "" for none."""
    kind = storage._kind()
    return kind.field(kind.directory)
