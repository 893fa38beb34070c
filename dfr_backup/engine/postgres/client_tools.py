"""PostgreSQL's own programs: which one fits a server."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from shutil import which
from subprocess import SubprocessError

from ..concurrency.process import output_of
from ..errors.dump import ProgramMissing, ProgramTooOld

DEBIAN_TOOLS = "/usr/lib/postgresql/*/bin"
RED_HAT_TOOLS = "/usr/pgsql-*/bin"


@dataclass(frozen=True)
class ClientTool:
    """One installed client program and its version, for example (15, 18)."""

    path: Path
    version: tuple[int, ...]

    @property
    def label(self) -> str:
        return f"{self.path.name} {'.'.join(map(str, self.version))} ({self.path})"


def find_client_tool(
    name: str, server_major: int, pg_path: str | None = None
) -> ClientTool:
    """Return the program ``name`` that fits the server best: the same major version,
    else the next newer one. Looks into ``pg_path``, PATH and where Debian and Red Hat
    keep versions.

    Raise ProgramMissing, or ProgramTooOld: PostgreSQL's client programs refuse servers
    newer than themselves.
    """
    found = list(_installed_tools(name, pg_path))
    usable = [tool for tool in found if tool.version[0] >= server_major]
    if usable:
        return min(usable, key=lambda tool: tool.version[0])
    if not found:
        raise ProgramMissing(program=name, major=server_major)
    newest = max(found, key=lambda tool: tool.version)
    raise ProgramTooOld(program=newest.label, major=server_major)


def _installed_tools(name: str, pg_path: str | None) -> Iterator[ClientTool]:
    folders = [pg_path] if pg_path else []
    on_path = which(name)
    folders += [os.path.dirname(on_path)] if on_path else []
    folders += sorted(glob(DEBIAN_TOOLS), reverse=True) + sorted(
        glob(RED_HAT_TOOLS), reverse=True
    )
    for folder in dict.fromkeys(folders):
        path = Path(folder, name)
        version = _version_of(path)
        if version:
            yield ClientTool(path, version)


def _version_of(path: Path) -> tuple[int, ...] | None:
    if not os.access(path, os.X_OK) or path.is_dir():
        return None
    try:
        match = re.search(r"(\d+(?:\.\d+)*)", output_of([path, "--version"]))
    except (OSError, SubprocessError):
        return None
    return tuple(map(int, match[1].split("."))) if match else None
