"""Encrypted archives: files of age, which any ``age -d`` can read without us."""

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..checkpoints import checkpoint
from ..concurrency.pipeline import working_behind
from ..errors import EngineError, RetryableError, reason_of
from ..errors.encryption import NoKey, NotWritten
from ..fileio.append_file import AppendFile
from ..fileio.direct_read import open_regular, pieces_on_disk
from ..progress import Progress
from .age_format import CHUNK, EncryptedReader, EncryptedWriter, Identity, Recipient
from .age_keys import (
    KeyPair,
    Passphrase,
    fingerprint,
    generate_key,
    parse_identities,
    parse_recipients,
    public_of,
)

__all__ = [
    "Encrypted",
    "EncryptedWriter",
    "KeyPair",
    "Passphrase",
    "decrypt_file",
    "encrypt_file",
    "fingerprint",
    "generate_key",
    "open_decrypted",
    "parse_identities",
    "parse_recipients",
    "public_of",
]

PIECE = 4 << 20  # bytes


@dataclass(frozen=True)
class Encrypted:
    """What an encrypted file is: its size in bytes, and its SHA-256 (hexadecimal)."""

    size: int
    sha256: str


def encrypt_file(
    source: Path,
    target: Path,
    key: Sequence[Recipient] | Passphrase,
    progress: Progress,
) -> Encrypted:
    """Encrypt ``source`` into ``target``, for every one of the recipients or for a
    passphrase.

    Memory does not grow with the file. ``target`` has mode 0600, is on the disk when
    this returns, and replaces what was there; it is removed when anything fails. Raise
    PermanentError, RetryableError or ``Cancelled``.
    """
    recipients = _as_list(key)
    progress.expect(source.stat().st_size)
    digest = hashlib.sha256()
    with (
        _target(target, progress, digest.update) as encrypted,
        _behind(encrypted.write) as put,
    ):
        batch: list[bytes] = []
        writer = EncryptedWriter(batch.append, recipients)
        with pieces_on_disk(source) as pieces:
            for piece in pieces:
                writer.write(piece)
                put(batch.copy())
                batch.clear()
                progress.advance(len(piece))
        writer.finish()
        put(batch)
    return Encrypted(encrypted.position, digest.hexdigest())


def decrypt_file(
    source: Path,
    target: Path,
    key: Sequence[Identity] | Passphrase,
    progress: Progress,
    *,
    opened: Callable[[], object] = lambda: None,
) -> int:
    """Decrypt ``source`` into ``target``, armoured or not; return the size in bytes.

    ``target`` is as with ``encrypt_file``; ``opened`` is called when it is there and
    nothing is in it yet. Raise PermanentError when no key fits, or the file is damaged
    or cut off: then nothing of it stays, because its beginning proves nothing.
    """
    progress.expect(source.stat().st_size)
    with (
        open(source, "rb", opener=open_regular) as encrypted,
        _target(target, progress) as decrypted,
    ):
        opened()
        reader = open_decrypted(encrypted, key)
        with _behind(decrypted.write) as put:
            while piece := reader.read(PIECE):
                put([piece])
                progress.advance(len(piece))
    return decrypted.position


def open_decrypted(stream: BinaryIO, key: Sequence[Identity] | Passphrase) -> BinaryIO:
    """Return the plain text of an encrypted stream, to be read while it arrives.

    It can seek when ``stream`` can, so that a zip file inside can be opened as it is.
    Reading raises PermanentError as ``decrypt_file`` does.
    """
    return io.BufferedReader(EncryptedReader(stream, _as_list(key)), CHUNK)


def _as_list(key: Any) -> list[Any]:
    keys = [key] if isinstance(key, Passphrase) else list(key)
    if not keys:
        raise NoKey()
    return keys


def _behind(
    write: Callable[[bytes], object],
) -> AbstractContextManager[Callable[[list[bytes]], None]]:
    """Yield a function that lets a thread write some pieces while the caller makes the
    next."""

    def write_all(pieces: list[bytes]) -> None:
        for piece in pieces:
            write(piece)

    return working_behind(write_all, "write")


@contextmanager
def _target(
    path: Path,
    progress: Progress,
    added: Callable[[memoryview], object] = lambda _piece: None,
) -> Iterator[AppendFile]:
    """Open a new private file that is on the disk afterwards, or gone when anything
    fails."""
    try:
        path.unlink(missing_ok=True)
        with closing(AppendFile(path, os.O_CREAT | os.O_EXCL, added)) as file:
            yield file
            file.sync(progress.tick)
        checkpoint("encryption.written")
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _explain(error, path) from error
        raise


def _explain(error: OSError, path: Path) -> EngineError:
    reason = reason_of(error)
    failed = NotWritten(file=path.name, directory=path.parent, reason=reason)
    return RetryableError.because(failed) if error.errno == errno.EIO else failed
