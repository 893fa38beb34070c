"""What a staging copy says of itself: without it no database is deleted or replaced."""

import json
from dataclasses import asdict, dataclass

from ..untrusted import parse_json

PARAMETER = "dfr_backup.staging_copy"
HAS_PARAMETERS = "SELECT to_regclass('ir_config_parameter') IS NOT NULL"


@dataclass(frozen=True)
class StagingMark:
    """Written into a copy before it gets its name, as a parameter of the database.

    ``run`` is the uuid of the run that has made it, ``owner`` the identity (its key) of
    the database that the run belongs to, ``oid`` the copy's number in its cluster, and
    ``uuid`` the identity that it was given. A copy of the copy has another number; who
    gives it another identity, or none, says that it is more than a copy.
    """

    run: str
    owner: str
    oid: int = 0
    uuid: str = ""

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "StagingMark | None":
        """Return what a database says, None when that has another shape."""
        try:
            found = parse_json(text.encode())
            mark = cls(found["run"], found["owner"], found["oid"], found["uuid"])
        except (ValueError, KeyError, TypeError):
            return None
        texts = (mark.run, mark.owner, mark.uuid)
        right = all(isinstance(text, str) for text in texts)
        return mark if right and type(mark.oid) is int else None
