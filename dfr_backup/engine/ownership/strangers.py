"""Backups in a storage that somebody else has stored in our name: a copy of the whole
database server has the identity of its original."""

import re
from collections.abc import Collection, Iterable

from ..catalog.scan import usable_sidecar
from ..manifest.sidecar import Sidecar
from ..storages.base import Storage
from .originals import Standing

# what manifest.names.archive_name makes of a run's uuid, in the name of a manifest
RUN = re.compile(r"-\d{8}T\d{6}Z-([0-9a-f]{8})\.json")


def find_stranger(
    storage: Storage,
    names: Iterable[str],
    runs: Collection[str],
    standing: Standing,
) -> Sidecar | None:
    """Return the manifest of the newest backup that was stored under one of our own
    identities since the original was last settled, by a run that is not in our history:
    its uuid is none of ``runs``. None without any.

    ``names`` are those of all objects there. Only manifests whose name is of an unknown
    run are read. One that cannot be used says nothing. Raise RetryableError.
    """
    short = {uuid[:8] for uuid in runs}
    found = [
        sidecar
        for name in names
        if (run := RUN.search(name)) and run[1] not in short
        if (sidecar := usable_sidecar(storage, name)) and _is_ours(sidecar, standing)
    ]
    return max(found, key=lambda sidecar: sidecar.taken_at, default=None)


def _is_ours(sidecar: Sidecar, standing: Standing) -> bool:
    if sidecar.imported_by or sidecar.identity.key not in standing.keys:
        return False
    settled = standing.known.settled if standing.known else None
    return settled is None or sidecar.taken_at > settled
