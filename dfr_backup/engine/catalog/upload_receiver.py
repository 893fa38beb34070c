"""Archives that come from elsewhere: uploaded ones, and those of Odoo's database
manager."""

import os
import re
import shutil
import unicodedata
from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..archive.formats import HEAD, ZIP, is_age, refuse_dumps
from ..archive.reader import Archive, open_archive
from ..checkpoints import checkpoint
from ..errors import Mismatch, PermanentError, reason_of
from ..errors.archive import InsideFolder
from ..errors.fetch import FileUnreadable
from ..errors.other import (
    NotAnArchive,
    NotOdooBackup,
    OtherFile,
    UploadNeedsSpace,
    UploadNotKept,
)
from ..errors.storage import CopyMissing
from ..errors.trust import NamesTaken
from ..fileio.direct_read import open_regular, sha256_on_disk
from ..fileio.durable import is_full, open_private
from ..fileio.streams import read_fully
from ..manifest.model import Manifest
from ..manifest.names import DUMP, sidecar_key
from ..manifest.read import parse_sidecar
from ..manifest.shape import YEARS
from ..manifest.sidecar import Sidecar
from ..manifest.write import build, sidecar, taken_in, within_bounds
from ..messages import Message, Size, _
from ..progress import Progress
from ..storages.base import Storage
from ..untrusted import MAX_BESIDE

PIECE = 8 << 20  # bytes of one request: far below what proxies and workers allow
SPARE = 64 << 20  # bytes that an upload leaves on the disk
BY_PASSPHRASE = b"\n-> scrypt "
LONGEST_STEM = 200
ELSEWHERE = "elsewhere"  # the run of an archive that no run of this addon has made
NO_SHA256 = "0" * 64
# the names of this addon, of Odoo's database manager, and of OCA's auto_backup
MOMENTS = (
    re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z"),
    re.compile(r"(\d{4})[-_](\d\d)[-_](\d\d)[-_T](\d\d)[-_](\d\d)[-_](\d\d)"),
)
OUR_NAME = re.compile(r"(.+)-\d{8}T\d{6}Z-[0-9a-f]{8}")
FILES_GOOD = _("%(count)s files in it match their %(sums)s")
SUFFIXES = re.compile(r"(\.dump)?(\.zip)?(\.age)?$", re.I)


@dataclass(frozen=True)
class Arrival:
    """An archive that was looked at. ``key`` is the name that it may have in a
    storage, ``manifest`` what its own says or what can be said without one, but for
    what is ``left_out`` because no reader would take so much;
    ``sidecar`` the same as of a stored archive, without its checksum."""

    key: str
    manifest: Manifest
    sidecar: Sidecar
    left_out: tuple[Message, ...] = ()

    @property
    def made_by_odoo(self) -> bool:
        """Tell whether it has no manifest of ours, and could be looked into."""
        return self.sidecar.run == ELSEWHERE and not self.sidecar.encrypted

    def taken_in(self, database_uuid: str, job: str) -> Manifest:
        """Return the manifest for the storage of the database that takes it in by a
        run."""
        facts: dict[str, Any] = {"database_uuid": database_uuid, "job": job}
        if self.made_by_odoo:
            facts["made_by_odoo"] = True
        return taken_in(self.manifest, facts)


# === UPLOAD === #


