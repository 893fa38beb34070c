"""Who can read an archive: age keys, SSH keys and passphrases."""

import base64
import hashlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors.encryption import (
    EmptyPassphrase,
    HeaderDamaged,
    KeyKindUnknown,
    NoPrivateKey,
    NoPublicKey,
    NotAPrivateKey,
    NotAPublicKey,
    PrivateKeyGiven,
    SshKeyIncomplete,
    SshKeyUnreadable,
    SshKeyUnusable,
    TooMuchMemory,
)
from ..messages import Message, _
from . import bech32
from .age_format import Identity, Stanza, decode64, derive, encode64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

PUBLIC, PRIVATE = "age", "AGE-SECRET-KEY-"
X25519, SCRYPT = b"age-encryption.org/v1/X25519", b"age-encryption.org/v1/scrypt"
SSH_ED25519, SSH_RSA = (
    b"age-encryption.org/v1/ssh-ed25519",
    b"age-encryption.org/v1/ssh-rsa",
)
WORK_FACTOR = 18  # as age: 2**18 is about a second and 256 MiB
LARGEST_WORK_FACTOR = 20  # a file may not ask for more than a gigabyte
RSA_BITS = 2048  # at least
CURVE = 2**255 - 19
WRAPPED = 32  # bytes of an encrypted file key; nothing longer is tried
# keys of age that ask for what only it, or a plugin of it, can do
UNKNOWN_PUBLIC = re.compile("age1[a-z0-9-]{2,16}1")
UNKNOWN_PRIVATE = re.compile("AGE-(SECRET-KEY-PQ|PLUGIN)-")
THIS, LINE = Message(_("This line")), _("Line %(number)s")


@dataclass(frozen=True)
class KeyPair:
    """An age key: ``public`` encrypts ("age1…"), ``private`` ("AGE-SECRET-KEY-1…")
    decrypts."""

    public: str
    private: str = field(repr=False)


@dataclass(frozen=True)
class AgeRecipient:
    """An age public key. ``text`` is its canonical form."""

    text: str
    public: bytes

    def wrap(self, file_key: bytes) -> Stanza:
        share, shared = _ephemeral(self.public)
        key = derive(shared, share + self.public, X25519)
        return Stanza("X25519", (encode64(share),), _wrap(key, file_key))


@dataclass(frozen=True)
class SshRecipient:
    """An SSH public key: ``text`` without its comment, ``wire`` as its base64 says."""

    text: str
    wire: bytes
    key: Any = field(repr=False, compare=False)

    def wrap(self, file_key: bytes) -> Stanza:
        if self.text.startswith("ssh-rsa"):
            return Stanza(
                "ssh-rsa", (_tag(self.wire),), self.key.encrypt(file_key, _oaep())
            )
        point = _montgomery(_raw(self.key))
        share, shared = _ephemeral(point)
        shared = _exchange(derive(b"", self.wire, SSH_ED25519), shared)
        key = derive(shared, share + point, SSH_ED25519)
        return Stanza(
            "ssh-ed25519", (_tag(self.wire), encode64(share)), _wrap(key, file_key)
        )


@dataclass(frozen=True)
class AgeIdentity:
    """An age private key."""

    private: bytes = field(repr=False)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != "X25519":
            return None
        _require(len(stanza.args) == 1)
        return _agree(stanza.args[0], stanza.body, self.private, X25519)


@dataclass(frozen=True)
class SshIdentity:
    """An SSH private key without a passphrase; ``wire`` is its public key."""

    wire: bytes
    key: Any = field(repr=False, compare=False)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if not stanza.args or stanza.args[0] != _tag(self.wire):
            return None
        if stanza.kind == "ssh-rsa" and hasattr(self.key, "decrypt"):
            try:
                file_key: bytes = self.key.decrypt(stanza.body, _oaep())
            except ValueError:
                return None
            return file_key
        if stanza.kind != "ssh-ed25519":
            return None
        _require(len(stanza.args) == 2)
        scalar = hashlib.sha512(_seed(self.key)).digest()[:32]
        tweak = derive(b"", self.wire, SSH_ED25519)
        return _agree(stanza.args[1], stanza.body, scalar, SSH_ED25519, tweak)


@dataclass(frozen=True)
class Passphrase:
    """A passphrase, through scrypt: it encrypts and decrypts.

    Each file costs about a second and, while the key is made, 2**(work_factor + 10)
    bytes of memory: 256 MiB with age's own 18. That is what makes guessing slow.
    """

    secret: str = field(repr=False)
    work_factor: int = WORK_FACTOR

    def wrap(self, file_key: bytes) -> Stanza:
        if not self.secret:
            raise EmptyPassphrase()
        salt = os.urandom(16)
        wrapped = _wrap(self._key(salt, self.work_factor), file_key)
        return Stanza("scrypt", (encode64(salt), str(self.work_factor)), wrapped)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != "scrypt":
            return None
        _require(len(stanza.args) == 2)
        salt, factor = _decoded(stanza.args[0], 16), stanza.args[1]
        _require(re.fullmatch(r"[1-9][0-9]*", factor))
        if int(factor) > LARGEST_WORK_FACTOR:
            raise TooMuchMemory(limit=LARGEST_WORK_FACTOR)
        _require(len(stanza.body) == WRAPPED)
        return _unwrap(self._key(salt, int(factor)), stanza.body)

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        function = Scrypt(salt=SCRYPT + salt, length=32, n=2**work_factor, r=8, p=1)
        return function.derive(self.secret.encode("utf-8", "surrogatepass"))


def generate_key() -> KeyPair:
    """Return a new age key."""
    private = bech32.encode(PRIVATE, os.urandom(32)).upper()
    return KeyPair(public_of(private), private)


