"""A stored backup as one complete zip, which needs no packs."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ..archive.prepared import SMALL
from ..archive.writer import ArchiveWriter, FinalizedArchive
from ..archive.zip_directory import Entry
from ..manifest.model import COMPLETE, Manifest
from ..manifest.names import CLOSING, DUMP, FILESTORE, INCREMENTAL_DUMP, MANIFEST
from ..manifest.write import encode
from ..progress import Progress
from .reading import OpenPart, StoredBackup


def export(
    backup: StoredBackup, target: Path, progress: Progress
) -> tuple[FinalizedArchive, Manifest]:
    """Write a complete zip of a backup to ``target``, in the clear: format 1, which
    Odoo takes as well. Return what it is, and its manifest. Every member is compared on
    its way. ``target`` is gone when anything fails. Raise EngineError."""
    manifest = backup.manifest()
    progress.expect(manifest.bytes)
    backup.require_content()
    writer = ArchiveWriter.create(target)
    try:
        with backup.archive.open() as opened:
            own = [e for e in opened.members() if not e.name.startswith(FILESTORE)]
            _copy(writer, ((entry, opened) for entry in own), progress)
        with closing(backup.attachments()) as attachments:
            _copy(writer, attachments, progress)
        count, sums = writer.write_checksums()
        complete = _complete(manifest, {"count": count, "sha256sums": sums})
        writer.add_bytes(MANIFEST, encode(complete))
        finalized = writer.close(progress.tick)
    except BaseException:
        writer.abandon()
        raise
    target.with_name(f"{target.name}.journal").unlink()
    return finalized, complete


def _copy(
    writer: ArchiveWriter,
    members: Iterable[tuple[Entry, OpenPart]],
    progress: Progress,
) -> None:
    for entry, opened in members:
        if entry.name in CLOSING:
            continue
        name = DUMP if entry.name == INCREMENTAL_DUMP else entry.name
        pieces = _counted(opened.pieces(entry), progress)
        if entry.size <= SMALL:
            writer.add_bytes(name, b"".join(pieces))
            continue
        with writer.stream_member(name) as stream:
            for piece in pieces:
                stream.write(piece)


def _counted(pieces: Iterator[bytes], progress: Progress) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        progress.advance(len(piece))


def _complete(manifest: Manifest, members: dict[str, Any]) -> Manifest:
    """Return the manifest of the complete zip."""
    ours = {**manifest.ours, "format": COMPLETE, "members": members}
    ours.pop("packed", None)
    if ours.get("encryption"):
        ours["encryption"] = {}
    return Manifest({**manifest.values, "dfr_backup": ours})
