"""What the steps of a run leave for each other, and for a later attempt: the JSON in
``backup.job``'s ``data``."""

from typing import Any, TypedDict


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


class UploadedFacts(TypedDict):
    """An uploaded file: its name, and when it was made (ISO 8601)."""

    name: str
    modified: str


class Acceptable(TypedDict):
    """What somebody may accept: how it is called, and the message that says it."""

    code: str
    text: object


class RunData(TypedDict, total=False):
    """Each kind of run has some of these, each from the step that knows it."""

    # a backup, and an import the last of it
    snapshot_at: str  # ISO 8601
    pg_dump: str  # the program
    rows: dict[str, int] | None  # by table
    attachments: AttachmentFacts
    addons: list[dict[str, Any]]
    filestore: FilestoreFacts
    saved: int  # bytes of the archive that the closed steps have let reach the disk
    manifest: dict[str, Any]  # once the archive is sealed

    # an import
    uploaded: UploadedFacts
    begun: list[str]  # names that this run has reserved in its storage

    # a restore and a drill
    to_accept: list[Acceptable]
    restored: int  # OID of the database that gets its name
    not_trusted: dict[str, list[str]]  # keys, by the identifier of their storage

    # a repair
    issues: list[int]  # identifiers
