"""Who can read an archive: age keys, SSH keys and passphrases."""

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import PermanentError
from .age_format import Identity, Stanza, decode64, derive, encode64

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
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


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
        return Stanza("X25519", (encode64(share),), _seal(key, file_key))


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
            "ssh-ed25519", (_tag(self.wire), encode64(share)), _seal(key, file_key)
        )


@dataclass(frozen=True)
class AgeIdentity:
    """An age private key."""

    private: bytes = field(repr=False)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != "X25519" or len(stanza.args) != 1:
            return None
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
                return self.key.decrypt(stanza.body, _oaep())
            except ValueError:
                return None
        if stanza.kind != "ssh-ed25519" or len(stanza.args) != 2:
            return None
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
            raise PermanentError(
                "The passphrase is empty.", hint="Enter a passphrase, or use a key."
            )
        salt = os.urandom(16)
        sealed = _seal(self._key(salt, self.work_factor), file_key)
        return Stanza("scrypt", (encode64(salt), str(self.work_factor)), sealed)

    def unwrap(self, stanza: Stanza) -> bytes | None:
        if stanza.kind != "scrypt" or len(stanza.args) != 2:
            return None
        salt, factor = stanza.args
        if (
            not re.fullmatch(r"[1-9][0-9]?", factor)
            or int(factor) > LARGEST_WORK_FACTOR
        ):
            raise PermanentError(
                "Decrypting this file would take far too much memory (its scrypt work "
                "factor is "
                f"above {LARGEST_WORK_FACTOR}).",
                hint="Decrypt it with age on another machine, if you trust where it "
                "comes from.",
            )
        try:
            return _unseal(self._key(decode64(salt), int(factor)), stanza.body)
        except ValueError:
            return None

    def _key(self, salt: bytes, work_factor: int) -> bytes:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        function = Scrypt(salt=SCRYPT + salt, length=32, n=2**work_factor, r=8, p=1)
        return function.derive(self.secret.encode("utf-8", "surrogatepass"))


def generate_key() -> KeyPair:
    """Return a new age key."""
    private = _bech32_encode(PRIVATE, os.urandom(32)).upper()
    return KeyPair(public_of(private), private)


def public_of(private: str) -> str:
    """Return the public key of an age private key. Raise PermanentError."""
    return _bech32_encode(PUBLIC, _public_bytes(_age_identity(private).private))


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
            found.append(_recipient(line.strip(), f"Line {number}"))
    if not found:
        raise PermanentError(
            "There is no public key to encrypt for.",
            hint="Give one per line: age1…, ssh-ed25519 … or ssh-rsa …",
        )
    return found


