"""A whole restore, step by step: fetch, check, create database, load, filestore,
finish.

The steps are called in this order, by a run of the back office or by the command line.
Nothing has the name of the new database before the last one; whatever ends a restore
earlier leaves nothing of it behind.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..archive.reader import Archive, open_archive
from ..archive.zip_reader import open_file
from ..catalog.catalogued import Catalogued
from ..catalog.fetch import fetch, require_space
from ..encryption.files import decrypt_file
from ..errors import EngineError, PermanentError
from ..errors.fetch import FetchedDiffers, KeyNeeded
from ..errors.packs import AttachmentsLost
from ..errors.restore import AttachmentsDamaged, AttachmentsMissing, RestoredDiffers
from ..fileio.direct_read import DirectFile, stamp_of
from ..messages import Message, _
from ..packs.gathering import GatheredPacks, PackPlaces, gather
from ..postgres.connection import Connection
from ..progress import Progress
from ..queue.reservations import Need
from ..storages.base import Storage
from .attachments import Lost, lost_attachments
from .files import FilestoreExtraction
from .finish import FinishOptions, analyze, finish_database, installed_modules
from .load.errors import may_be_damage
from .load.fallback import load_whole
from .load.sql_stream import Longest
from .options import RestoreOptions
from .preflight import Finding, Surroundings, preflight, share_left
from .safety import require_harmless
from .target import Published, RestoreTarget
from .verify import VerifyReport, verify_restored

_logger = logging.getLogger(__name__)
DECRYPTED = "decrypted.zip"
LOADED = _("%(statements)s statements, %(tables)s tables with rows")
READ_AGAIN = _("The dump in the archive is read once more: is it what was saved?")
UNPACKED = _("%(count)s attachment files")
COMPARED = _("%(rows)s rows of %(tables)s tables, %(files)s files")
IN_THE_WAY = _(
    "The database has rules or triggers of its own in tables that are changed in a "
    "copy. They were switched off meanwhile, and are on again: %(names)s"
)
GOES_ON = _("The restore continues despite: %(names)s")
ACCEPTED = _("The restore continues despite this: %(problem)s")
PLAIN = _("As chosen, the dump is loaded by one session and in its own order.")
KEPT = _("The former database is kept as %(database)s")


class Restore:
    """Use as a context manager around its steps. ``server`` connects to the database
    “postgres”, ``work`` is a directory for what is fetched, ``markers`` one of this
    server."""

    def __init__(
        self, server: Connection, options: RestoreOptions, work: Path, markers: Path
    ):
        self._server = server
        self._options = options
        self._work = work
        self._markers = markers
        self._resources = contextlib.ExitStack()
        self.archive: Archive  # once it was fetched
        self._packs: GatheredPacks | None = None
        self.target: RestoreTarget  # where the copy is being made
        self.to_accept: list[EngineError] = []  # once it was checked
        self._lost: Lost | None = None
        self.has_bad_packs = False  # as far as they were read
        self._extraction: FilestoreExtraction
        if options.space:
            self._resources.callback(options.space.release)

    def __enter__(self) -> "Restore":
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.close()
        except EngineError as error:  # why the restore ended says more
            _logger.warning("[%s] %s", error.code, error.in_full)

    def close(self) -> None:
        """Remove what was made and not finished. Raise EngineError."""
        self._resources.close()

    def fetch(
        self,
        storage: Storage,
        key: str,
        progress: Progress,
        known: Catalogued | None = None,
        others: Sequence[Storage] = (),
    ) -> None:
        """Get the archive, compare it with what the catalogue has ``known`` of it, else
        with its manifest, and decrypt it when it is encrypted. Get the packs of an
        incremental one: what is lost in them, ``others`` may have.

        What lies in a local directory is read where it is, all of it in one open file,
        and is compared with the checksums in it, and those with its manifest: as a
        whole only when it has none. What an interrupted call has fetched is used again.
        Raise EngineError.
        """
        space = self._options.space
        fetched = fetch(storage, key, self._work, progress, known=known, space=space)
        if key.endswith(".age"):
            before = stamp_of(fetched.path)
            fetched = fetched.compare(progress)
            file = self._decrypted(fetched.path, progress)
            if stamp_of(fetched.path) != before:
                raise FetchedDiffers(key=key)
        else:
            file = open_file(fetched.path, self._resources)
        try:
            archive = self._resources.enter_context(
                # what lies here may change after a comparison: each member has its own
                open_archive(file, compared=fetched.compared, with_packs=True)
            )
        except PermanentError:
            fetched.compare(progress, file)  # that it is not what was stored says more
            raise
        whole = self._options.whole or not archive.content_digest
        if whole or archive.content_digest != fetched.content_digest:
            fetched.compare(progress, file)
        self.archive = archive
        if archive.is_incremental:
            folder, keys = self._work / "packs", self._options.identities
            places = PackPlaces([storage, *others], folder, keys, space)
            self._packs = gather(key, archive, places, progress, known)
            self.has_bad_packs = bool(self._packs.bad)

    def _decrypted(self, path: Path, progress: Progress) -> DirectFile:
        keys: Any = self._options.identities
        if keys is None:
            raise KeyNeeded
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_space(Need(self._work, path.stat().st_size), self._options.space)
        target = self._work / DECRYPTED
        files: list[DirectFile] = []

        def hide() -> None:
            """Take the name away before anything is in the file: whatever ends this
            process, a kill too, what was encrypted does not stay in plain."""
            files.append(DirectFile(target))
            self._resources.callback(files[0].close)
            target.unlink()

        size = decrypt_file(path, target, keys, progress, opened=hide)
        progress.log(Message(_("Decrypted")))
        files[0].size = size
        return files[0]

    def works(self) -> dict[str, Callable[[Progress], object]]:
        """Return what does each step that comes after ``fetch``, in their order."""
        before = (self.check, self.create_database, self.load, self.filestore)
        return {step.__name__: step for step in (*before, self.compare, self.finish)}

    def check(self, progress: Progress) -> list[Finding]:
        """Find out early what would fail late: return what speaks against this
        restore and was not accepted. Raise the error of what is blocking; what of it
        may be accepted is in ``to_accept`` then."""
        accepted = self._options.accepted
        if accepted:
            progress.log(Message(GOES_ON, names=", ".join(sorted(accepted))))
        found = self._found(progress)
        refused = [
            one
            for one in found
            if one.blocking and not (one.acceptable and one.code in accepted)
        ]
        refused.sort(key=lambda one: one.acceptable)  # first what nobody can accept
        self.to_accept = [one.error for one in refused if one.acceptable]
        for one in found:
            if one not in refused:
                template = ACCEPTED if one.blocking else ""
                said = one.error.in_full
                progress.warn(Message(template, problem=said) if template else said)
        for one in refused[1:]:
            progress.warn(one.error.in_full)
        if refused:
            raise refused[0].error
        return found

    def _found(self, progress: Progress) -> list[Finding]:
        """Return what speaks against this restore. The dump is not read when the
        restore cannot be anyway."""
        options, description = self._options, self.archive.describe()
        surroundings = Surroundings(
            options.place,
            options.series,
            options.modules,
            options.replace_existing,
            options.trusted,
            options.space,
            options.template,
            options.addons,
        )
        found = preflight(description, surroundings, self._server)
        if lost := self._packs and self._packs.lost_error(self._packs.nowhere):
            found.insert(0, Finding(lost))
        impossible = any(one.blocking and not one.acceptable for one in found)
        if description.origin == "odoo" and not impossible:
            self._lost = lost_attachments(self.archive, progress)
            if self._lost and self._lost.error:
                found.insert(0, Finding(self._lost.error))
        return found

    def create_database(self, progress: Progress) -> None:
        """Create the database, under a name that no Odoo serves. Raise EngineError."""
        options = self._options
        target = RestoreTarget(
            self._server,
            options.place,
            self._markers,
            replace_existing=options.replace_existing,
            replaces=options.replaces,
        )
        self.target = self._resources.enter_context(target)
        target.create(template=options.template, progress=progress)

    def load(self, progress: Progress) -> None:
        """Load the dump, stopping at the first error. Raise EngineError, Cancelled.

        The attachment files are unpacked from now on, too: the one waits where the
        other works.
        """
        if self._options.plain:
            progress.log(Message(PLAIN))
        progress.expect(self.archive.describe().sql_bytes)
        extraction = FilestoreExtraction(
            self.archive,
            self.target.filestore,
            packs=self._packs,
            may_lack=AttachmentsLost.finding in self._options.accepted,
            durable=self._options.durable,
        )
        self._extraction = self._resources.enter_context(extraction)

        def on_failure(error: PermanentError) -> None:
            extraction.raise_error()
            if may_be_damage(error):
                self._require_sound_dump(progress)

        report = load_whole(
            lambda: self._sql(extraction),
            self.target,
            progress,
            unaccent=self._options.unaccent,
            plain=self._options.plain,
            left_out=self._options.accepted,
            longest=self._longest,
            on_failure=on_failure,
        )
        self.target.complete(unaccent=self._options.unaccent, progress=progress)
        counts = {"statements": report.statements, "tables": report.tables}
        progress.log(Message(LOADED, **counts))

    @property
    def _longest(self) -> Longest:
        return Longest.of_archive(self.archive.reader.size)

    def _sql(self, extraction: FilestoreExtraction) -> Iterator[bytes]:
        """Yield the dump, as long as what is done beside it goes well: a load may
        take hours."""
        loaded, space, about = 0, self._options.space, self.archive.describe()
        for piece in self.archive.sql():
            extraction.raise_error()
            loaded += len(piece)
            if space:
                space.shrink(share_left(about, loaded + extraction.written))
            yield piece

    def _require_sound_dump(self, progress: Progress) -> None:
        """Whatever PostgreSQL says about a damaged dump: that it is damaged says
        more."""
        progress.log(Message(READ_AGAIN))
        for _piece in self.archive.sql():
            progress.tick()

    def filestore(self, progress: Progress) -> None:
        """Wait until the attachment files are unpacked, each checked. Raise
        EngineError, Cancelled."""
        done = self._extraction.finish(progress)
        self.has_bad_packs |= bool(done.rescued or self._extraction.lacking)
        if self._options.space:
            self._options.space.release()
        progress.log(Message(UNPACKED, count=done.files))

    def compare(self, progress: Progress) -> VerifyReport:
        """Compare rows and files with the manifest. Raise RestoredDiffers when some
        are not there, RetryableError, Cancelled."""
        report = verify_restored(
            self.target.connection,
            self.archive.manifest,
            self.target.filestore,
            progress,
            lacking=self._extraction.lacking,
        )
        counts = {"rows": report.rows, "tables": report.tables, "files": report.files}
        progress.log(Message(COMPARED, **counts))
        if not report.is_complete:
            different = map(str, report.different)
            log = "\n".join([*different, *report.missing, *report.damaged])
            if report.different or not self._is_counted_nowhere(report):
                raise RestoredDiffers(log=log)
            self._require_accepted(report, log, progress)
        return report

    def _is_counted_nowhere(self, report: VerifyReport) -> bool:
        """Tell whether nothing but the archive itself says how many files it should
        have, and it had no more of them than were restored."""
        lost = self._lost
        was_there = lost and lost.missing_files < report.missing_count
        return self.archive.describe().origin == "odoo" and not was_there

    def _require_accepted(
        self, report: VerifyReport, log: str, progress: Progress
    ) -> None:
        """Raise what is wrong with the files of an archive of Odoo, unless somebody
        has accepted it."""
        total = report.files + report.missing_count + report.damaged_count
        losses: list[EngineError] = []
        missing, damaged = report.missing_count, report.damaged_count
        if missing and self._lost is None:  # else it was found before
            losses.append(AttachmentsMissing(missing=missing, total=total, log=log))
        if damaged:
            losses.append(AttachmentsDamaged(damaged=damaged, total=total, log=log))
        for error in losses:
            if getattr(error, "finding", "") not in self._options.accepted:
                raise error
            progress.warn(Message(ACCEPTED, problem=error.message))

    def make_safe(self, progress: Progress) -> None:
        """Change in the copy what must not act: always its plans, and more by the
        options. Raise EngineError; NotHarmless when something acts all the same."""
        options, connection = self._options, self.target.connection.heard_by(progress)
        statements: Sequence[str] = ()
        if options.neutralize:
            statements = options.neutralize(installed_modules(connection))
        mark = options.mark and replace(options.mark, oid=self.target.number())
        names = finish_database(
            connection, FinishOptions(options.new_identity, statements, mark)
        )
        if names:
            progress.warn(Message(IN_THE_WAY, names=", ".join(names)))
        self._require_harmless(progress)

    def _require_harmless(self, progress: Progress) -> None:
        neutralized = self._options.neutralize is not None
        connection = self.target.connection.heard_by(progress)
        require_harmless(connection, neutralized=neutralized)

    def finish(self, progress: Progress) -> Published:
        """Make the copy safe, gather its statistics, and give it its name. Raise
        EngineError, Cancelled."""
        self.make_safe(progress)
        analyze(self.target.connection, progress)
        self._require_harmless(progress)  # functions of indexes have run
        if self._options.may_replace:
            self._options.may_replace()
        published = self.target.publish()
        if published.previous and not self._options.replaces:  # else it is dropped
            progress.log(Message(KEPT, database=published.previous.database))
        return published
