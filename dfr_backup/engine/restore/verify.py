"""Is a restored database what was backed up? Its rows are counted, its files read."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ..concurrency.worker_pool import WorkerPool
from ..manifest.model import Manifest
from ..messages import Message, _
from ..postgres.connection import Connection
from ..postgres.snapshot import Snapshot
from ..progress import Progress
from ..sources.filestore import Attachment

CHUNK = 1 << 20  # bytes
BATCH = 64  # files
NAMED = 200  # files of each kind of trouble that are named
MISSING = _("%(file)s: missing")
DAMAGED = _("%(file)s: damaged")
DIFFERENT = _("%(table)s: %(saved)s when saved, %(restored)s restored")
ROWS = _("%(count)s rows")
NO_TABLE = _("no such table")


@dataclass
class VerifyReport:
    """What was counted and read, and what differs.

    ``known`` is how many attachment files were missing or damaged when the backup was
    made, or are lost since.
    """

    tables: int = 0
    rows: int = 0
    counted: bool = False  # whether the manifest has row counts to compare with
    files: int = 0
    bytes: int = 0
    known: int = 0
    different: list[Message] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    missing_count: int = 0
    damaged: list[str] = field(default_factory=list)
    damaged_count: int = 0

    @property
    def is_complete(self) -> bool:
        """Tell whether all rows are there, and every file that the backup had."""
        return (
            not self.different and self.missing_count + self.damaged_count <= self.known
        )


def verify_restored(
    connection: Connection,
    manifest: Manifest,
    filestore: Path,
    progress: Progress,
    *,
    lacking: int = 0,
    workers: int | None = None,
) -> VerifyReport:
    """Compare a restored database, and its files below ``filestore``, with the
    manifest; so many files are ``lacking`` that the backup had.

    Compare before ``finish_database``, and before Odoo has loaded it: both add rows.
    Raise RetryableError when the database cannot be read, and Cancelled.
    """
    report = VerifyReport()
    trouble = manifest.trouble
    report.known = trouble.get("missing", 0) + trouble.get("damaged", 0) + lacking
    with Snapshot(connection.heard_by(progress)) as snapshot:
        progress.expect(snapshot.estimated_filestore_size())
        _compare_rows(snapshot, manifest.rows, report)
        if manifest.may_hold("filestore"):
            _compare_files(
                snapshot.attachments(), filestore, report, WorkerPool(progress, workers)
            )
    for template, names in ((MISSING, report.missing), (DAMAGED, report.damaged)):
        for name in names:
            progress.log(Message(template, file=name))
    return report


def _compare_rows(
    snapshot: Snapshot,
    saved: Mapping[str, int] | None,
    report: VerifyReport,
) -> None:
    found = snapshot.row_counts()
    report.tables, report.rows = len(found), sum(found.values())
    report.counted = saved is not None
    if not saved:
        return
    roots = snapshot.partition_roots()
    then_by_root, now_by_root = _summed(saved, roots), _summed(found, roots)
    for table in sorted(found.keys() | saved.keys()):
        then, now, root = saved.get(table), found.get(table), roots.get(table)
        # an enum's values have other hashes in each database
        moved = root is not None and then_by_root[root] == now_by_root[root]
        if then != now and not moved:
            counts = {"saved": _rows(then), "restored": _rows(now)}
            report.different.append(Message(DIFFERENT, table=_shown(table), **counts))


def _summed(counts: Mapping[str, int], roots: Mapping[str, int]) -> Counter[int]:
    """Return the rows of each partitioned table that is no partition itself."""
    summed: Counter[int] = Counter()
    for table, rows in counts.items():
        if table in roots:
            summed[roots[table]] += rows
    return summed


def _shown(table: str) -> str:
    """Return the name of a table as it can be printed: it may have anything in it."""
    return "".join(letter if letter.isprintable() else "?" for letter in table)


def _rows(count: int | None) -> Message:
    return Message(NO_TABLE) if count is None else Message(ROWS, count=count)


def _compare_files(
    attachments: Iterable[Attachment],
    root: Path,
    report: VerifyReport,
    pool: WorkerPool,
) -> None:
    def look(batch: list[Attachment]) -> list[tuple[str, Attachment]]:
        return [(_state(root / one.store_fname, pool), one) for one in batch]

    for batch in pool.map(look, _in_batches(iter(attachments))):
        for state, attachment in batch:
            _note(report, state, attachment)


def _in_batches(attachments: Iterator[Attachment]) -> Iterator[list[Attachment]]:
    while batch := list(islice(attachments, BATCH)):
        yield batch


def _state(path: Path, pool: WorkerPool) -> str:
    """Return "missing", "damaged", or nothing when the content's SHA-1 is the name."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "missing"
    try:
        while piece := os.read(file, CHUNK):
            digest.update(piece)
            pool.count(len(piece))
    except OSError:
        return "damaged"
    finally:
        os.close(file)
    return "" if digest.hexdigest() == path.name else "damaged"


def _note(report: VerifyReport, state: str, attachment: Attachment) -> None:
    if not state:
        report.files += 1
        report.bytes += attachment.size
        return
    setattr(report, f"{state}_count", getattr(report, f"{state}_count") + 1)
    names = getattr(report, state)
    if len(names) < NAMED:
        names.append(f"{attachment.store_fname}, {attachment.label}")
