"""The attachment files of a run in packs: the first storage that takes them decides
what belongs to the backup, the others get just that."""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

from ..engine.archive.writer import ArchiveWriter
from ..engine.catalog.scan import read_sidecar
from ..engine.checkpoints import checkpoint
from ..engine.errors import Cancelled, Deferred, EngineError
from ..engine.errors.packs import KeysChanged, PackNameTaken
from ..engine.errors.storage import ArchiveGone
from ..engine.fileio.durable import write_private
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.pack_use import PackUse
from ..engine.messages import Message, Size
from ..engine.packs import content
from ..engine.packs.content import Content
from ..engine.packs.following import follow
from ..engine.packs.maker import PUTTING, Making, remove_parts
from ..engine.packs.packing import Packed, Packing
from ..engine.packs.reading import StoredBackup, open_backup
from ..engine.packs.terms import REWRITE, Terms
from ..engine.progress import Progress
from ..engine.sources.filestore import Attachment, FilestoreReport
from ..engine.untrusted import parse_json
from . import words
from .context import RunContext
from .nightly import FilestoreNight
from .records import StorageRecord

PACKED_LIST = "packed-files"  # in the working directory, until all storages have them
NAME_TRIES = 2
ZIP_SECONDS = timedelta(seconds=2)  # between two times that a zip can tell


