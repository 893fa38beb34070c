"""The signature of a manifest that lies beside an archive: which server, and which
database of it, has made the backup.

The manifest is signed whole: an HMAC-SHA-256 of its canonical JSON, by a key that is
derived from the server's secret key. The signature names that key and the identity of
the database. Who lacks the key can tell nothing from it, so it never makes a backup
worse than one without a signature.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..encryption.secret_box import Key

ALGORITHM = "HMAC-SHA-256"
PURPOSE = b"dfr_backup manifest signature 1"
KEY_NAME = re.compile(r"[0-9a-f]{16}")
VALUE = re.compile(r"[0-9a-f]{64}")
MOST_IDENTITY = 4096  # characters of JSON
HERE, ELSEWHERE, UNSIGNED, WRONG = "here", "elsewhere", "unsigned", "wrong"


@dataclass(frozen=True)
class Signature:
    """What a manifest says about its signature. ``key`` is the name of the key, ""
    when this release knows no such signature; ``identity`` the JSON of who has signed;
    ``value`` the HMAC and ``digest`` the SHA-256 of what is signed, both hexadecimal.
    """

    key: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    value: str = ""
    digest: str = ""


class Signer:
    """Signs with the first key; also knows what the others, former ones, have
    signed."""

    def __init__(self, key: Key, *former: Key):
        self._origins = (key, *former)
        keys = self.derive(PURPOSE)
        self._name = _name_of(keys[0])
        self._keys = {_name_of(each): each for each in keys}

    def derive(self, purpose: bytes) -> tuple[bytes, ...]:
        """Return the keys of 32 bytes for a purpose, those of former ones last."""
        return tuple(each.derive(purpose) for each in self._origins)

    def sign(
        self, manifest: Mapping[str, Any], identity: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the manifest (plain JSON values) with its signature for
        ``identity``."""
        about = {"algorithm": ALGORITHM, "key": self._name, "identity": {**identity}}
        digest = _digest({**manifest, "signature": about})
        value = _value(self._keys[self._name], digest)
        return {**manifest, "signature": {**about, "value": value}}

    def judge(self, signature: Signature | None) -> str:
        """Return who has signed: ``HERE``, this server; ``ELSEWHERE``, somebody whose
        key is not known; ``UNSIGNED``, nobody; ``WRONG``, nobody either, in our
        name."""
        if signature is None:
            return UNSIGNED
        key = self._keys.get(signature.key)
        if key is None:
            return ELSEWHERE
        right = hmac.compare_digest(_value(key, signature.digest), signature.value)
        return HERE if right else WRONG


def signature_of(manifest: Mapping[str, Any]) -> Signature | None:
    """Return the signature that a manifest carries, None when it carries none. One
    that this release does not understand is that of a key that nobody knows."""
    about = manifest.get("signature")
    if about is None:
        return None
    if not isinstance(about, dict) or about.get("algorithm") != ALGORITHM:
        return Signature()
    key, value, identity = (about.get(name) for name in ("key", "value", "identity"))
    if not isinstance(key, str) or not KEY_NAME.fullmatch(key):
        return Signature()
    if not isinstance(identity, dict) or len(json.dumps(identity)) > MOST_IDENTITY:
        return Signature()
    if not isinstance(value, str) or not VALUE.fullmatch(value):
        value = ""
    signed = {name: each for name, each in about.items() if name != "value"}
    digest = _digest({**manifest, "signature": signed})
    return Signature(key, identity, value, digest)


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of JSON, whatever its order and its blanks are."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _value(key: bytes, digest: str) -> str:
    return hmac.new(key, digest.encode(), "sha256").hexdigest()


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"dfr_backup signing key name " + key).hexdigest()[:16]
