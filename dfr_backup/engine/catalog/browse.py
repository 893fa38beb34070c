"""A stored archive, looked into where it is: only what is asked for is read from its
storage."""

import hashlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..archive.checked import CheckedReader
from ..archive.random_access import open_stored
from ..archive.reader import is_attachment
from ..archive.zip_directory import Entry
from ..archive.zip_reader import Members
from ..encryption.files import Passphrase
from ..errors.other import ManifestUnreadable, NoManifest
from ..fileio.streams import read_fully
from ..manifest.model import Manifest
from ..manifest.names import FILESTORE, MANIFEST, sidecar_key
from ..manifest.read import parse_manifest
from ..storages.base import Storage
from ..untrusted import MAX_BESIDE, MAX_BYTES
from .catalogued import Catalogued, require_catalogued

Identities = Sequence[Any] | Passphrase | None


@contextmanager
def look_into(
    storage: Storage,
    key: str,
    identities: Identities = None,
    known: Catalogued | None = None,
) -> Iterator[CheckedReader]:
    """Open the archive ``key`` to read members of it; ``identities`` decrypt one that
    is encrypted, ``known`` is what the catalogue knows of it.

    What is read is compared with the archive's list of checksums, and that list with
    the manifest beside the archive. Raise PermanentError when it is not there, is
    damaged or another one, or cannot be decrypted, and RetryableError. Reading from it
    raises the same.
    """
    sidecar = require_catalogued(storage, key, known or Catalogued())
    sums = sidecar.sums_sha256 if sidecar else ""
    with (
        open_stored(storage, key, identities) as source,
        CheckedReader(source, sums) as reader,
    ):
        yield reader


def read_contents(
    storage: Storage, key: str, identities: Identities = None
) -> Manifest:
    """Return the manifest of an archive: the one beside it, else the one in
    it.

    Raise PermanentError when there is none that can be used, and RetryableError.
    """
    if storage.stat(sidecar_key(key)) is not None:
        with storage.open(sidecar_key(key)) as stream:
            data = read_fully(stream, MAX_BESIDE + 1)
            return parse_manifest(data, ManifestUnreadable, MAX_BESIDE)
    with look_into(storage, key, identities) as reader:
        for entry in reader.entries():
            if entry.name == MANIFEST:
                return parse_manifest(reader.read(entry, MAX_BYTES), ManifestUnreadable)
    raise NoManifest


def find_file(reader: Members, store_fname: str) -> Entry | None:
    """Return the member with the file of an attachment, None when it is not in the
    archive."""
    name = FILESTORE + store_fname
    return next((entry for entry in reader.entries() if entry.name == name), None)


def find_files(reader: Members, names: Container[str]) -> Iterator[tuple[str, Entry]]:
    """Yield (``store_fname``, member) of each file that is among ``names``."""
    for store_fname, entry in files(reader):
        if store_fname in names:
            yield store_fname, entry


def files(reader: Members) -> Iterator[tuple[str, Entry]]:
    """Yield (``store_fname``, member) of each attachment file."""
    for entry in reader.entries():
        if is_attachment(entry):
            yield entry.name.removeprefix(FILESTORE), entry


def copy_out(reader: Members, entry: Entry, write: Callable[[bytes], object]) -> bool:
    """Pass the content of a member to ``write``; return whether its SHA-1 is its name.

    When it is not, the file was damaged already when it was saved. Raise PermanentError
    when the archive itself is damaged.
    """
    sha1 = hashlib.sha1(usedforsecurity=False)
    for piece in reader.pieces(entry):
        sha1.update(piece)
        write(piece)
    return entry.name.rpartition("/")[2] == sha1.hexdigest()
