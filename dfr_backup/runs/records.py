"""What runs use of Odoo's records.

``dfr_backup/tests/test_run_records.py`` holds the models to it. A set of records and
a single one are the same. A field of text is False where it is empty; it is a ``str``
here where a run reads it only after somebody has filled it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from ..engine.catalog.catalogued import Catalogued
from ..engine.manifest.sidecar import Sidecar
from ..engine.messages import Text
from ..engine.progress import Progress
from ..engine.storages.base import Storage
from .state import RunState

if TYPE_CHECKING:
    from typing_extensions import Self

Listing: TypeAlias = Mapping[str, int]  # the bytes of each object of a storage, by key
# what is noted of a copy that is not what was stored: no test of it counts any more
DAMAGED = {"state": "damaged", "proven_at": False, "proven_seconds": 0}


class Records(Protocol):
    """A set of records of one model."""

    def __bool__(self) -> bool: ...
    def __iter__(self) -> "Iterator[Self]": ...
    def browse(self) -> "Self": ...
    def filtered(self, func: "Callable[[Self], object]") -> "Self": ...


class PlanRecord(Records, Protocol):
    """``backup.plan``: what a run of it saves."""

    include_database: bool
    include_filestore: bool
    include_addons: bool

    def action_run_now(self) -> object: ...


class IssueRecord(Records, Protocol):
    """``backup.filestore.issue``: a file of the filestore that is not good."""

    def action_repair(self) -> object: ...


class StorageRecord(Records, Protocol):
    """``backup.storage``: where archives are kept."""

    id: int
    name: str
    can_delete: bool

    def action_scan(self) -> object: ...
    def action_prune(self) -> object: ...
    def _get_storage(self) -> Storage: ...
    def _get_own_storage(self) -> Storage: ...


class CopyRecord(Records, Protocol):
    """``backup.copy``: an archive in a storage, as the catalogue knows it."""

    id: int
    key: str
    origin: str
    state: str
    size: float
    sha256: str | Literal[False]
    storage_id: StorageRecord

    def action_verify(self) -> object: ...
    def action_drill(self) -> object: ...
    def _restore_again(self, job: "JobRecord") -> object: ...
    def action_import(self) -> object: ...
    def _catalogued(self) -> Catalogued: ...
    def _catalogued_to_restore(self) -> Catalogued | None: ...
    def _noted_of(self, sidecar: Sidecar) -> dict[str, object]: ...
    def _note_verified(self, job: "JobRecord") -> None: ...
    def _require_trusted(self) -> None: ...


class StepRecord(Records, Protocol):
    """``backup.step``: a step of a run, and how it ended."""

    kind: str
    state: str
    date_start: datetime | Literal[False]
    storage_id: StorageRecord
    copy_id: CopyRecord

    def _is_closed(self) -> bool: ...
    def _is_good(self) -> bool: ...
    def _running(self) -> AbstractContextManager[Progress]: ...
    def _skip(self, reason: Text) -> None: ...
    def _reset(self) -> None: ...
    def _mark_done(self, line: Text) -> None: ...


class JobRecord(Records, Protocol):
    """``backup.job``: a run of any kind."""

    kind: str
    uuid: str
    trigger: str
    data: Mapping[str, object] | None
    database_uuid: str
    include_database: bool
    include_filestore: bool
    include_addons: bool
    archive_name: str
    archive_size: float
    archive_sha256: str
    restore_accepted: Sequence[str] | None
    plan_id: PlanRecord
    step_ids: StepRecord
    copy_ids: CopyRecord

    @property
    def run_state(self) -> RunState: ...
    def _step(self, kind: str, storage: StorageRecord | None = None) -> StepRecord: ...
    def _storages(self) -> StorageRecord: ...
    def _uploads_missing(self) -> StepRecord: ...
    def _is_too_open(self) -> bool: ...
