"""Who a database is, as the server knows it: no value in the database alone decides
that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LARGEST_OID = (1 << 32) - 1
LONGEST_UUID, LONGEST_SYSTEM, LONGEST_NAME = 128, 20, 255  # characters
PRESENT = """
    SELECT (SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'),
           (SELECT system_identifier::text FROM pg_control_system()),
           d.oid::bigint, d.datname
      FROM pg_database d WHERE d.datname = current_database()
"""


@dataclass(frozen=True)
class Identity:
    """Who a database is: its ``uuid`` (Odoo's ``database.uuid``, "" without one), the
    ``system`` identifier of its PostgreSQL cluster (a decimal number as text, "" when
    unknown) and its ``oid`` there (0 when unknown). A raw copy has another OID, a clone
    in another cluster another system identifier; renaming keeps all three. ``name`` is
    for people and makes no difference.
    """

    uuid: str
    system: str = ""
    oid: int = 0
    name: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """The identity as one text, to store and to compare."""
        return f"{self.uuid}/{self.system}/{self.oid}"

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is unknown."""
        return bool(self.uuid and self.system and self.oid)

    @classmethod
    def from_key(cls, key: str) -> "Identity":
        """Return the identity of a ``key``; what it does not say is unknown."""
        uuid, system, oid = (*key.split("/"), "", "", "")[:3]
        return cls.from_json(
            {"uuid": uuid, "system": system, "oid": int(oid) if oid.isdecimal() else 0}
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "uuid": self.uuid,
            "system": self.system,
            "oid": self.oid,
            "name": self.name,
        }

    @classmethod
    def from_json(cls, data: object) -> "Identity":
        """Return what such JSON says. It is not believed: what has another shape is
        unknown."""
        values: Mapping[str, Any] = data if isinstance(data, dict) else {}
        system = _text(values.get("system"), LONGEST_SYSTEM)
        oid = values.get("oid")
        if not isinstance(oid, int) or isinstance(oid, bool):
            oid = 0
        return cls(
            _text(values.get("uuid"), LONGEST_UUID),
            system if system.isascii() and system.isdecimal() else "",
            oid if 0 < oid <= LARGEST_OID else 0,
            _text(values.get("name"), LONGEST_NAME),
        )


UNKNOWN = Identity("")


def present_identity(cr: Any) -> Identity:
    """Return who the database is that ``cr`` is connected to. Raise psycopg2.Error."""
    cr.execute(PRESENT)
    uuid, system, oid, name = cr.fetchone()
    return Identity(uuid or "", system or "", oid, name)


def _text(value: object, longest: int) -> str:
    if isinstance(value, str) and len(value) <= longest and value.isprintable():
        return value
    return ""