def parse_identities(text: str) -> list[Identity]:
    """Given age private keys, one per line with comments, or one SSH private key in
    PEM, return them. Raise PermanentError, without a word of what was given."""
    if "-----BEGIN" in text:
        return [_ssh_identity(text)]
    lines = [line.strip() for line in text.splitlines()]
    found = [_age_identity(line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise PermanentError(
            "There is no private key.",
            hint="Paste the line that begins with AGE-SECRET-KEY-1.",
        )
    return list(found)


def _recipient(line: str, where: str = "This") -> AgeRecipient | SshRecipient:
    if "SECRET-KEY" in line.upper() or "PRIVATE KEY" in line.upper():
        raise PermanentError(
            f"{where} is a private key, and only public keys belong here.",
            hint="Give the public key, which begins with age1 or ssh-. Whoever can "
            "read this "
            "page may have seen the private one: consider making a new pair.",
        )
    if line.startswith("ssh-"):
        return _ssh_recipient(line, where)
    try:
        public = _bech32_decode(PUBLIC, line)
    except ValueError as error:
        raise PermanentError(
            f"{where} is not a public key ({error}).",
            hint="An age public key is one word of 62 characters that begins with age1.",
        ) from None
    return AgeRecipient(_bech32_encode(PUBLIC, public), public)


def _ssh_recipient(line: str, where: str) -> SshRecipient:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    text = " ".join(line.split()[:2])
    try:
        key = load_ssh_public_key(text.encode())
        wire = base64.b64decode(text.split()[1])
    except (ValueError, IndexError, UnsupportedAlgorithm):
        raise PermanentError(
            f"{where} is not a complete SSH public key.",
            hint="Paste the whole line of the file that ends in .pub.",
        ) from None
    kind = text.split()[0]
    if (
        kind not in ("ssh-ed25519", "ssh-rsa")
        or getattr(key, "key_size", RSA_BITS) < RSA_BITS
    ):
        raise PermanentError(
            f"{where} is an SSH key that cannot encrypt: its kind is {kind}.",
            hint=f"Use ssh-ed25519, ssh-rsa with {RSA_BITS} bits or more, or an age "
            "key.",
        )
    return SshRecipient(text, wire, key)


def _age_identity(text: str) -> AgeIdentity:
    try:
        return AgeIdentity(_bech32_decode(PRIVATE.lower(), text.strip()))
    except ValueError:
        raise PermanentError(
            "This is not an age private key, or a part of it is missing.",
            hint="It is one line of 74 characters that begins with AGE-SECRET-KEY-1.",
        ) from None


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
        raise PermanentError(
            "This SSH private key cannot be read, or it has a passphrase of its own.",
            hint="Remove the passphrase from a copy of it: ssh-keygen -p -f "
            "copy-of-the-key",
        ) from None
    return SshIdentity(base64.b64decode(public.split()[1]), key)


def _agree(
    share64: str,
    sealed: bytes,
    private: bytes,
    label: bytes,
    tweak: bytes | None = None,
) -> bytes | None:
    """Unwrap a file key that was wrapped with an ephemeral X25519 key."""
    try:
        share = decode64(share64)
        shared = _exchange(private, share)
        public = _public_bytes(private)
        if tweak:
            shared = _exchange(tweak, shared)
        return _unseal(derive(shared, share + public, label), sealed)
    except ValueError:
        return None


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


def _raw(public: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return public.public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )


def _seed(private: Any) -> bytes:
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


def _seal(key: bytes, file_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(bytes(12), file_key, None)


def _unseal(key: bytes, sealed: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    try:
        return ChaCha20Poly1305(key).decrypt(bytes(12), sealed, None)
    except InvalidTag:
        return None


def _bech32_encode(prefix: str, data: bytes) -> str:
    prefix = prefix.lower()
    values = _regroup(data, 8, 5, pad=True)
    check = _bech32_sum(prefix, values + [0] * 6) ^ 1
    values += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{prefix}1" + "".join(BECH32[value] for value in values)


def _bech32_decode(prefix: str, text: str) -> bytes:
    """Return the 32 bytes of a key. Raise ValueError that says nothing of its
    content."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("small and capital letters are mixed")
    head, _one, tail = text.lower().rpartition("1")
    if head != prefix or not set(tail) <= set(BECH32):
        raise ValueError("it does not look like one")
    values = [BECH32.index(letter) for letter in tail]
    if len(values) < 6 or _bech32_sum(prefix, values) != 1:
        raise ValueError("a character is wrong or missing")
    data = bytes(_regroup(values[:-6], 5, 8, pad=False))
    if len(data) != 32:
        raise ValueError("its length is wrong")
    return data


def _bech32_sum(prefix: str, values: Sequence[int]) -> int:
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    generators = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    total = 1
    for value in [*expanded, *values]:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(generators):
            total ^= generator if top >> at & 1 else 0
    return total


def _regroup(data: Sequence[int], width: int, into: int, pad: bool) -> list[int]:
    """Cut numbers of ``width`` bits into numbers of ``into`` bits. Raise ValueError."""
    bits = "".join(f"{value:0{width}b}" for value in data)
    rest = len(bits) % into
    if pad:
        bits += "0" * (-len(bits) % into)
    elif rest >= width or "1" in bits[len(bits) - rest :]:
        raise ValueError("a character is wrong")
    else:
        bits = bits[: len(bits) - rest]
    return [int(bits[at : at + into], 2) for at in range(0, len(bits), into)]
