"""Keys of SSH: the host key that is pinned, and the private key that logs us in."""

import base64
import binascii
import hashlib
import io
import itertools
from dataclasses import dataclass
from typing import Any

from ...errors.sftp import (
    BadHostKey,
    KeyKindUnusable,
    KeyUnreadable,
    NotAnSshKey,
    ParamikoMissing,
    PassphraseMissing,
    PublicKeyGiven,
    PuttyKey,
    WrongKeyPassphrase,
)


def require_paramiko() -> None:
    """Raise PermanentError when the package is missing."""
    try:
        import paramiko  # noqa: F401
    except ImportError as error:
        raise ParamikoMissing() from error


@dataclass(frozen=True)
class HostKey:
    """The public key by which a server proves who it is, as OpenSSH writes it."""

    kind: str
    blob: bytes

    @classmethod
    def from_line(cls, line: str) -> "HostKey":
        """Read “type base64”, also with a host before or a comment behind, as in
        known_hosts.

        Raise PermanentError when it is something else.
        """
        words = line.split()
        for kind, encoded in itertools.pairwise(words):
            try:
                blob = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
            if blob[4 : 4 + len(kind)] == kind.encode():
                return cls(kind, blob)
        raise BadHostKey()

    @property
    def line(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """“SHA256:…”, as ``ssh-keygen -l`` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return "SHA256:" + digest.rstrip("=")

    def signed_by(self, algorithm: str) -> bool:
        """Whether a signature of this algorithm is made with such a key."""
        return algorithm == self.kind or (
            self.kind == "ssh-rsa" and algorithm.startswith("rsa-sha2-")
        )


def load_private_key(text: str, passphrase: str) -> Any:
    """Return the private key of a text (OpenSSH or PEM) for paramiko.

    Raise PermanentError when it is none, or when the passphrase is missing or wrong.
    """
    require_paramiko()
    import paramiko
    from cryptography.hazmat.primitives import serialization as formats

    key = _decrypted(text.strip() + "\n", passphrase)
    try:
        plain = key.private_bytes(
            formats.Encoding.PEM, formats.PrivateFormat.OpenSSH, formats.NoEncryption()
        ).decode()
    except (ValueError, TypeError) as error:
        raise KeyKindUnusable(kind=type(key).__name__) from error
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(plain))
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise KeyKindUnusable(kind=type(key).__name__)


def _decrypted(text: str, passphrase: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as formats

    _require_private_key(text)
    openssh = "BEGIN OPENSSH PRIVATE KEY" in text
    load: Any = (
        formats.load_ssh_private_key if openssh else formats.load_pem_private_key
    )
    try:
        return _load(load, text.encode(), passphrase.encode())
    except TypeError as error:
        raise PassphraseMissing() from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase and _is_encrypted(load, text.encode()):
            raise WrongKeyPassphrase() from error
        raise KeyUnreadable() from error


def _load(load: Any, data: bytes, passphrase: bytes) -> Any:
    try:
        return load(data, passphrase or None)
    except TypeError:
        if not passphrase:
            raise
        return load(data, None)  # a passphrase for a key that has none does no harm


def _is_encrypted(load: Any, data: bytes) -> bool:
    try:
        load(data, None)
    except TypeError:
        return True
    except Exception:  # noqa: BLE001 (whatever is wrong, it is not the passphrase)
        return False
    return False


def _require_private_key(text: str) -> None:
    """Tell apart what people paste instead of a private key. Raise PermanentError."""
    if text.startswith("PuTTY-User-Key-File"):
        raise PuttyKey()
    if text.startswith(("ssh-", "ecdsa-", "sk-")) or "BEGIN SSH2 PUBLIC KEY" in text:
        raise PublicKeyGiven()
    if "PRIVATE KEY-----" not in text:
        raise NotAnSshKey()
