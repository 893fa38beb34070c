"""What an archive holds, in values."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..messages import Message


@dataclass(frozen=True)
class Description:
    """What an archive holds, for the preview and for the preflight. Sizes are in bytes.

    ``origin`` is "dfr_backup" or "odoo"; ``rows`` are the counted rows by quoted table
    name, None when nobody has counted them; ``pg_version`` is that of the dumped
    server, and ``missing`` says what should be there and is not. ``folder`` is what is
    around everything in a zip that somebody has packed by hand, else "".
    ``incremental``: most attachments are in packs beside it.
    """

    origin: str
    database: str
    taken_at: str | None
    size: int
    members: int
    sql_bytes: int
    files: int
    file_bytes: int
    addon_bytes: int
    addons: tuple[str, ...]
    odoo_version: str
    odoo_series: str
    pg_version: tuple[int, ...]
    database_uuid: str | None
    modules: Mapping[str, str]
    contents: tuple[str, ...]
    missing: tuple[Message, ...]
    rows: Mapping[str, int] | None
    has_checksums: bool
    folder: str = ""
    incremental: bool = False

    @property
    def expanded(self) -> int:
        """The bytes of everything unpacked."""
        return self.sql_bytes + self.file_bytes + self.addon_bytes
