"""Whose packs are whose."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..encryption.age_keys import AgeRecipient, SshRecipient
from ..encryption.files import Passphrase
from ..identity import Identity
from ..manifest.signature import HERE, WRONG, Signature, Signer
from ..storages.base import Storage
from .names import prefix_of
from .sealed import PURPOSE, Seal


@dataclass(frozen=True)
class Owner:
    """The database that stores packs: ``identity`` signs new ones, and ``keys``
    (``Standing.keys``) are all identities whose packs are its own. So are those of
    databases that it has ``taken_over`` the storage from, whose uuids these are. It
    uses no others, and deletes none."""

    identity: Identity
    keys: frozenset[str]
    signer: Signer
    taken_over: frozenset[str] = frozenset()

    @cached_property
    def prefixes(self) -> frozenset[str]:
        """How the names of its packs begin."""
        uuids = {Identity.from_key(key).uuid for key in self.keys}
        return frozenset(map(prefix_of, uuids | self.taken_over))

    def owns(self, identity: Identity) -> bool:
        """Tell whether packs of an identity are the database's own."""
        return identity.key in self.keys or identity.uuid in self.taken_over

    @cached_property
    def seals(self) -> tuple[Seal, ...]:
        """What seals the index of encrypted packs; former ones open it, too."""
        return tuple(map(Seal, self.signer.derive(PURPOSE)))

    def sign(self, content: Mapping[str, Any]) -> dict[str, Any]:
        return self.signer.sign(content, self.identity.to_json())

    def vouches(self, signature: Signature | None) -> bool:
        """Tell whether this server has signed, for one of the database's own
        identities."""
        if signature is None or self.signer.judge(signature) != HERE:
            return False
        return self.owns(Identity.from_json(signature.identity))

    def may_have_made(self, identity: Identity, signature: Signature | None) -> bool:
        """Tell whether a pack is the database's own as far as anybody knows: what was
        signed by a key that is lost says itself whose it is."""
        if self.forged(signature):
            return False
        return self.owns(identity) or self.vouches(signature)

    def forged(self, signature: Signature | None) -> bool:
        return self.signer.judge(signature) == WRONG


@dataclass(frozen=True)
class Place:
    """A ``storage``, and the folder of this server (``index``, of this location alone)
    that remembers what the packs there hold."""

    storage: Storage
    index: Path


@dataclass(frozen=True)
class PackEncryption:
    """How packs are encrypted. ``mark`` names the ``key`` and is stored in the open:
    it changes whenever the keys do."""

    mark: str
    key: Sequence[Any] | Passphrase

    @classmethod
    def for_recipients(
        cls, recipients: Sequence[AgeRecipient | SshRecipient]
    ) -> "PackEncryption":
        """Return the encryption for exactly these public keys, in any order."""
        texts = sorted({recipient.text for recipient in recipients})
        mark = hashlib.sha256("\n".join(texts).encode()).hexdigest()
        return cls(mark, recipients)
