"""PostgreSQL's own programs: which one fits a server."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from shutil import which
from subprocess import CalledProcessError, SubprocessError

from ..concurrency.process import output_of
from ..errors import reason_of
from ..errors.dump import ProgramMissing, ProgramTooOld, ProgramUnstartable
from ..messages import Message, _

EXIT_STATUS = _("it ended with exit status %(status)s")
NO_VERSION = _("it does not report its version")
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
    keep versions. One that cannot be started is passed over where another one fits.

    Raise ProgramUnstartable, ProgramMissing, or ProgramTooOld: PostgreSQL's client
    programs refuse servers newer than themselves.
    """
    found: list[ClientTool] = []
    failures: list[ProgramUnstartable] = []
    for path in _installed(name, pg_path):
        try:
            found.append(ClientTool(path, _version_of(path)))
        except ProgramUnstartable as error:
            failures.append(error)
    usable = [tool for tool in found if tool.version[0] >= server_major]
    if usable:
        return min(usable, key=lambda tool: tool.version[0])
    if failures:
        raise failures[0]
    if not found:
        raise ProgramMissing(program=name, major=server_major)
    newest = max(found, key=lambda tool: tool.version)
    raise ProgramTooOld(program=newest.label, major=server_major)


def _installed(name: str, pg_path: str | None) -> Iterator[Path]:
    folders = [pg_path] if pg_path else []
    on_path = which(name)
    folders += [os.path.dirname(on_path)] if on_path else []
    folders += sorted(glob(DEBIAN_TOOLS), reverse=True) + sorted(
        glob(RED_HAT_TOOLS), reverse=True
    )
    for folder in dict.fromkeys(folders):
        path = Path(folder, name)
        if os.path.isfile(path):
            yield path


def _version_of(path: Path) -> tuple[int, ...]:
    """Return the version of a program. Raise ProgramUnstartable."""
    try:
        said = output_of([path, "--version"])
    except OSError as error:
        raise unstartable(path, error) from error
    except CalledProcessError as error:
        reason = Message(EXIT_STATUS, status=error.returncode)
        log = error.stderr.decode("utf-8", "replace")
        raise ProgramUnstartable(program=path, reason=reason, log=log) from error
    except SubprocessError as error:
        raise ProgramUnstartable(program=path, reason=error) from error
    match = re.search(r"(\d+(?:\.\d+)*)", said)
    if not match:
        raise ProgramUnstartable(program=path, reason=Message(NO_VERSION), log=said)
    return tuple(map(int, match[1].split(".")))


def unstartable(path: Path, error: OSError) -> ProgramUnstartable:
    """Return the error that says why the system does not start a program."""
    reason = reason_of(error)
    return ProgramUnstartable(program=path, reason=reason, log=str(error))
