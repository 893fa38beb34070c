"""What an administrator of a database may tell rclone: a remote, a directory and
nothing else."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ...errors.rclone import BadRemote, BadRemoteDirectory

REMOTE = re.compile(r"[\w.+@](?:[\w.+@ -]*[\w.+@-])?")
KEPT_VARIABLES = ("RCLONE_CONFIG", "RCLONE_PASSWORD_COMMAND")


@dataclass(frozen=True)
class RcloneConfig:
    """Which of the remotes that the server's operator has configured, and which
    directory in it.

    ``config_file`` None is rclone's own default for the system user that runs Odoo,
    ``binary`` None what is found on the PATH.
    """

    remote: str = ""
    directory: str = ""
    config_file: Path | None = None
    binary: Path | None = None


def environment() -> dict[str, str]:
    """Return the environment for rclone: ours, without options that a variable would
    set.

    What tells where the configuration is, what is in it and how it is opened, stays.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RCLONE_") or name.startswith(KEPT_VARIABLES)
    }


def checked_remote(remote: str) -> str:
    """Return ``remote`` when it can be the name of one. Raise PermanentError."""
    if not REMOTE.fullmatch(remote):
        raise BadRemote(remote=remote)
    return remote


def checked_directory(directory: str) -> str:
    """Return ``directory`` when it is a plain path within a remote. Raise
    PermanentError."""
    parts = directory.split("/") if directory else []
    if not all(map(is_plain, parts)):
        raise BadRemoteDirectory(directory=directory)
    return directory


def is_plain(part: str) -> bool:
    """Tell whether a part of a path is a name, to every backend and to rclone."""
    tricks = (
        part in ("", ".", "..") or part.startswith(("-", "~")) or part != part.strip()
    )
    return not tricks and is_printable(part) and not set(part) & set(":\\")


def is_printable(text: str) -> bool:
    return all(character.isprintable() for character in text)