def public_of(private: str) -> str:
    """Return the public key of an age private key. Raise PermanentError."""
    return bech32.encode(PUBLIC, _public_bytes(_age_identity(private).private))


def fingerprint(public: str) -> str:
    """Return 16 characters in groups of four that tell public keys apart, for people.

    ``public`` is an age or SSH public key; its comment does not matter. Raise
    PermanentError.
    """
    digest = hashlib.sha256(_recipient(public.strip()).text.encode()).digest()
    text = base64.b32encode(digest[:10]).decode()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def parse_recipients(text: str) -> list[AgeRecipient | SshRecipient]:
    """Given public keys, one per line, return them; "#" begins a comment line.

    The ``text`` of each is public, without its comment, and can be written down. Raise
    PermanentError that names the first bad line by its number, never by its content,
    which may be a secret, and when there is no key at all.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.strip().startswith("#"):
            found.append(_recipient(line.strip(), Message(LINE, number=number)))
    if not found:
        raise NoPublicKey()
    return found


def parse_identities(text: str) -> list[Identity]:
    """Given age private keys, one per line with comments, or one SSH private key in
    PEM, return them. Raise PermanentError, without a word of what was given."""
    if "-----BEGIN" in text:
        return [_ssh_identity(text)]
    lines = [line.strip() for line in text.splitlines()]
    found = [_age_identity(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise NoPrivateKey()
    return list(found)


def _recipient(line: str, where: Message = THIS) -> AgeRecipient | SshRecipient:
    if "SECRET-KEY" in line.upper() or "PRIVATE KEY" in line.upper():
        raise PrivateKeyGiven(line=where)
    if UNKNOWN_PUBLIC.match(line.lower()):
        raise KeyKindUnknown(line=where)
    if line.startswith("ssh-"):
        return _ssh_recipient(line, where)
    try:
        public = bech32.decode(PUBLIC, line)
    except bech32.NotBech32 as error:
        raise NotAPublicKey(line=where, problem=error.problem) from None
    return AgeRecipient(bech32.encode(PUBLIC, public), public)


def _ssh_recipient(line: str, where: Message) -> SshRecipient:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    text = " ".join(line.split()[:2])
    try:
        key = load_ssh_public_key(text.encode())
        wire = base64.b64decode(text.split()[1])
    except (ValueError, IndexError, UnsupportedAlgorithm):
        raise SshKeyIncomplete(line=where) from None
    kind = text.split()[0]
    if (
        kind not in ("ssh-ed25519", "ssh-rsa")
        or getattr(key, "key_size", RSA_BITS) < RSA_BITS
    ):
        raise SshKeyUnusable(line=where, kind=kind, bits=RSA_BITS)
    return SshRecipient(text, wire, key)


def _age_identity(text: str) -> AgeIdentity:
    if UNKNOWN_PRIVATE.match(text.strip().upper()):
        raise KeyKindUnknown(line=THIS)
    try:
        return AgeIdentity(bech32.decode(PRIVATE.lower(), text.strip()))
    except bech32.NotBech32:
        raise NotAPrivateKey() from None


def _ssh_identity(text: str) -> SshIdentity:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(
            text.strip().encode() + b"\n", password=None
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SshKeyUnreadable() from None
    return SshIdentity(base64.b64decode(public.split()[1]), key)


def _agree(
    share64: str,
    wrapped: bytes,
    private: bytes,
    label: bytes,
    tweak: bytes | None = None,
) -> bytes | None:
    """Unwrap a file key that was wrapped with an ephemeral X25519 key."""
    share = _decoded(share64, 32)
    _require(len(wrapped) == WRAPPED)
    try:
        shared = _exchange(private, share)
        if tweak:
            shared = _exchange(tweak, shared)
    except ValueError as error:  # a share that makes the secret nothing but zeros
        raise HeaderDamaged() from error
    return _unwrap(derive(shared, share + _public_bytes(private), label), wrapped)


def _decoded(text: str, size: int) -> bytes:
    """Return the ``size`` bytes that an argument of a stanza encodes."""
    try:
        data = decode64(text)
    except ValueError as error:
        raise HeaderDamaged() from error
    _require(len(data) == size)
    return data


def _require(as_it_must_be: object) -> None:
    """Refuse a stanza of a kind that we know, and that is not formed as it must be."""
    if not as_it_must_be:
        raise HeaderDamaged()


def _ephemeral(public: bytes) -> tuple[bytes, bytes]:
    """Return a new public share, and the secret that it shares with ``public``."""
    private = os.urandom(32)
    return _public_bytes(private), _exchange(private, public)


def _exchange(private: bytes, public: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import x25519

    theirs = x25519.X25519PublicKey.from_public_bytes(public)
    return x25519.X25519PrivateKey.from_private_bytes(private).exchange(theirs)


def _public_bytes(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return _raw(X25519PrivateKey.from_private_bytes(private).public_key())


def _raw(public: "X25519PublicKey | Ed25519PublicKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return public.public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def _seed(private: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return private.private_bytes(
        serialization.Encoding.Raw,
        serialization.PrivateFormat.Raw,
        serialization.NoEncryption(),
    )


def _montgomery(edwards: bytes) -> bytes:
    """Return the X25519 form of an Ed25519 public key (RFC 7748, section 4.1)."""
    y = int.from_bytes(edwards, "little") & ((1 << 255) - 1)
    u = (1 + y) * pow(1 - y, -1, CURVE) % CURVE
    return u.to_bytes(32, "little")


def _tag(wire: bytes) -> str:
    return encode64(hashlib.sha256(wire).digest()[:4])


def _oaep() -> Any:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), SSH_RSA)


def _wrap(key: bytes, file_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def _unwrap(key: bytes, wrapped: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        return None
