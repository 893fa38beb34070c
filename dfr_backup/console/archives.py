"""Commands that need no database and no installed addon: list, verify and restore an
archive."""

import contextlib
import getpass
import hashlib
import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from odoo import release

from .. import odoo_config, runner
from ..engine.archive.reader import open_archive
from ..engine.catalog.catalogued import Catalogued
from ..engine.catalog.fetch import fetch
from ..engine.catalog.scan import read_sidecar, scan
from ..engine.encryption.files import Passphrase, parse_identities
from ..engine.errors import Cancelled, EngineError, reason_of
from ..engine.errors.command_line import (
    FolderNamed,
    FormerDatabaseBack,
    IdentityUnreadable,
)
from ..engine.errors.fetch import KeyNeeded
from ..engine.errors.identity import AddonMissing
from ..engine.errors.trust import WrongSignature
from ..engine.fileio.work_folder import work_folder
from ..engine.manifest import signature
from ..engine.manifest.description import Description
from ..engine.manifest.names import sidecar_key
from ..engine.manifest.shape import moment_of
from ..engine.messages import Message
from ..engine.ownership.locations import open_command, open_for_reading
from ..engine.ownership.originals import identity_of
from ..engine.packs.reading import check_packs
from ..engine.progress import Progress
from ..engine.restore.files import unpack_addons
from ..engine.restore.leftovers import remove_leftovers
from ..engine.restore.options import RestoreOptions
from ..engine.restore.steps import Restore
from ..engine.restore.target import Published, put_back
from ..engine.storages.url import storage_at
from ..runs import words
from ..runs.registry import STEPS
from .report import plain

LABELS = {
    "let_read": "Open location",
    "hand_over": "Hand over",
    **{key: one.name for key, one in STEPS.items()},
}

APPLICATION = "dfr_backup restore"


def explained(command):
    """Print an engine's error as a person wants to read it, and return the exit
    status."""

    def call(*arguments):
        options = arguments[-1]
        _heed_all_who_stop()
        try:
            return command(*arguments)
        except EngineError as error:
            return fail(error, options)
        except KeyboardInterrupt:
            return fail(Cancelled(), options)

    return call


