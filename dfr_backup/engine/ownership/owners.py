"""Who owns which location, and who else may read there, as this server has written it
down. A file for each location, named by the random id in its marker: believed before
anything that the location or a database says."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..errors.places import RecordUnreadable
from ..fileio.durable import make_directory, open_private, write_private
from ..fileio.locking import lock
from ..identity import Identity
from ..untrusted import parse_json

PLACE_ID = re.compile(r"[0-9a-f]{32}")
RECORD, READERS = ".json", ".readers"  # what the files of a location end with
Read = TypeVar("Read")


@dataclass(frozen=True)
class Record:
    """``owner`` has claimed the location. ``opened`` are databases that the server's
    operator has let in, ``sharers`` those that had backups there before locations had
    owners; these see their own backups only."""

    owner: Identity
    location: str = ""
    opened: tuple[Identity, ...] = ()
    sharers: tuple[Identity, ...] = ()

    def is_shared_for(self, identity: Identity) -> bool:
        """Tell whether a database sees its own backups only: not when the operator has
        opened all of the location to it."""
        return bool(self.sharers) and identity not in self.opened

    def to_json(self) -> dict[str, Any]:
        return {
            "owner": self.owner.to_json(),
            "location": self.location,
            "opened": [one.to_json() for one in self.opened],
            "sharers": [one.to_json() for one in self.sharers],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Record":
        """Return what a file says. Raise ValueError, KeyError or TypeError."""
        owner = Identity.from_json(data["owner"])
        if not owner.uuid:
            raise ValueError("no owner")
        return cls(
            owner,
            str(data.get("location", "")),
            tuple(map(Identity.from_json, data.get("opened", []))),
            tuple(map(Identity.from_json, data.get("sharers", []))),
        )


class Owners:
    """The records below ``folder``, which is made with the mode 0700 when the first
    one is written; each file has the mode 0600, and is on the disk when a method
    returns."""

    def __init__(self, folder: Path):
        self._folder = folder

    def find(self, place_id: str) -> Record | None:
        """Return the record of a location, or None. Raise RecordUnreadable."""
        return self._read(place_id, RECORD, Record.from_json)

    def claim(self, place_id: str, record: Record) -> Record:
        """Write down the first owner of a location; return the record that is there
        then, which is another one when somebody was faster."""
        with self._locked():
            known = self.find(place_id)
            if known is None:
                self._write(place_id, record)
        return known or record

    def readers(self, place_id: str) -> tuple[Identity, ...]:
        """Return the databases that may read in a location, whoever owns it. Raise
        RecordUnreadable."""
        return self._read(place_id, READERS, _identities) or ()

    def open_for_reading(self, place_id: str, identity: Identity) -> None:
        """Let a database read in a location, and do no more there. The location needs
        no record."""
        with self._locked():
            known = self.readers(place_id)
            self._write_readers(place_id, _with(known, identity))

    def forget(self, place_id: str) -> None:
        """Remove the record of a location that was not claimed after all."""
        with self._locked():
            self._path(place_id).unlink(missing_ok=True)

    def open_to(self, place_id: str, identity: Identity) -> Record:
        """Let a database in, as the operator wishes. The location must have a
        record."""
        return self._change(place_id, lambda record: _opened(record, identity))

    def share_with(self, place_id: str, identity: Identity) -> Record:
        """Note that a database has had backups there all along."""
        return self._change(
            place_id,
            lambda record: replace(record, sharers=_with(record.sharers, identity)),
        )

    def move_to(self, identity: Identity) -> int:
        """Let the database that is the original of its uuid now take the place of the
        one that was, in every record; return in how many. For a database that was
        moved, or restored as the original."""
        count = 0
        for path in sorted(self._folder.glob("*.json")):
            record = self.find(path.stem)
            if record and _moved(record, identity) != record:
                self._change(path.stem, lambda found: _moved(found, identity))
                count += 1
        for path in sorted(self._folder.glob(f"*{READERS}")):
            with self._locked():
                known = self.readers(path.stem)
                self._write_readers(path.stem, _all_moved(known, identity))
        return count

    def _change(self, place_id: str, change: Callable[[Record], Record]) -> Record:
        with self._locked():
            record = self.find(place_id)
            if record is None:
                raise RecordUnreadable(location=place_id, file=self._path(place_id))
            changed = change(record)
            if changed != record:
                self._write(place_id, changed)
        return changed

    def _path(self, place_id: str, suffix: str = RECORD) -> Path:
        if not PLACE_ID.fullmatch(place_id):
            raise ValueError(f"no id of a location: {place_id!r}")
        return self._folder / f"{place_id}{suffix}"

    def _read(
        self, place_id: str, suffix: str, parse: Callable[[Any], Read]
    ) -> Read | None:
        """Return what a file says, None without one. Raise RecordUnreadable."""
        path = self._path(place_id, suffix)
        try:
            return parse(parse_json(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordUnreadable(
                location=place_id, file=path, log=str(error)
            ) from error

    def _write(self, place_id: str, record: Record) -> None:
        content = json.dumps(record.to_json(), indent=1).encode()
        write_private(self._path(place_id), content, over=True)

    def _write_readers(self, place_id: str, identities: tuple[Identity, ...]) -> None:
        content = json.dumps([one.to_json() for one in identities], indent=1).encode()
        write_private(self._path(place_id, READERS), content, over=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time writes."""
        make_directory(self._folder)
        file = open_private(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            lock(file)
            yield
        finally:
            os.close(file)


def _identities(data: Any) -> tuple[Identity, ...]:
    return tuple(map(Identity.from_json, data))


def _with(identities: tuple[Identity, ...], one: Identity) -> tuple[Identity, ...]:
    return identities if one in identities else (*identities, one)


def _opened(record: Record, identity: Identity) -> Record:
    if identity == record.owner and not record.sharers:
        return record
    return replace(record, opened=_with(record.opened, identity))


def _moved(record: Record, present: Identity) -> Record:
    return Record(
        _all_moved((record.owner,), present)[0],
        record.location,
        _all_moved(record.opened, present),
        _all_moved(record.sharers, present),
    )


def _all_moved(
    identities: tuple[Identity, ...], present: Identity
) -> tuple[Identity, ...]:
    """Return them with the original of its uuid in the place of the one that was."""
    return tuple(present if one.uuid == present.uuid else one for one in identities)
