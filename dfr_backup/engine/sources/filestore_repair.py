"""A file of the filestore that is missing or damaged, put back from a backup."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from io import RawIOBase
from pathlib import Path

from ..checkpoints import checkpoint
from ..errors import PermanentError, reason_of
from ..errors.other import BadFileName, FileUnusable, FolderIsLink, OtherContent
from ..fileio.durable import sync, sync_directory

STORE_FNAME = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{38})")
CHUNK = 1 << 20  # bytes
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_good(filestore: Path, store_fname: str) -> bool:
    """Tell whether the file is there and is what its name says. Raise PermanentError
    when it cannot be read: what nobody can see must not be replaced."""
    folder, name = _parts(store_fname)
    try:
        file = os.open(filestore / folder / name, READ)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unusable(store_fname, error) from error
    with open(file, "rb", buffering=0) as stream:
        return _sha1(stream, store_fname) == name


def put_back(filestore: Path, store_fname: str, pieces: Iterable[bytes]) -> bool:
    """Write an attachment file again; return False, and change nothing, when a good one
    is there. What a killed call has left is overwritten. One at a time.

    It appears as a whole or not at all, and only when its SHA-1 is its name. Raise
    PermanentError when ``pieces`` are another content, or it cannot be written; what
    ``pieces`` raises is passed on. Nothing is left behind then.
    """
    folder, _name = _parts(store_fname)
    if is_good(filestore, store_fname):
        return False
    partial = _partial(filestore, store_fname)
    with _explained(store_fname):
        _make_folder(filestore, folder)
        partial.unlink(missing_ok=True)
    try:
        with _explained(store_fname):
            _write(partial, pieces, store_fname)
        checkpoint("repair.written")
        return _publish(partial, filestore, store_fname)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial(filestore: Path, store_fname: str) -> None:
    """Remove what a killed ``put_back`` may have left beside an attachment file."""
    with contextlib.suppress(OSError, PermanentError):
        _partial(filestore, store_fname).unlink()


def _partial(filestore: Path, store_fname: str) -> Path:
    folder, name = _parts(store_fname)
    return filestore / folder / f".dfr_backup_{name}"


def _parts(store_fname: str) -> tuple[str, str]:
    found = STORE_FNAME.fullmatch(store_fname)
    if not found:
        raise BadFileName(file=store_fname)
    return found[1], found[2]


def _make_folder(filestore: Path, folder: str) -> None:
    path = filestore / folder
    if os.path.islink(path) and not path.is_dir():
        raise FolderIsLink(path=path)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        _inherit(path)


def _write(partial: Path, pieces: Iterable[bytes], store_fname: str) -> None:
    sha1 = hashlib.sha1(usedforsecurity=False)
    with open(os.open(partial, CREATE, 0o666), "wb") as stream:
        for piece in pieces:
            sha1.update(piece)
            stream.write(piece)
        sync(stream)
    _inherit(partial)
    if sha1.hexdigest() != store_fname.rpartition("/")[2]:
        raise OtherContent(file=store_fname)


def _publish(partial: Path, filestore: Path, store_fname: str) -> bool:
    """Give the file its name, unless a good one has come meanwhile."""
    target = filestore / store_fname
    with _explained(store_fname):
        if is_good(filestore, store_fname):
            return False
        os.replace(partial, target)
        checkpoint("repair.published")
        sync_directory(target.parent)
    return True


def _inherit(path: Path) -> None:
    """Let what root makes belong to whom the directory around belongs."""
    if os.geteuid() == 0:
        around = path.parent.stat()
        os.chown(path, around.st_uid, around.st_gid)


def _sha1(stream: RawIOBase, store_fname: str) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        while piece := stream.read(CHUNK):
            digest.update(piece)
    except OSError as error:
        raise _unusable(store_fname, error) from error
    return digest.hexdigest()


@contextlib.contextmanager
def _explained(store_fname: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unusable(store_fname, error) from error


def _unusable(store_fname: str, error: OSError) -> FileUnusable:
    return FileUnusable(file=store_fname, reason=reason_of(error), log=str(error))
