"""The marker of a location: a small object, by which the location is recognised."""

import json
from dataclasses import dataclass

from ..identity import Identity
from ..storages.base import Storage, Unknown
from ..untrusted import parse_json
from .owners import PLACE_ID

MARKER = "dfr_backup-location"
MOST = 16 << 10  # bytes of a marker that is read


@dataclass(frozen=True)
class Marker:
    """What the marker of a location says; ``owner`` is None when it names nobody."""

    place_id: str
    owner: Identity | None

    def to_bytes(self) -> bytes:
        owner = self.owner.to_json() if self.owner else None
        facts = {"dfr_backup": "location", "id": self.place_id, "owner": owner}
        return json.dumps(facts, indent=1).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Marker | None":
        """Return what a marker says, None for anything else: somebody may have
        written over it."""
        try:
            facts = parse_json(data)
            place_id = facts["id"]
            owner = None
            if facts["owner"] is not None:
                owner = Identity.from_json(facts["owner"])
            if not PLACE_ID.fullmatch(place_id) or (owner and not owner.uuid):
                return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(place_id, owner)


def read_marker(storage: Storage) -> Marker | Unknown | None:
    """Return the marker of a location, None when it has none that can be used, and
    ``UNKNOWN`` when the storage does not tell."""
    data = storage.peek(MARKER, MOST)
    return data if isinstance(data, Unknown) else (data and Marker.parse(data)) or None
