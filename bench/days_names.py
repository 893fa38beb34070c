"""A location whose packs have many attachments by name only: what finding out what is
stored takes, does not depend on the files. The packs are holes of the right size."""

import hashlib
from pathlib import Path

from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.packs.index import Held, Index
from dfr_backup.engine.packs.names import digest_of, pack_key
from dfr_backup.engine.packs.owner import Owner, Place
from dfr_backup.engine.packs.sidecar import PackSidecar, parse_pack_sidecar

IN_A_PACK = 5000  # files: 256 MiB of 52 KiB each


def make(place: Place, owner: Owner, attachments) -> int:
    """Let a local ``place`` have packs with these; return how many packs there are."""
    index, held, packs = Index(place, owner), [], 0
    # in turn, as days leave them: each pack has names from the first to the last
    files = list(attachments)
    count = -(-len(files) // IN_A_PACK)
    for number in range(count):
        held = [Held(digest_of(f.store_fname), f.size) for f in files[number::count]]
        _make_pack(place, owner, index, number, held)
        packs += 1
    return packs


def _make_pack(place, owner, index, number, held):
    sha256 = hashlib.sha256(f"pack {number}".encode()).hexdigest()
    total = sum(each.size for each in held)
    key = pack_key(owner.identity.uuid, sha256, encrypted=False)
    about = PackSidecar(
        key, total, sha256, sha256, len(held), total, identity=owner.identity
    )
    folder = Path(place.storage.folder())
    with open(folder / key, "wb") as stream:
        stream.truncate(total)
    data, beside = about.to_bytes(owner), sidecar_key(key)
    (folder / beside).write_bytes(data)
    index.add(parse_pack_sidecar(data, beside), held)
