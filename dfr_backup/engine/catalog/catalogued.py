"""What the catalogue knows of a stored archive, which its storage cannot change."""

from dataclasses import dataclass

from ..errors import Mismatch, PermanentError
from ..errors.fetch import FetchedDiffers, ManifestReplaced, NewerFormat, NotAtStorage
from ..errors.packs import PackMissing
from ..errors.storage import ForeignManifest
from ..manifest.names import sidecar_key
from ..manifest.sidecar import Sidecar
from ..messages import Message, _
from ..progress import Progress
from ..storages.base import Storage
from .scan import read_sidecar

NO_MANIFEST = _(
    "There is no manifest beside the archive: its checksum cannot be compared"
)
NOT_OURS = _(
    "%(problem)s All of the archive is compared with the catalogue instead, where its "
    "checksum is noted."
)


@dataclass(frozen=True)
class Catalogued:
    """Size (bytes) and SHA-256 (hexadecimal) of a stored archive, and of the manifest
    beside it: 0 and "" as far as nobody has noted them."""

    size: int = 0
    sha256: str = ""
    manifest_size: int = 0
    manifest_sha256: str = ""

    @classmethod
    def from_sidecar(cls, sidecar: Sidecar) -> "Catalogued":
        """Return what somebody notes who believes a manifest."""
        about = sidecar.file_size, sidecar.file_sha256
        return cls(sidecar.size, sidecar.sha256, *about)

    def is_manifest(self, sidecar: Sidecar) -> bool:
        """Tell whether this is the very manifest that was noted; False when none
        was."""
        noted = self.manifest_size, self.manifest_sha256
        return all(noted) and noted == (sidecar.file_size, sidecar.file_sha256)

    def refuse_other(self, sidecar: Sidecar) -> None:
        """Raise Mismatch when this is another manifest than was noted, or speaks of
        another archive."""
        if self.sha256 and sidecar.sha256 != self.sha256:
            raise ForeignManifest(key=sidecar.key)
        if self.manifest_sha256 and not self.is_manifest(sidecar):
            raise ManifestReplaced(key=sidecar.key)


@dataclass(frozen=True)
class Expected:
    """What an archive has to be; ``content_digest`` is that of the manifest beside it,
    "" when that is not the one that was stored."""

    size: int
    sha256: str
    content_digest: str = ""


def expected_of(
    storage: Storage, key: str, known: Catalogued | None, progress: Progress
) -> Expected | None:
    """Return what the archive ``key`` has to be: by the catalogue where that knows it,
    whatever lies beside the archive, else by its manifest. None when neither says so.

    Raise PermanentError when the only manifest cannot be used, and RetryableError.
    """
    if known is None or not known.sha256:
        return _by_manifest(storage, key, progress)
    digest = ""
    try:
        sidecar = read_sidecar(storage, sidecar_key(key))
        known.refuse_other(sidecar)
        digest = sidecar.content_digest if known.is_manifest(sidecar) else ""
    except PermanentError as error:
        progress.warn(Message(NOT_OURS, problem=error))
    return Expected(known.size, known.sha256, digest)


def _by_manifest(storage: Storage, key: str, progress: Progress) -> Expected | None:
    if storage.stat(sidecar_key(key)) is None:
        progress.log(Message(NO_MANIFEST))
        return None
    sidecar = read_sidecar(storage, sidecar_key(key))
    return Expected(sidecar.size, sidecar.sha256, sidecar.content_digest)


def compare_stored(
    storage: Storage, key: str, known: Catalogued, progress: Progress
) -> Sidecar:
    """Read an archive back from a storage, and the manifest without which it is no
    backup; return the latter.

    Raise Mismatch when one of them is not what the catalogue knows, other
    PermanentErrors, RetryableError and Cancelled.
    """
    storage.verify(key, known.size, known.sha256, progress)
    try:
        sidecar = read_sidecar(storage, sidecar_key(key))
    except (
        PermanentError
    ) as error:  # the archive could be read: it is no question of rights
        raise Mismatch.because(error) from error
    known.refuse_other(sidecar)
    require_packs(storage, sidecar)
    return sidecar


def require_packs(storage: Storage, sidecar: Sidecar) -> None:
    """Raise PackMissing when a pack that a backup needs is not there."""
    for use in sidecar.packs or ():
        found = storage.stat(use.key)
        if found is None or found.size != use.size:
            location = storage.location("")
            raise PackMissing(backup=sidecar.key, pack=use.key, location=location)


def require_catalogued(storage: Storage, key: str, known: Catalogued) -> Sidecar | None:
    """Look, without reading the archive, whether a storage still holds what the
    catalogue knows; return the manifest beside it, None when none can be used and none
    was noted. Raise Mismatch, NotAtStorage, NewerFormat and RetryableError."""
    found = storage.stat(key)
    if found is None:
        raise NotAtStorage(key=key, location=storage.location(""))
    if known.size and found.size != known.size:
        raise FetchedDiffers(key=key)
    try:
        sidecar = read_sidecar(storage, sidecar_key(key))
    except PermanentError as error:
        if known.manifest_sha256 or isinstance(error, NewerFormat):
            raise
        return None
    if known.manifest_sha256:
        known.refuse_other(sidecar)
    return sidecar
