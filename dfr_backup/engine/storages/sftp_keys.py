"""Keys of SSH: the host key that is pinned, and the private key that logs us in."""

import base64
import binascii
import hashlib
import io
from dataclasses import dataclass
from typing import Any

from ..errors import PermanentError


def require_paramiko() -> None:
    """Raise PermanentError when the package is missing."""
    try:
        import paramiko  # noqa: F401
    except ImportError as error:
        raise PermanentError(
            "The Python package paramiko is missing, and SFTP needs it.",
            hint="The server's administrator can run: pip install paramiko (into "
            "Odoo's Python).",
        ) from error


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
        for kind, encoded in zip(words, words[1:], strict=False):
            try:
                blob = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                continue
            if blob[4 : 4 + len(kind)] == kind.encode():
                return cls(kind, blob)
        raise PermanentError(
            "What is pinned is not the host key of an SSH server.",
            hint="Fetch the key from the server, or paste a line “ssh-ed25519 AAAA…”.",
        )

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
        raise _unusable(type(key).__name__) from error
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(plain))
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise _unusable(type(key).__name__)


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
        raise PermanentError(
            "The private key is protected by a passphrase, and none was given.",
            hint="Enter the passphrase of the key.",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if passphrase and _is_encrypted(load, text.encode()):
            raise PermanentError(
                "The passphrase does not open the private key.",
                hint="Enter the passphrase that the key was made with.",
            ) from error
        raise PermanentError(
            "The private key cannot be read: it is damaged, or of a kind that is not "
            "supported.",
            hint="Paste the whole file, from the BEGIN line to the END line. A new key "
            "is made "
            "by: ssh-keygen -t ed25519",
        ) from error


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
    except Exception:  # whatever is wrong with it, it is not the passphrase
        return False
    return False


def _require_private_key(text: str) -> None:
    """Tell apart what people paste instead of a private key. Raise PermanentError."""
    if text.startswith("PuTTY-User-Key-File"):
        raise PermanentError(
            "The private key is in PuTTY's format.",
            hint="Convert it with PuTTYgen: Conversions, Export OpenSSH key.",
        )
    if text.startswith(("ssh-", "ecdsa-", "sk-")) or "BEGIN SSH2 PUBLIC KEY" in text:
        raise PermanentError(
            "This is a public key, and the private key is needed.",
            hint="Paste the content of the file without .pub at its end, and add the "
            "public key "
            "to the server's authorized_keys.",
        )
    if "PRIVATE KEY-----" not in text:
        raise PermanentError(
            "This is not a private key.",
            hint="Paste the whole file, from the BEGIN line to the END line.",
        )


def _unusable(kind: str) -> PermanentError:
    return PermanentError(
        f"Private keys of this kind ({kind}) cannot be used.",
        hint="Use a key of kind ed25519, ecdsa or rsa, for example: ssh-keygen -t "
        "ed25519",
    )
