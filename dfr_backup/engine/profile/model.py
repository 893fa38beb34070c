"""What a profile says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors.local import DirectoryMissing
from ..storages.registry import Kind

Value = str | int
PLACE = re.compile(r"\{(\w*)\}")
PLACES = ("database", "uuid8")
LIMITS = {"timeout": 60, "bandwidth": 0, "retry_minutes": 15}


@dataclass(frozen=True)
class FolderNames:
    """What stands for a database in the name of its folder: what it was called when
    the folder was chosen."""

    database: str
    uuid8: str

    @classmethod
    def of(cls, database: str, uuid: str) -> "FolderNames":
        """Return names that lead nowhere else: an administrator of the database
        chooses its uuid."""
        return cls(_harmless(database), _harmless(uuid[:8]))

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> "FolderNames":
        return cls.of(data["database"], data["uuid8"])

    def to_json(self) -> dict[str, str]:
        return {"database": self.database, "uuid8": self.uuid8}

    def fill(self, text: str) -> str:
        return PLACE.sub(lambda place: str(getattr(self, place[1])), text)


def _harmless(name: str) -> str:
    return re.sub(r"^\.*$|^\.+|[^\w.-]", "_", name)


@dataclass(frozen=True)
class StorageSection:
    """A storage of the profile. ``databases`` are those that may use it, () for every
    one of the server. ``values`` are its settings, and those in ``LIMITS``; what nobody
    has set is there as well."""

    name: str
    kind: Kind
    title: str
    databases: tuple[str, ...]
    values: Mapping[str, Value]
    secrets: Mapping[str, str] = field(repr=False)

    def allows(self, database: str) -> bool:
        return not self.databases or database in self.databases

    def fields(self, names: FolderNames) -> dict[str, Value]:
        """Return what the section says for a database, by the names of fields."""
        found = {}
        for name, value in self.values.items():
            if name in self.kind.folder and isinstance(value, str):
                value = names.fill(value)
            found[name if name in LIMITS else self.kind.field(name)] = value
        return found

    def places(self) -> dict[str, set[str]]:
        """Return what stands in braces, by the names of the settings that have any."""
        found = {
            name: set(PLACE.findall(str(self.values.get(name, ""))))
            for name in self.kind.folder
        }
        return {name: places for name, places in found.items() if places}

    def base(self) -> str:
        """Return the folder in which all databases have theirs, as the section says
        it."""
        path = str(self.values.get(self.kind.path, ""))
        before, brace, _after = path.partition("{")
        if not brace:
            return path
        parent, slash, _name = before.rpartition("/")
        return parent or slash

    def require_base(self) -> None:
        """Raise DirectoryMissing when the directory is missing in which each database
        makes its folder: a share that is not mounted."""
        if not self.kind.directory:
            return
        before = str(self.values[self.kind.directory]).partition("{")[0]
        base = Path(before.rpartition("/")[0] or "/")
        if not base.is_dir():
            raise DirectoryMissing(folder=base)

    def secret(self, setting: str) -> str:
        return self.secrets.get(setting, "")


@dataclass(frozen=True)
class PlanDefaults:
    """What a new plan begins with: only what the file says. ``minute_of_day`` is a
    number; ``rules`` are those of ``Policy``, empty when ``keep`` names a preset."""

    frequency: str = ""
    minute_of_day: int | None = None
    weekday: int | None = None
    monthday: int | None = None
    timezone: str = ""
    keep: str = ""
    rules: Mapping[str, int] = field(default_factory=dict)
    public_keys: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """``storages`` are by the name of their section, in the order of the file.
    ``alerts`` are the addresses of the operator, who is told of all databases."""

    file: Path
    storages: Mapping[str, StorageSection]
    plan: PlanDefaults
    alerts: tuple[str, ...] = ()

    def section(self, external_name: str) -> StorageSection | None:
        """Return the section that a storage with this name on the server follows."""
        return self.storages.get(external_name.lower())

    def storages_for(self, database: str) -> list[StorageSection]:
        return [one for one in self.storages.values() if one.allows(database)]
