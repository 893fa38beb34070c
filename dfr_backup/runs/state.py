"""What the steps of a run leave for each other, and for a later attempt: the JSON in
``backup.job``'s ``data``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias, TypedDict

from ..engine.errors.runs import UnknownState

Check: TypeAlias = Callable[[object], bool]

VERSION = 2  # raised when a field changes its meaning, comes or goes


class AttachmentFacts(TypedDict):
    """The attachments of the dump's snapshot; ``elsewhere`` counts those that are not
    in the filestore, by where they are."""

    files: int
    bytes: int
    elsewhere: dict[str, int]


class FilestoreFacts(TypedDict):
    """What was archived of the filestore, and how many of its files are not good."""

    files: int
    bytes: int
    missing: int
    damaged: int
    unreadable: int
    missing_names: list[str]
    damaged_names: list[str]
    unreadable_names: list[str]


class PackedFacts(TypedDict):
    """The attachment files of a backup that are in packs, and the SHA-256 of their
    list."""

    files: int
    bytes: int
    sha256: str


class UploadedFacts(TypedDict):
    """An uploaded file: its name, and when it was made (ISO 8601)."""

    name: str
    modified: str


class Acceptable(TypedDict):
    """What somebody may accept: how it is called, and the message that says it."""

    code: str
    text: object


@dataclass(frozen=True)
class RunState:
    """Each kind of run has some of these, each from the step that knows it."""

    # a backup, and an import the last of it
    incremental: bool = False  # decided when it begins
    snapshot_at: str | None = None  # ISO 8601
    pg_dump: str | None = None  # the program
    rows: Mapping[str, int] | None = None  # by table
    table_bytes: Mapping[str, int] | None = None  # likewise
    attachments: AttachmentFacts | None = None
    addons: Sequence[Mapping[str, Any]] | None = None
    filestore: FilestoreFacts | None = None
    packed: PackedFacts | None = None
    keys: str | None = None  # a name of those that the archive is encrypted for
    saved: int = 0  # bytes of the archive that closed steps have let reach the disk
    manifest: Mapping[str, Any] | None = None  # once the archive is complete

    # an import
    uploaded: UploadedFacts | None = None
    begun: Sequence[str] = ()  # names that this run has reserved in its storage

    # a restore and a drill
    to_accept: Sequence[Acceptable] = ()
    restored: int | None = None  # OID of the database that gets its name
    # keys, by the identifier of their storage
    not_trusted: Mapping[str, Sequence[str]] | None = None

    issues: Sequence[int] = ()  # of a repair: identifiers

    own: Mapping[str, Any] | None = None  # what kinds of run of other addons keep

    @classmethod
    def from_json(cls, data: object) -> "RunState":
        """Given what ``to_json`` has made, return the state. Raise UnknownState for
        anything else."""
        if not data:
            return cls()
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise UnknownState()
        state = cls.read(data)
        if state.to_json().keys() != data.keys():
            raise UnknownState()
        return state

    @classmethod
    def is_known(cls, data: object) -> bool:
        """Tell whether a state is of this release."""
        try:
            cls.from_json(data)
        except UnknownState:
            return False
        return True

    @classmethod
    def read(cls, data: object) -> "RunState":
        """Return what can be read of any state, also of another release: what was
        saved by a run that has ended is shown."""
        known = data if isinstance(data, dict) else {}
        readable = {name for name, check in CHECKS.items() if check(known.get(name))}
        return cls(**{name: known[name] for name in readable})

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON, without what is not known."""
        known = {k: v for k, v in asdict(self).items() if v not in (None, (), [], 0)}
        return {"version": VERSION, **known}

    def begun_again(self) -> "RunState":
        """Return what stays of this state when its run begins again."""
        return RunState(**{name: getattr(self, name) for name in KEPT})


def _is(kind: type) -> Check:
    return lambda value: isinstance(value, kind) and not isinstance(value, bool)


def _has(keys: frozenset[str]) -> Check:
    return lambda value: isinstance(value, dict) and keys <= value.keys()


def _all(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


# what each value has to be in JSON
CHECKS: Mapping[str, Check] = {
    "incremental": lambda value: value is True,
    "snapshot_at": _is(str),
    "pg_dump": _is(str),
    "rows": _is(dict),
    "table_bytes": _is(dict),
    "attachments": _has(AttachmentFacts.__required_keys__),
    "addons": _all(_is(dict)),
    "filestore": _has(FilestoreFacts.__required_keys__),
    "packed": _has(PackedFacts.__required_keys__),
    "keys": _is(str),
    "saved": _is(int),
    "manifest": _is(dict),
    "uploaded": _has(UploadedFacts.__required_keys__),
    "begun": _all(_is(str)),
    "to_accept": _all(_has(Acceptable.__required_keys__)),
    "restored": _is(int),
    "not_trusted": _is(dict),
    "issues": _all(_is(int)),
    "own": _is(dict),
}
# no attempt's work: these stay when a run begins again
KEPT = ("incremental", "uploaded", "begun", "restored", "not_trusted", "issues")
