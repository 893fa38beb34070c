"""A kind of storage: the memory of this process."""

import io
from datetime import datetime, timezone

from odoo.addons.dfr_backup.engine.errors.storage import CopyMissing
from odoo.addons.dfr_backup.engine.storages.base import CHUNK, StoredObject
from odoo.addons.dfr_backup.engine.storages.kind import StorageKind

FOLDERS = {}  # what they hold: by their names, then by key


class MemoryStorage(StorageKind):
    """Objects are bytes in a folder that has a name."""

    def __init__(self, folder, limits):
        super().__init__(limits)
        self._folder = folder
        self._held = FOLDERS.setdefault(folder, {})

    @classmethod
    def from_settings(cls, settings):
        return cls(settings.value("folder"), settings.limits)

    def location(self, key):
        return f"memory:{self._folder}/{key}"

    def _put(self, source, key, progress):
        data = bytearray()
        with open(source, "rb") as stream:
            while piece := stream.read(CHUNK):
                self._spend(len(piece))
                data += piece
                progress.advance(len(piece))
        self._put_bytes(bytes(data), key)

    def _put_bytes(self, data, key):
        self._held[key] = data, datetime.now(timezone.utc)

    def _stat(self, key):
        data, modified = self._held.get(key, (None, None))
        return data and StoredObject(key, len(data), modified)

    def _list(self):
        return self._bounded(map(self._stat, sorted(self._held)))

    def _open(self, key, offset):
        if key not in self._held:
            raise CopyMissing(key=key)
        return io.BytesIO(self._held[key][0][offset:])

    def _delete(self, key):
        self._held.pop(key, None)
