"""Encrypted archives: files of age, which any ``age -d`` can read without us."""

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..checkpoints import checkpoint
from ..errors import PermanentError, RetryableError
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

SUFFIX = ".age"
PIECE = 1 << 20  # bytes


@dataclass(frozen=True)
class Encrypted:
    """What an encrypted file is: its size in bytes, and its SHA-256 (hexadecimal)."""

    size: int
    sha256: str


def encrypt_file(
    source: Path, target: Path, key: Sequence[Recipient] | Passphrase, progress: Progress
) -> Encrypted:
    """Encrypt ``source`` into ``target``, for every one of the recipients or for a passphrase.

    Memory does not grow with the file. ``target`` has mode 0600, is on the disk when this
    returns, and replaces what was there; it is removed when anything fails. Raise
    PermanentError, RetryableError or ``Cancelled``.
    """
    recipients = _as_list(key)
    progress.expect(source.stat().st_size)
    with open(source, "rb", buffering=0) as reader, _target(target) as stream:
        digest = hashlib.sha256()
        size = 0

        def write(data: bytes) -> None:
            nonlocal size
            digest.update(data)
            stream.write(data)
            size += len(data)

        writer = EncryptedWriter(write, recipients)
        _copy(reader, writer.write, progress)
        writer.finish()
    return Encrypted(size, digest.hexdigest())


def decrypt_file(
    source: Path, target: Path, key: Sequence[Identity] | Passphrase, progress: Progress
) -> int:
    """Decrypt ``source`` into ``target``, armoured or not; return the size in bytes.

    ``target`` is as with ``encrypt_file``. Raise PermanentError when no key fits, or the file
    is damaged or cut off: then nothing of it stays, because its beginning proves nothing.
    """
    progress.expect(source.stat().st_size)
    with open(source, "rb") as encrypted, _target(target) as stream:
        return _copy(open_decrypted(encrypted, key), stream.write, progress)


def open_decrypted(stream: BinaryIO, key: Sequence[Identity] | Passphrase) -> BinaryIO:
    """Return the plain text of an encrypted stream, to be read while it arrives.

    It can seek when ``stream`` can, so that a zip file inside can be opened as it is. Reading
    raises PermanentError as ``decrypt_file`` does.
    """
    return io.BufferedReader(EncryptedReader(stream, _as_list(key)), CHUNK)


def _as_list(key: Any) -> list[Any]:
    keys = [key] if isinstance(key, Passphrase) else list(key)
    if not keys:
        raise PermanentError(
            "There is no key.", hint="Give at least one key, or a passphrase, in the plan."
        )
    return keys


def _copy(reader: Any, write: Callable[[Any], object], progress: Progress) -> int:
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    size = 0
    while count := reader.readinto(buffer):
        write(view[:count])
        size += count
        progress.advance(count)
    return size


@contextmanager
def _target(path: Path) -> Iterator[BinaryIO]:
    """Open a new private file that is on the disk afterwards, or gone when anything fails."""
    try:
        path.unlink(missing_ok=True)
        with open(path, "xb", opener=_private) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        checkpoint("encryption.written")
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _explain(error, path) from error
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _explain(error: OSError, path: Path) -> PermanentError | RetryableError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    kind = RetryableError if error.errno == errno.EIO else PermanentError
    return kind(
        f"{path.name} could not be written in {path.parent}, or its source not read: {reason}.",
        hint="Check the free space, the rights and the disk of that directory.",
    )
