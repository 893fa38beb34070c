"""The packs of a backup in one more storage: another one has decided what belongs to
it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..archive.deflate import default_codec
from ..archive.prepared import Prepared
from ..archive.zip_format import Member
from ..errors.packs import AttachmentsGone
from ..progress import Progress
from .content import Content, load
from .maker import Making
from .packing import Packed, Packing


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
    making: Making, root: Path, files: Path, content: Content, progress: Progress
) -> Packed:
    """Let every file of the list that ``content.save`` has made of this content be in a
    pack of the storage. ``root`` is the filestore.

    Raise AttachmentsGone when neither has all of them, and other EngineErrors; what was
    stored until then stays for the next attempt, or for ``Prune``.
    """
    packed = Packing(making).pack(_Nowhere(), root, lambda: load(files), progress)
    if packed.content != content:
        report = packed.report
        names = [*report.missing, *report.damaged, *report.unreadable]
        raise AttachmentsGone(
            count=max(content.files - packed.content.files, 1),
            location=making.place.storage.location(""),
            log="\n".join(map(str, names)),
        )
    return packed