def require_space(folder: Path, size: int) -> None:
    """Raise PermanentError when ``folder`` has no room for ``size`` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise UploadNeedsSpace(size=Size(size), free=Size(free), folder=folder)


def append(path: Path, offset: int, piece: bytes) -> int:
    """Add ``piece`` to a file that has ``offset`` bytes; return its new size.

    A file of another size is left as it is: whoever sends sees from the size where to
    go on. The first bytes must be those of an archive. Raise PermanentError.
    """
    try:
        with open(path, "ab", opener=open_private) as target:
            if target.tell() == offset:
                if offset == 0:
                    require_archive(piece[:HEAD])
                target.write(piece)
        checkpoint("upload.piece")
        return path.stat().st_size
    except OSError as error:
        remedy = UploadNotKept.remedy_full if is_full(error) else None
        raise UploadNotKept(
            folder=path.parent, reason=reason_of(error), remedy=remedy
        ) from error


def require_archive(head: bytes) -> None:
    """Raise PermanentError when a file that begins like this can be no backup."""
    if head.startswith(ZIP) or is_age(head):
        return
    refuse_dumps(head)
    raise NotAnArchive


# === LOOK === #


def look_at(path: Path, name: str, modified: datetime) -> Arrival:
    """Return what the archive at ``path`` is, that somebody calls ``name``.

    ``modified`` (aware) is when it was made if nothing in it or in its name says so.
    What is encrypted cannot be looked into. Raise PermanentError when it is no backup,
    or is damaged.
    """
    with open(path, "rb", opener=open_regular) as stream:
        head = stream.read(HEAD)
    require_archive(head)
    moment = _moment_in(name) or modified
    if moment.year not in YEARS:  # a computer whose clock was never set
        moment = datetime.now(timezone.utc)
    if is_age(head):
        return _arrival(path, f"{_stem(name)}.zip.age", _encrypted(name, head, moment))
    with open_archive(path) as archive:
        content = _content(archive, name, moment)
    return _arrival(path, f"{_stem(name)}.zip", content)


def _arrival(path: Path, key: str, whole: Manifest) -> Arrival:
    content, left_out = within_bounds(whole)
    data = sidecar(content, key, path.stat().st_size, NO_SHA256)
    sidecar_of = parse_sidecar(data, sidecar_key(key))
    unread = replace(sidecar_of, sha256="", file_size=0, file_sha256="")
    return Arrival(key, content, unread, left_out)


def _content(archive: Archive, name: str, moment: datetime) -> Manifest:
    """Return the manifest of an archive of ours as it is; of one of Odoo's, with
    what ours has."""
    archive.require_complete()
    found = archive.describe()
    if found.origin == "dfr_backup":
        return archive.manifest
    if "database" not in found.contents:
        if found.folder:
            raise InsideFolder(folder=found.folder, member=DUMP)
        raise NotOdooBackup(member=DUMP)
    odoo = {
        **archive.manifest.values,
        "db_name": found.database or _database_in(name),
        "version": found.odoo_version,
        "modules": found.modules,
    }
    return build(odoo, _ours(moment, found.contents))


def _encrypted(name: str, head: bytes, moment: datetime) -> Manifest:
    """Return what can be said about an archive that nobody here can read."""
    odoo = {"db_name": _database_in(name), "version": "", "modules": {}}
    kind = "passphrase" if BY_PASSPHRASE in head else "recipients"
    facts = {"format": "age", "kind": kind, "recipients": []}
    return build(odoo, {**_ours(moment, ()), "encryption": facts})


def _ours(moment: datetime, contents: tuple[str, ...]) -> dict[str, Any]:
    return {
        "job": ELSEWHERE,
        "run": ELSEWHERE,
        "plan": "",
        "database_uuid": "",
        "snapshot_at": moment.isoformat(),
        "contents": list(contents),
        "missing": [],
    }


def _stem(name: str) -> str:
    """Return a name without its endings, safe as a file name and a key."""
    plain = unicodedata.normalize("NFKD", SUFFIXES.sub("", os.path.basename(name)))
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", plain.encode("ascii", "ignore").decode())
    return plain.strip("-.")[:LONGEST_STEM] or "backup"


def _database_in(name: str) -> str:
    stem = _stem(name)
    ours = OUR_NAME.fullmatch(stem)
    if ours:
        return ours[1]
    return MOMENTS[1].sub("", stem).strip("-_.") or stem


def _moment_in(name: str) -> datetime | None:
    """Return the moment (UTC) that a name tells, to the second."""
    for pattern in MOMENTS:
        if found := pattern.search(name):
            try:
                text = "".join(found.groups()) + "Z"
                return datetime.strptime(text, "%Y%m%d%H%M%S%z")
            except ValueError:
                return None
    return None


# === IN A STORAGE === #


def is_our_name(key: str) -> bool:
    """Tell whether an archive has a name that this addon gives."""
    return bool(OUR_NAME.fullmatch(SUFFIXES.sub("", key)))


def free_key(storage: Storage, key: str, job: str, begun: Container[str] = ()) -> str:
    """Return ``key``, or one like it when the storage has something else under that
    name than the archive of the run ``job`` (its UUID), which may have ``begun`` to
    store it under some names.

    Another run may take the name meanwhile: ``take_key`` does not let it. Raise
    PermanentError when all names are taken, and RetryableError.
    """
    for name in _names_like(key, job):
        if is_free(storage, name, job, name in begun):
            return name
    raise NamesTaken(key=key)


def take_key(storage: Storage, key: str, job: str, begun: Container[str] = ()) -> str:
    """Return a free name as ``free_key`` does, with a reservation of the run ``job``
    under it where nothing of that run was: of several who want a name at once, one
    gets it. Raise what ``free_key`` raises."""
    for name in _names_like(key, job):
        started = name in begun
        if is_free(storage, name, job, started) and (
            started or _reserve(storage, name, job)
        ):
            return name
    raise NamesTaken(key=key)


def let_go(storage: Storage, key: str, job: str) -> bool:
    """Remove the reservation of a run, when nothing was stored in its place; tell
    whether it was there. Raise EngineError."""
    if not _is_reserved(storage, key, job):
        return False
    storage.delete(key)
    return True


def _names_like(key: str, job: str) -> tuple[str, ...]:
    return key, distinct_key(key, job[:8]), distinct_key(key, job)


def _reserve(storage: Storage, key: str, job: str) -> bool:
    created = storage.create(_reservation(job), key)
    return created or _is_reserved(storage, key, job)


def _is_reserved(storage: Storage, key: str, job: str) -> bool:
    mark = _reservation(job)
    try:
        return storage.peek(key, len(mark) + 1) == mark
    except PermanentError:
        return False  # somebody else's, whatever it is


def _reservation(job: str) -> bytes:
    """Return what lies under a name until the archive of a run takes its place: no
    archive, so that nobody takes it for one."""
    return f"dfr_backup: reserved for the import {job}\n".encode()


def is_free(storage: Storage, key: str, job: str, begun: bool) -> bool:
    """Tell whether nothing but what the run ``job`` has stored lies under a name."""
    manifest = sidecar_key(key)
    if storage.stat(manifest) is None:
        nothing = begun or storage.stat(key) is None
        return nothing or _is_reserved(storage, key, job)
    try:
        return read_import_job(storage, manifest) == job
    except PermanentError:
        return False  # somebody else's, whatever it is


def read_import_job(storage: Storage, manifest: str) -> str:
    """Return which run has taken in the archive of a stored manifest."""
    with storage.open(manifest) as stream:
        return parse_sidecar(read_fully(stream, MAX_BESIDE + 1), manifest).import_job


def distinct_key(key: str, identifier: str) -> str:
    """Return a key like ``key`` that nothing else has, given an identifier of its
    own."""
    return re.sub(r"(\.zip(\.age)?)$", rf"-{identifier}\1", key)


def found_in(storage: Storage, key: str) -> Sidecar | None:
    """Return what a zip of Odoo's database manager is that lies in a directory
    without a manifest; None where nobody can look, and for what this addon has made.
    Its ``sha256`` is "": nobody has read it. Raise PermanentError when it is no backup
    or is damaged."""
    path, stored = storage.local_path(key), storage.stat(key)
    if path is None or stored is None or not key.endswith(".zip"):
        return None
    try:
        arrival = look_at(path, key, stored.modified)
    except OSError as error:
        raise FileUnreadable(
            file=path.name, reason=reason_of(error), log=str(error)
        ) from error
    return (
        replace(arrival.sidecar, key=key, made_by_odoo=True)
        if arrival.made_by_odoo
        else None
    )


def check_archive(path: Path, progress: Progress) -> str:
    """Read an archive twice, as a whole and file by file; return its SHA-256
    (hexadecimal).

    What is encrypted is only read as a whole. Raise PermanentError when it is damaged,
    Cancelled.
    """
    with open(path, "rb", opener=open_regular) as stream:
        encrypted = is_age(stream.read(HEAD))
    size = path.stat().st_size
    if not encrypted:
        with open_archive(path) as archive:
            members = archive.check(progress)
            sums = "SHA-256" if archive.describe().has_checksums else "CRC-32"
        progress.log(Message(FILES_GOOD, count=members, sums=sums))
    progress.expect(progress.done + size)
    return sha256_on_disk(path, progress.advance)


def compare_found(
    storage: Storage, key: str, size: int, sha256: str, progress: Progress
) -> str:
    """Read back a zip without a manifest; return its SHA-256.

    Raise Mismatch when it is gone, damaged, or another one than that of ``size`` bytes
    and ``sha256``, "" when nobody has read it before.
    """
    path, stored = storage.local_path(key), storage.stat(key)
    if path is None or stored is None:
        raise CopyMissing(key=key, remedy=CopyMissing.remedy_scan)
    try:
        found = check_archive(path, progress)
    except PermanentError as error:
        raise Mismatch.because(error) from error
    if stored.size != size or sha256 not in ("", found):
        raise OtherFile(key=key)
    return found
