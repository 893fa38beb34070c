"""Secrets at rest: encrypted with a key that lives outside the database and outside
every backup."""

import base64
import binascii
import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import reason_of
from ..errors.secrets import (
    KeyFileEmpty,
    KeyFileForeign,
    KeyFileUnusable,
    KeyTooShort,
    NoOwner,
    SecretOfAnother,
    SecretUnreadable,
)
from ..fileio.durable import write_private
from ..messages import NOTHING, Message, _

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "v2."  # of a token, so that a later form can be told apart
UNBOUND = "v1."  # one of an older release, which opens in any database
KEY_BYTES = 32
NONCE_BYTES = 12
ENCODING = ("utf-8", "surrogatepass")  # its errors would quote the secret
SMALLEST_TEXT = 16  # characters of a key that a person chose
READABLE = _(
    "%(file)s could be read by other users of the server (mode %(mode)s). This was "
    "corrected. If you do not trust these users, replace the secrets of all storages "
    "and enter the new ones."
)


@dataclass(frozen=True)
class Key:
    """A key for secrets, of 32 bytes. ``name`` tells keys apart and is no secret."""

    value: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return hashlib.sha256(b"dfr_backup key name " + self.value).hexdigest()[:8]

    def derive(self, purpose: bytes) -> bytes:
        """Return a key of 32 bytes for another purpose (HKDF with SHA-256), which tells
        nothing about this one."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose).derive(self.value)

    def encrypt(self, data: bytes, bound: bytes) -> bytes:
        """Return the data encrypted (AES-256-GCM) and ``bound`` to its place."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher().encrypt(nonce, data, bound)

    def decrypt(self, data: bytes, bound: bytes) -> bytes | None:
        """Return what was encrypted; None when that was done with another key or for
        another place, or it is damaged."""
        from cryptography.exceptions import InvalidTag

        nonce, encrypted = data[:NONCE_BYTES], data[NONCE_BYTES:]
        with contextlib.suppress(InvalidTag, ValueError):
            return self._cipher().decrypt(nonce, encrypted, bound)
        return None

    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.value)


@dataclass(frozen=True)
class LoadedKey:
    """A key from a file. ``warning`` is not empty when something about the file was
    mended."""

    key: Key
    created: bool = False
    warning: Message = NOTHING


class SecretBox:
    """Encrypt and decrypt short texts with AES-256-GCM.

    The first key encrypts; the others are former ones, which still decrypt. A token
    works only in the context it was made for: nobody can move it to another record, or
    into another database, to see it used there.
    """

    def __init__(self, key: Key, *former: Key):
        self._keys = (key, *former)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The key that encrypts, then the former ones."""
        return self._keys

    def __repr__(self) -> str:
        return f"SecretBox({', '.join(key.name for key in self._keys)})"

    def encrypt(self, secret: str, context: str, owner: str) -> str:
        """Return the token for ``secret``, which says nothing but its length and a
        short checksum of its owner.

        ``context`` names the place of the secret, for example
        "backup.storage,7,secret_key"; ``owner`` is the uuid of the database. Raise
        PermanentError without one.
        """
        if not owner:
            raise NoOwner()
        bound = _bound(context, owner)
        encrypted = self._keys[0].encrypt(secret.encode(*ENCODING), bound)
        return f"{_prefix(owner)}{base64.urlsafe_b64encode(encrypted).decode()}"

    def decrypt(self, token: str, context: str, owner: str) -> str:
        """Return the secret in ``token``.

        Raise PermanentError when no key opens it in this context and database, or it is
        damaged.
        """
        secret = self._try(token, context, owner)
        if secret is not None:
            return secret
        names = ", ".join(key.name for key in self._keys)
        if not is_bound(token) or token.startswith(_prefix(owner)):
            raise SecretUnreadable(log=f"Keys tried: {names}.")
        raise SecretOfAnother(log=f"Keys tried: {names}.") if owner else NoOwner()

    def _try(self, token: str, context: str, owner: str) -> str | None:
        if token.startswith(UNBOUND):
            return self._decrypt(token, UNBOUND, context.encode())
        return self._decrypt(token, _prefix(owner), _bound(context, owner))

    def _decrypt(self, token: str, prefix: str, bound: bytes) -> str | None:
        try:
            if not token.startswith(prefix):
                return None
            data = base64.b64decode(token[len(prefix) :], altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        if prefix + base64.urlsafe_b64encode(data).decode() != token:
            return None  # its last character has bits that no byte is made of
        for key in self._keys:
            secret = key.decrypt(data, bound)
            if secret is not None:
                with contextlib.suppress(ValueError):
                    return secret.decode(*ENCODING)
        return None


def is_bound(token: str) -> bool:
    """Tell whether a token opens in one database only: those of older releases do in
    any."""
    return token.startswith(PREFIX)


def _bound(context: str, owner: str) -> bytes:
    return f"{owner}\0{context}".encode()


def _prefix(owner: str) -> str:
    """Return how a token of this owner begins. It only tells one owner from another,
    for a better error: what binds is the encryption."""
    name = hashlib.sha256(b"dfr_backup owner name " + owner.encode()).hexdigest()[:8]
    return f"{PREFIX}{name}."


def key_from_text(text: str) -> Key:
    """Return the key that a person put into odoo.conf or the environment.

    Any text of 16 characters or more is one; the same text gives the same key
    everywhere. Raise PermanentError for a shorter one.
    """
    text = text.strip()
    if len(text) < SMALLEST_TEXT:
        raise KeyTooShort(least=SMALLEST_TEXT)
    # a fast hash is right for a random key; the file that we make is always one
    return Key(hashlib.sha256(b"dfr_backup key " + text.encode()).digest())


def load_or_create_key(file: Path) -> LoadedKey:
    """Return the key in ``file``, which is made, with mode 0600, when it does not
    exist.

    Processes that race for it get the same key. Rights for others are taken away, with
    a warning. Raise PermanentError when the file cannot be read or made, belongs to
    another user, is no plain file or holds no key: a second key is never put in its
    place.
    """
    with _explained(file):
        created = _create(file)
        return _load(file, created)


def load_key(file: Path) -> LoadedKey:
    """Return the key in ``file``, a former one. Raise PermanentError as
    ``load_or_create_key`` does, and when there is no such file."""
    with _explained(file):
        return _load(file, created=False)


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = reason_of(error)
        raise KeyFileUnusable(
            file=file.name, directory=file.parent, reason=reason
        ) from error


def _create(file: Path) -> bool:
    """Make the key file, unless there is one."""
    if os.path.lexists(file):
        return False
    content = base64.urlsafe_b64encode(os.urandom(KEY_BYTES)) + b"\n"
    return write_private(file, content, over=False)


def _load(file: Path, created: bool) -> LoadedKey:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as stream:
        warning = _require_private(stream.fileno(), file)
        text = stream.read(4096).decode("ascii", "replace")
    try:
        value = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        value = b""
    if len(value) != KEY_BYTES:
        raise KeyFileEmpty(file=file.name, directory=file.parent)
    return LoadedKey(Key(value), created, warning)


def _require_private(descriptor: int, file: Path) -> Message:
    """Refuse another user's file; take rights from others, and say so."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
        raise KeyFileForeign(file=file.name, directory=file.parent)
    mode = stat.S_IMODE(status.st_mode)
    if not mode & 0o077:
        return NOTHING
    os.fchmod(descriptor, mode & 0o700)
    return Message(READABLE, file=file.name, mode=f"{mode:04o}")