def _heed_all_who_stop():
    """Let what a service manager sends, and a terminal that is closed, undo as
    Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, signal.default_int_handler)


def fail(error, options):
    accept = error.finding if getattr(error, "acceptable", False) else None
    if options.json:
        facts = {
            "error": str(error.message),
            "hint": str(error.hint) or None,
            "accept": accept,
            "log": error.log or None,
            "error_code": error.code or None,
        }
        print(json.dumps({"state": "failure", **facts}, indent=2))
        return 1
    code = f" [{error.code}]" if error.code else ""
    print(f"ERROR: {error.message}{code}", file=sys.stderr)
    for line in (
        error.hint and f"-> {error.hint}",
        accept and f"-> To go on all the same: --accept {accept}",
        error.log,
    ):
        if line:
            print(f"   {line}", file=sys.stderr)
    return 1


@explained
def listing(options):
    """List what a storage holds, the newest first."""
    storage, _key = storage_at(options.storage, folder=True)
    found = list(scan(storage, Progress()))
    rows = [_row(storage, item) for item in found if not item.is_foreign]
    rows.sort(key=lambda row: row["date"] or "", reverse=True)
    status = int(any(row["problem"] for row in rows))
    if options.json:
        print(json.dumps(rows, indent=2))
        return status
    for row in rows:
        trouble = f"  {row['problem']}" if row["problem"] else ""
        date, size = (row["date"] or "?")[:19], f"{row['size']:>14,}"
        print(f"{date:<19}  {size}  {row['database']:<16} {row['path']}{trouble}")
    if not rows:
        print(f"There is no backup at {options.storage}.")
    return status


def _row(storage, item):
    sidecar = item.sidecar
    problem = {
        "problem": str(item.problem.message) if item.problem else None,
        "problem_code": item.problem.code if item.problem else None,
    }
    if not sidecar:
        nothing = dict.fromkeys(("date", "sha256", "odoo_version", "signed"))
        return {
            "key": item.key,
            "path": storage.location(item.key),
            "size": item.size,
            "database": "?",
            "contents": [],
            "encrypted": item.key.endswith(".age"),
            "incremental": None,
            **nothing,
            **problem,
        }
    return {
        "key": sidecar.key,
        "path": storage.location(sidecar.key),
        "date": sidecar.taken_at.isoformat(),
        "size": sidecar.size,
        "sha256": sidecar.sha256,
        "database": sidecar.database,
        "odoo_version": sidecar.odoo_version,
        "contents": list(sidecar.contents),
        "encrypted": sidecar.encrypted,
        "incremental": sidecar.is_incremental,
        "signed": _verdict(sidecar),
        **problem,
    }


SIGNED = {
    signature.HERE: "by this server",
    signature.ELSEWHERE: "by another server",
    signature.UNSIGNED: "not signed",
}


def _verdict(sidecar):
    """Return who has signed a manifest; None when this user cannot tell."""
    try:
        signer = odoo_config.known_signer()
    except EngineError:
        return None
    if signer is None:
        return signature.ELSEWHERE if sidecar.signature else signature.UNSIGNED
    return signer.judge(sidecar.signature)


def look_at(storage, key, options):
    """Say who has signed an archive, and return what its manifest says that it has to
    be, None without one. Raise WrongSignature."""
    verdict, known = signature.UNSIGNED, None
    if storage.stat(sidecar_key(key)) is not None:
        sidecar = read_sidecar(storage, sidecar_key(key))
        verdict, known = _verdict(sidecar), Catalogued.from_sidecar(sidecar)
    if verdict == signature.WRONG:
        raise WrongSignature(key=key)
    if not options.json:
        text = SIGNED.get(verdict, "cannot be checked: the key is not readable")
        print(f"{'Signature':<16} {text}", file=sys.stderr)
    return known, verdict


@explained
def verify(options):
    """Compare an archive with its manifest and, where it can be read here, with its
    checksums."""
    storage, key = addressed(options.archive)
    progress, packs = Shown("Verify", options), 0
    with tempfile.TemporaryDirectory(prefix="dfr_backup") as folder:
        known, signed = storage.with_retries(
            lambda: look_at(storage, key, options), progress
        )
        fetched = fetch(storage, key, Path(folder), progress, known=known)
        fetched.compare(progress)
        members = None
        if not key.endswith(".age"):
            with open_archive(fetched.path) as archive:
                members = archive.check(progress)
        if known:
            packs = _verify_packs(storage, key, progress)
    progress.end()
    text = (
        f"{members} files in it are what they were"
        if members
        else "the whole is what it was"
    )
    about = {"state": "success", "members": members, "packs": packs, "signed": signed}
    beside = f". Packs that it needs, all right: {packs}" if packs else ""
    print(json.dumps(about) if options.json else f"OK: {text}{beside}")
    return 0


def _verify_packs(storage, key, progress):
    """Read back each pack that a backup needs; return how many there are."""
    good = set()

    def check():
        sidecar = read_sidecar(storage, sidecar_key(key))
        check_packs(storage, sidecar, progress, good)
        return len(sidecar.packs or ())

    return storage.with_retries(check, progress)


def addressed(address):
    storage, key = storage_at(address)
    if not key:
        raise FolderNamed(address=address)
    return storage, key


@explained
def restore(options):
    """Restore an archive into a new database. Who stops it leaves nothing behind."""
    storage, key = addressed(options.archive)
    _tell(options, restore_stored(storage, key, options))
    return 0


@dataclass(frozen=True)
class Restored:
    """What a restore has made: what the archive says, the database, and how it went."""

    facts: Description
    published: Published
    steps: list
    seconds: float
    signed: str
    is_original: bool


def restore_stored(storage, key, options):
    """Restore what is stored under ``key`` as the database ``options.to``; return a
    Restored. Raise EngineError and KeyboardInterrupt, and leave nothing behind then."""
    connection = odoo_config.connection("postgres", APPLICATION)
    remove_leftovers(connection, odoo_config.markers())
    known, signed = storage.with_retries(
        lambda: look_at(storage, key, options), Told(options)
    )
    wanted = RestoreOptions(
        place=odoo_config.place(options.to),
        series=release.series,
        modules=odoo_config.modules_on_disk(),
        replace_existing=options.replace,
        accepted=options.accept,
        new_identity=not options.same_identity,
        neutralize=odoo_config.neutralization if options.neutralize else None,
        identities=identities_of(options, key),
        plain=options.plain_load,
        # what others have made is looked at as a whole before it is loaded
        trusted=True if signed == signature.HERE else None,
        whole=bool(options.addons),  # else a damaged addon were only found in the end
        addons=Path(options.addons) if options.addons else None,
        space=odoo_config.reservations(f"restore {options.to}"),
        **odoo_config.database_template(),
    )
    # named by its address: an interrupted restore goes on, and none disturbs another
    name = hashlib.sha256(storage.location(key).encode()).hexdigest()[:16]
    started, done = time.monotonic(), []
    with contextlib.ExitStack() as undo:
        with work_folder(odoo_config.data_root() / "fetched", name) as work:
            with Restore(connection, wanted, work, odoo_config.markers()) as job:
                with _step("fetch", options, done) as progress:
                    job.fetch(storage, key, progress, known)
                for kind, work_of in _works(job, options, undo).items():
                    with _step(kind, options, done) as progress:
                        published = work_of(progress)  # by the last of them
                facts = job.archive.describe()
            shutil.rmtree(work, ignore_errors=True)
        if published.previous:
            with _step("boot", options, done) as progress:
                _boot_or_put_back(connection, published, progress)
        undo.pop_all()
    let_read(storage, options, done)
    is_original = False
    if options.same_identity:  # from here on, nothing puts the former one back
        with _step("hand_over", options, done) as progress:
            is_original = _hand_over(options.to, progress)
    seconds = time.monotonic() - started
    return Restored(facts, published, done, seconds, signed, is_original)


def _works(job, options, undo):
    """Return the steps of a restore after the first. The addons come before the last
    one: what fails later would leave a database in its place that nobody has looked
    at."""
    works = job.works()
    if not options.addons:
        return works
    folder, finish = Path(options.addons), works.pop("finish")

    def addons(progress):
        _unpack(job.archive, folder, progress, undo)

    return works | {"addons": addons, "finish": finish}


def _unpack(archive, folder, progress, undo):
    found = unpack_addons(archive, folder, progress)
    for name in found.unpacked:
        undo.callback(shutil.rmtree, folder / name, ignore_errors=True)
    names = ", ".join(found.unpacked) or Message(words.NONE)
    progress.log(Message(words.ADDONS_UNPACKED, path=folder, names=names))
    if found.skipped:
        names = ", ".join(found.skipped)
        progress.warn(Message(words.ADDONS_SKIPPED, names=names))


def _boot_or_put_back(connection, published, progress):
    """Let an Odoo load the database that has replaced another one. When it cannot,
    or somebody presses Ctrl-C, the former one gets its name back."""
    name = published.place.database
    try:
        runner.boot_apart(name, f"{APPLICATION} boot", progress)
    except (EngineError, KeyboardInterrupt) as error:
        put_back(connection, published, odoo_config.markers())
        stopped = isinstance(error, KeyboardInterrupt)
        raise FormerDatabaseBack(
            database=name,
            reason=Message(words.RESTORE_STOPPED if stopped else words.NOT_LOADED),
            log="" if stopped else error.log or str(error),
        ) from error


def let_read(storage, options, done):
    """Let the restored database read where its backup was, and do no more there. When
    that fails, it is restored all the same."""
    with _step("let_read", options, done) as progress:
        try:
            identity = identity_of(odoo_config.connection(options.to, APPLICATION))
            with odoo_config.data_folder_explained():
                owners = odoo_config.owners()
                is_known = open_for_reading(storage, owners, identity)
            if not is_known:
                progress.log(Message(words.NOT_MARKED))
        except AddonMissing:  # it has no storages
            return
        except EngineError as error:
            command = open_command(storage.location(""), options.to)
            line = Message(words.NOT_OPENED, problem=error, command=command)
            progress.warn(line)


def _hand_over(database, progress):
    """Let the restored database be the original; tell whether it is. When that fails,
    it is restored all the same."""
    try:
        identity = identity_of(odoo_config.connection(database, APPLICATION))
        odoo_config.hand_over(identity)
        return True
    except AddonMissing:
        return False
    except EngineError as error:
        command = odoo_config.moved_command(database)
        progress.warn(Message(words.NOT_HANDED_OVER, problem=error, command=command))
        return False


def identities_of(options, key):
    """Return what decrypts the archive; a passphrase is asked for, and never an
    argument."""
    if not key.endswith(".age"):
        return None
    if options.identity:
        try:
            return parse_identities(Path(options.identity).read_text())
        except OSError as error:
            raise IdentityUnreadable(
                path=options.identity, reason=reason_of(error)
            ) from error
    if not getattr(options, "passphrase", None):  # of several archives: asked once
        if not sys.stdin.isatty():
            raise KeyNeeded(remedy=KeyNeeded.remedy_option)
        options.passphrase = getpass.getpass("Passphrase of the archive: ")
    return Passphrase(options.passphrase)


@contextlib.contextmanager
def _step(kind, options, done):
    progress = Shown(LABELS[kind], options)
    try:
        yield progress
    except BaseException:
        progress.end("FAILED")
        raise
    progress.end("warning" if progress.warnings else "ok")
    lines = [str(line) for line in progress.lines]
    seconds = round(progress.elapsed(), 2)
    done.append({"kind": kind, "seconds": seconds, "log": lines})


class Told(Progress):
    """A progress of which a person reads what keeps it waiting."""

    def __init__(self, options, report=None):
        super().__init__(report)
        self._quiet = options.json
        self._moving = not self._quiet and sys.stderr.isatty()

    def retry(self, line):
        if not self._quiet:
            start = "\r\033[K" if self._moving else ""
            print(f"{start}    {plain(line)}", file=sys.stderr, flush=True)
        return super().retry(line)


class Shown(Told):
    """A progress that a person on a terminal sees moving."""

    def __init__(self, label, options):
        super().__init__(options, self._show)
        self._label = label

    def _show(self, _progress):
        if self._moving:
            share = f"{min(100, 100 * self.done // self.total)} %" if self.total else ""
            line = f"{self._label:<16} {self.done / 2**20:10,.1f} MiB {share:>6}"
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def end(self, mark="ok"):
        """Leave one line behind."""
        if self._quiet:
            return
        start = "\r\033[K" if self._moving else ""
        size = f"{self.done / 2**20:10,.1f} MiB" if self.done else ""
        line = f"{self._label:<16} {mark:<8} {self.elapsed():7.1f} s {size}"
        print(f"{start}{line}", file=sys.stderr)
        for text in self.warnings:
            print(f"    {text}", file=sys.stderr)


def _tell(options, restored):
    facts, former = restored.facts, restored.published.previous
    is_original, seconds = restored.is_original, restored.seconds
    missing = sorted(set(facts.modules) - set(odoo_config.modules_on_disk()))
    if options.json:
        result = {
            "state": "success",
            "database": options.to,
            "signed": restored.signed,
            "original": is_original,
            "seconds": round(seconds, 2),
        }
        if former:
            result["former"] = {
                "database": former.database,
                "filestore": str(former.filestore),
            }
        print(
            json.dumps(
                {**result, "steps": restored.steps, "missing_modules": missing},
                indent=2,
            )
        )
        return
    print(
        f"“{options.to}” is restored, in {seconds:.0f} s: the data of "
        f"{_in_words(facts.taken_at)}."
    )
    print(
        "Its backup plans are off. It is the original now, and its storages are its "
        "own again."
        if is_original
        else "Its backup plans are off, and its storages are read-only until somebody "
        "takes them over."
    )
    _tell_how_to_open(options, former)
    if former:
        print(
            f"The former database is kept as “{former.database}”, and nobody may "
            "connect to it."
        )
        print("When it is not needed any more:")
        names = shlex.quote(former.database), shlex.quote(str(former.filestore))
        print("    dropdb {} && rm -r {}".format(*names))
    if missing:
        print(f"Not on this disk, and needed by it: {', '.join(missing)}")
    if options.addons:
        folder = Path(options.addons).absolute()
        print(
            f"To load the addons that were unpacked: {odoo_config.addons_line(folder)}"
        )


def _in_words(taken_at):
    """Return when the data was saved: "2026-11-29 19:18 UTC"."""
    if not taken_at:
        return "then"
    return f"{moment_of(taken_at):%Y-%m-%d %H:%M} UTC"


def _tell_how_to_open(options, former):
    if former:  # whatever serves that name serves it
        print("Next: start Odoo, and look at the newest invoice and at an attachment.")
        return
    name = shlex.quote(options.to)
    print("Next: open it, and look at the newest invoice and at an attachment:")
    print(
        f"    a running Odoo serves it when db_name in odoo.conf names it, or dbfilter "
        f"matches it, after a restart;\n"
        f"    a second Odoo does at once: odoo -d {name} --http-port 8079 "
        f"--max-cron-threads 0"
    )
