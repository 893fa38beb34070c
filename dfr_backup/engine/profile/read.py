"""A profile, read as a whole or not at all: one thing wrong, and none counts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from ..encryption.files import parse_recipients
from ..errors import EngineError
from ..messages import _
from ..policy.retention import LARGEST, PRESETS, Policy
from ..storages.base import UNLIMITED
from ..storages.registry import Kind, kind_of, kinds
from .ini import PRIVATE_FOLDERS, Section, Source, Stamp, stamp, unknown
from .model import (
    LIMITS,
    PLACE,
    PLACES,
    FolderNames,
    PlanDefaults,
    Profile,
    StorageSection,
    Value,
)

STORAGE = re.compile(r"storage +([A-Za-z][A-Za-z0-9_]{0,39})")
FREQUENCIES = ("hourly", "daily", "weekly", "monthly", "manual")
WEEKDAYS = (
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
)
TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
MAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
# keys of the section “retention”, by the rule of ``Policy``
RULES = {
    name: name if name.startswith("keep_") else f"keep_{name}"
    for name in Policy.__dataclass_fields__
}
OTHERS = ("schedule", "retention", "encryption", "alerts")
EXAMPLE = FolderNames("database", "01234567")
MOST_NUMBER = 999_999_999

NO_SUCH_PLACE = _("there is {database} and {uuid8}, and no {%(name)s}")
ONE_FOLDER = _(
    "it must contain {database} or {uuid8}: each database has a folder of its own"
)
NO_TIME = _("it must be a time such as 02:30")
NO_ZONE = _("there is no time zone of this name")
NO_MAIL = _("“%(value)s” is not an email address")
BOTH = _("“keep” is also set")


class ProfileFile:
    """A profile that is read again when its file has changed, or one that it names."""

    def __init__(
        self, path: Path, server: Any, private: Sequence[Path] = PRIVATE_FOLDERS
    ):
        self._path = path
        self._server = server
        self._private = private
        self._known: tuple[Profile, Mapping[Path, Stamp]] | None = None

    def profile(self) -> Profile:
        """Return what the file says now. Raise an error of ``errors.profile``."""
        known = self._known  # another thread may replace it
        if known and all(stamp(path) == was for path, was in known[1].items()):
            return known[0]
        self._known = None
        source = Source(self._path, self._private)
        found = _read(source, self._server)
        self._known = found, source.watched
        return found


def _read(source: Source, server: Any) -> Profile:
    sections = source.sections()
    storages: dict[str, StorageSection] = {}
    for name, section in sections.items():
        named = STORAGE.fullmatch(name)
        if named and named[1].lower() not in storages:
            storages[named[1].lower()] = _storage(section, named[1], server)
        elif name not in OTHERS:
            raise unknown(source.path, name, {f"[{name}]": None})
    given = {name: sections.get(name) or Section(source, name, {}) for name in OTHERS}
    plan = _plan(**given)
    alerts = _addresses(given["alerts"], "recipients")
    for section in sections.values():
        section.require_all_taken()
    source.require_private()
    return Profile(source.path, storages, plan, alerts)


# === STORAGES === #


class _Sample:
    """The ``Settings`` of a section, for an example of a database."""

    limits = UNLIMITED

    def __init__(self, section: StorageSection, server: Any):
        self.server = server
        self._kind = section.kind
        self._values = section.fields(EXAMPLE)
        self._secrets = section.secrets

    def value(self, name: str) -> Any:
        return self._values.get(self._kind.field(name), "")

    def secret(self, name: str) -> str:
        return self._secrets.get(name, "")


def _storage(section: Section, name: str, server: Any) -> StorageSection:
    kind = kind_of(section.required_choice("kind", [kind.name for kind in kinds()]))
    found = StorageSection(
        name=name.lower(),
        kind=kind,
        title=section.text("name") or name,
        databases=section.several("databases"),
        values=_values(section, kind),
        secrets={one: section.text(one, secret=True) for one in kind.secrets},
    )
    section.require_all_taken()
    _require_own_folder(section, found)
    try:
        kind.engine.from_settings(_Sample(found, server))
    except EngineError as error:
        raise section.refused(error) from error
    return found


def _values(section: Section, kind: Kind) -> dict[str, Value]:
    found: dict[str, Value] = {}
    needed = {kind.needed or (kind.host or kind.folder)[0], kind.trusted}
    for name in (*kind.host, *kind.folder, *kind.more, *kind.options):
        default = kind.defaults.get(name, "")
        if isinstance(default, int):
            number = section.number(name, 0, MOST_NUMBER)
            found[name] = default if number is None else number
        else:
            take = section.required if name in needed else section.text
            found[name] = take(name) or default
    for name, limit in LIMITS.items():
        number = section.number(name, 1 if name == "timeout" else 0, MOST_NUMBER)
        found[name] = limit if number is None else number
    return found


def _require_own_folder(section: Section, found: StorageSection) -> None:
    """Raise ProfileBadValue when two databases would have one folder."""
    used = set()
    for name in found.kind.folder:
        for place in PLACE.findall(str(found.values[name])):
            if place not in PLACES:
                raise section.bad(name, NO_SUCH_PLACE, name=place)
            used.add(place)
    if not used and len(found.databases) != 1:
        raise section.bad(found.kind.folder[-1], ONE_FOLDER)


# === WHAT A NEW PLAN BEGINS WITH === #


def _plan(
    schedule: Section, retention: Section, encryption: Section, alerts: Section
) -> PlanDefaults:
    weekday = schedule.choice("weekday", WEEKDAYS)
    keep, rules = _retention(retention)
    return PlanDefaults(
        frequency=schedule.choice("frequency", FREQUENCIES),
        minute_of_day=_minute(schedule),
        weekday=WEEKDAYS.index(weekday) if weekday else None,
        monthday=schedule.number("monthday", 1, 31),
        timezone=_timezone(schedule),
        keep=keep,
        rules=rules,
        public_keys=_public_keys(encryption),
        recipients=_addresses(alerts, "plan_recipients"),
    )


def _minute(schedule: Section) -> int | None:
    given = schedule.text("time")
    if not given:
        return None
    time = TIME.fullmatch(given)
    if time is None:
        raise schedule.bad("time", NO_TIME)
    return 60 * int(time[1]) + int(time[2])


def _timezone(schedule: Section) -> str:
    given = schedule.text("timezone")
    if given and given not in available_timezones():
        raise schedule.bad("timezone", NO_ZONE)
    return given


def _retention(retention: Section) -> tuple[str, dict[str, int]]:
    keep = retention.choice("keep", (*PRESETS, "none"))
    given = {rule: retention.number(key, 0, LARGEST) for rule, key in RULES.items()}
    numbers = {rule: number for rule, number in given.items() if number is not None}
    if not numbers:
        return keep, {}
    if keep:
        raise retention.bad(RULES[next(iter(numbers))], BOTH)
    rules = {rule: numbers.get(rule, 0) for rule in RULES}
    rules["minimum"] = numbers.get("minimum", Policy().minimum)
    for problem in Policy(**rules).problems():
        raise retention.bad("keep_…", problem.template, **problem.values)
    return "", rules


def _public_keys(encryption: Section) -> str:
    given = encryption.text("public_keys")
    if given:
        try:
            parse_recipients(given)
        except EngineError as error:
            raise encryption.refused(error) from error
    return given


def _addresses(alerts: Section, key: str) -> tuple[str, ...]:
    found = alerts.several(key)
    for address in found:
        if not MAIL.fullmatch(address):
            raise alerts.bad(key, NO_MAIL, value=address)
    return found
