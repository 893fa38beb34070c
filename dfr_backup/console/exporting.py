"""The command that makes one complete zip of a stored backup."""

import json
from pathlib import Path

from ..engine.catalog.scan import read_sidecar
from ..engine.manifest.names import SIDECAR_SUFFIX, sidecar_key
from ..engine.packs.export import export
from ..engine.packs.reading import open_backup
from .archives import Shown, addressed, explained, identities_of, look_at


@explained
def export_backup(options):
    """Write a stored backup into one zip, which needs no packs and no key."""
    storage, key = addressed(options.backup)
    beside = key if key.endswith(SIDECAR_SUFFIX) else sidecar_key(key)
    sidecar = read_sidecar(storage, beside)
    _known, signed = look_at(storage, sidecar.key, options)
    identities = identities_of(options, sidecar.key)
    target, progress = Path(options.to).absolute(), Shown("Export", options)
    export(open_backup(storage, sidecar, identities), target, progress)
    progress.end()
    size = target.stat().st_size
    if options.json:
        about = {"path": str(target), "size": size, "signed": signed}
        print(json.dumps({"state": "success", **about}))
    else:
        print(f"OK: {target} has all of the backup, and is not encrypted.")
    return 0
