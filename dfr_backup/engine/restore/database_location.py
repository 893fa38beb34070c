"""A place on this server, and the names of those that a restore makes for itself."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PREFIX = "dfr_restore_"
SCRATCH = re.compile(PREFIX + r"[0-9a-f]{12}")
MARKER_SUFFIX = ".restore"


@dataclass(frozen=True)
class DatabaseLocation:
    """A database and its filestore."""

    database: str
    filestore: Path

    @property
    def exists(self) -> bool:
        """Tell whether the directory is there."""
        return os.path.lexists(self.filestore)
