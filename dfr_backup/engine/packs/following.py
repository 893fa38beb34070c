"""The packs of a backup in one more storage: another one has decided what belongs to
it."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..archive.deflate import default_codec
from ..archive.disk import explain
from ..archive.prepared import Prepared
from ..archive.zip_format import Member
from ..errors import Cancelled, EngineError
from ..errors.archive import ArchiveDiskFull
from ..errors.packs import AttachmentsGone
from ..fileio.durable import make_directory, open_private
from ..manifest.names import FILESTORE
from ..progress import Progress
from .content import Content, load
from .maker import Making
from .names import digest_of
from .packing import Packed, Packing
from .reading import OpenPart, StoredBackup

NAMED = 200  # lost files that are named
MOST_LOST = 100_000  # files that are looked for elsewhere


class _Nowhere:
    """Takes the files that no pack may have: they were damaged after the archive of
    the backup was complete."""

    def __init__(self) -> None:
        self.codec = default_codec()

    def noted(self) -> Iterator[tuple[Member, str]]:
        return iter(())

    def add_prepared(self, prepared: Prepared) -> None:
        """Store it nowhere: it is missed below."""

    def add_file(
        self,
        name: str,
        file: int,
        size: int,
        *,
        digests: Sequence[Any] = (),
        note: Callable[[], str] = str,
        advance: Callable[[int], object] = lambda count: None,
    ) -> int:
        return size


def follow(
    making: Making,
    root: Path,
    files: Path,
    content: Content,
    progress: Progress,
    others: Iterable[StoredBackup] = (),
) -> Packed:
    """Let every file of the list that ``content.save`` has made of this content be in a
    pack of the storage. ``root`` is the filestore; what it has lost meanwhile is taken
    from the same backup in ``others``.

    Raise AttachmentsGone when some are nowhere, and other EngineErrors; what was stored
    until then stays for the next attempt, or for ``Prune``.
    """
    packing = Packing(making)
    packed = packing.pack(_Nowhere(), root, lambda: load(files), progress)
    if packed.content != content:
        lost = set(islice(_lost(files, packed), MOST_LOST))
        brought = making.work.with_name(f"{making.work.name}-brought")
        try:
            for other in others:
                _bring(lost, other, brought, progress)
            before = packed
            packed = packing.pack(_Nowhere(), brought, lambda: load(files), progress)
        finally:
            shutil.rmtree(brought, ignore_errors=True)
        packed = replace(
            packed,
            new_files=before.new_files + packed.new_files,
            new_bytes=before.new_bytes + packed.new_bytes,
        )
    if packed.content != content:
        names = islice(_lost(files, packed), NAMED)
        raise AttachmentsGone(
            count=max(content.files - packed.content.files, 1),
            location=making.place.storage.location(""),
            log="\n".join(names),
        )
    return packed


def _lost(files: Path, packed: Packed) -> Iterator[str]:
    """Yield the files of a list that are in no pack."""
    held = packed.held()
    here = next(held, None)
    for wanted in load(files):
        digest = digest_of(wanted.store_fname) or b""
        while here and here.digest < digest:
            here = next(held, None)
        if not here or here.digest != digest:
            yield wanted.store_fname


def _bring(
    lost: set[str], backup: StoredBackup, folder: Path, progress: Progress
) -> None:
    """Let a folder have those files that a stored backup has in its packs; they are
    lost no longer. What cannot be read is passed over. Raise Cancelled."""
    try:
        for part in backup.parts if lost else ():
            if part.use:
                with part.open() as opened:
                    _take(lost, opened, folder, progress)
    except (Cancelled, ArchiveDiskFull):
        raise
    except EngineError as error:
        progress.log(error.in_full)


def _take(lost: set[str], opened: OpenPart, folder: Path, progress: Progress) -> None:
    wanted = [e for e in opened.members() if e.name.removeprefix(FILESTORE) in lost]
    opened.reader.want(wanted)
    for entry in wanted:
        name = entry.name.removeprefix(FILESTORE)
        path = folder / name
        try:
            make_directory(path.parent)
            with open(path, "wb", opener=open_private) as stream:
                for piece in opened.pieces(entry):
                    stream.write(piece)
                    progress.tick()
        except OSError as error:
            raise explain(folder.parent, error) from error
        lost.discard(name)