class PackedFiles:
    """What a run has in packs of its storages, also for a later attempt."""

    def __init__(self, context: RunContext):
        self._context = context
        self._job = context.job
        self._work = context.files.work_path()
        self._list = self._work / PACKED_LIST
        self._terms: dict[int, Terms] = {}  # of what was packed, by storage

    @property
    def content(self) -> Content:
        """The attachment files of the backup that are in packs, in one digest."""
        known = self._job.run_state.packed
        return Content.from_json(known) if known else content.summed(())

    def archive(
        self,
        own: ArchiveWriter,
        root: Path,
        attachments: Callable[[], Iterable[Attachment]],
        progress: Progress,
    ) -> FilestoreReport:
        """Let a storage have every file of the list in its packs: the first one that
        takes them. What no pack may have goes into the run's ``own`` archive. Raise an
        EngineError when none of them does."""
        problem: EngineError | None = None
        night = FilestoreNight(self._context, root)
        for storage in self._job._storages():
            try:
                packed = self._pack(
                    storage,
                    lambda making: Packing(making).pack(
                        own, root, attachments, progress, night.begin(making)
                    ),
                )
                night.end(progress)
            except (Cancelled, Deferred):
                raise
            except EngineError as error:  # its upload tries again, and says it
                problem, progress.done = problem or error, 0
                about = {"where": storage.name, "problem": error.in_full}
                progress.log(Message(words.PROBLEM_AT, **about))
                continue
            found = content.save(self._list, packed.held())
            self._keep(storage, packed)
            self._context.store.update_state(packed=found.to_json())
            checkpoint("packs.packed")
            self._tell(storage, packed, progress)
            return packed.report
        if problem:
            raise problem
        return FilestoreReport()

    def stored_in(
        self, storage: StorageRecord, root: Path, progress: Progress
    ) -> Packed:
        """Let a storage have the files of the backup in its packs, unless it has them
        already; return what it has. Raise EngineError."""
        if self.mark != self._job.run_state.keys:
            raise KeysChanged()
        packed = self._kept(storage)
        if packed is None:
            if (
                self._job.run_state.packed is None
            ):  # packing has failed: no file is in it
                nothing = content.summed(())
                return Packed((), nothing, FilestoreReport(), new_files=0, new_bytes=0)
            if not self._list.exists():
                raise ArchiveGone(folder=self._work)
            packed = self._pack(
                storage,
                lambda making: follow(
                    making,
                    root,
                    self._list,
                    self.content,
                    progress,
                    self._others(storage, progress),
                ),
            )
            self._keep(storage, packed)
            self._tell(storage, packed, progress)
        return packed

    def _others(
        self, storage: StorageRecord, progress: Progress
    ) -> Iterator[StoredBackup]:
        """Yield the backup as the other storages have it."""
        for other in self._job._storages():
            if (
                other.id == storage.id
                or not self._job._step("upload", other)._is_good()
            ):
                continue
            try:
                found = self._open(other)
            except Cancelled:
                raise
            except EngineError as error:
                about = {"where": other.name, "problem": error.in_full}
                progress.log(Message(words.PROBLEM_AT, **about))
            else:
                yield found

    def _open(self, storage: StorageRecord) -> StoredBackup:
        target = storage._get_own_storage()
        sidecar = read_sidecar(target, sidecar_key(self._job.archive_name))
        self._context.catalogue.catalogued(storage).refuse_other(sidecar)
        copy = self._job.copy_ids.filtered(
            lambda found: found.storage_id.id == storage.id
        )
        return open_backup(target, sidecar, self._context.restores.identities(copy))

    def forget(self, storage: StorageRecord) -> None:
        """Pack again: something of it is not there any more."""
        self._note_of(storage).unlink(missing_ok=True)

    @property
    def mark(self) -> str:
        """The name of the keys that packs are encrypted for, "" for none."""
        encryption = self._context.packs.encryption()
        return encryption.mark if encryption else ""

    def _pack(self, storage: StorageRecord, pack: Callable[[Making], Packed]) -> Packed:
        """Pack for a storage. A pack whose name is taken, by a condemned one of the
        same files perhaps, gets another one by another time in it."""
        self._terms[storage.id] = self._context.packs.terms(storage)
        for later in range(NAME_TRIES):
            with contextlib.suppress(PackNameTaken):
                return pack(self._making(storage, later))
        return pack(self._making(storage, NAME_TRIES))

    def _making(self, storage: StorageRecord, later: int) -> Making:
        packs = self._context.packs
        place = packs.place(storage)
        offset = ZIP_SECONDS * later
        return Making(
            place,
            packs.owner(storage),
            self._terms[storage.id],
            self._folder_of(storage),
            lambda: datetime.now(timezone.utc) + offset,
            place.storage.retries,
            packs.encryption(),
        )

    def _tell(self, storage: StorageRecord, packed: Packed, progress: Progress) -> None:
        progress.log(
            Message(
                words.NEW_OF,
                storage=storage.name,
                new=Size(packed.new_bytes),
                all=Size(packed.content.bytes),
                packs=len(packed.uses),
            )
        )

    def has_parts(self) -> bool:
        """Tell whether a storage may hold a part of a pack."""
        return any(self._work.glob(f"packs-*/*/{PUTTING}"))

    def remove_parts(self) -> None:
        """Remove what interrupted attempts have stored of packs. Whole ones stay, for
        the next backup or for a prune."""
        for storage in self._job._storages():
            with contextlib.suppress(EngineError):
                remove_parts(storage._get_own_storage(), self._folder_of(storage))

    def _folder_of(self, storage: StorageRecord) -> Path:
        return self._work / f"packs-{storage.id}"

    # === FOR THE UPLOAD === #

    def _note_of(self, storage: StorageRecord) -> Path:
        return self._work / f"packs-{storage.id}.json"

    def _keep(self, storage: StorageRecord, packed: Packed) -> None:
        """Write down which packs a storage has of the backup."""
        about = {
            "keys": self.mark,
            "content": packed.content.to_json(),
            "new": [packed.new_files, packed.new_bytes],
            "uses": [use.to_json() for use in packed.uses],
            "rewritten": self._terms.get(storage.id) == REWRITE,
        }
        data = json.dumps(about).encode()
        write_private(self._note_of(storage), data, over=True)

    def _kept(self, storage: StorageRecord) -> Packed | None:
        """Return what was written down, None when that is not what is wanted now."""
        about = self._noted(storage)
        if about is None or about["keys"] != self.mark:
            return None
        found = Content.from_json(about["content"])
        uses = tuple(map(PackUse.from_json, about["uses"]))
        return Packed(uses, found, FilestoreReport(), *about["new"])

    def has_rewritten(self, storage: StorageRecord) -> bool:
        """Tell whether packs that are needed in part were made anew there."""
        return bool((self._noted(storage) or {}).get("rewritten"))

    def _noted(self, storage: StorageRecord) -> dict[str, Any] | None:
        try:
            found = parse_json(self._note_of(storage).read_bytes())
        except (OSError, ValueError):
            return None
        return cast("dict[str, Any]", found)
