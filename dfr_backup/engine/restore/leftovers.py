"""What restores leave that were killed or could not clean up, and its removal."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from ..checkpoints import checkpoint
from ..errors import EngineError, reason_of
from ..errors.restore import LeftoverStays
from ..messages import Message, Text, _
from ..postgres.connection import Connection
from .database_location import MARKER_SUFFIX, PREFIX, SCRATCH, DatabaseLocation
from .databases import (
    allow_connections,
    allows_connections,
    drop,
    exists,
    is_there,
    oid_of,
    server_session,
)
from .marker import Marker

_logger = logging.getLogger(__name__)
UNKNOWN = _("an unknown database")
NO_MARKER = _("the file does not say what a restore notes there")


def remove_leftovers(server: Connection, markers: Path) -> list[str]:
    """Remove what killed restores have left; return the names of their databases.

    Restores that live are not touched. What cannot be removed stays for the next
    call, with a warning in the log of the server.
    """
    found = sorted(markers.glob(f"{PREFIX}*{MARKER_SUFFIX}"))
    return [name for path in found if (name := _removed(server, path))]


def _removed(server: Connection, path: Path) -> str | None:
    """Return the name of the database that a dead restore was to make, None when
    nothing was removed."""
    facts: dict[str, Any] = {}
    try:
        marker = Marker.take_over(path)
        if marker is None:
            return None
        facts = marker.facts
        try:
            if known := SCRATCH.fullmatch(str(facts.get("scratch"))):
                clean_up(server, facts)
            marker.remove()
        finally:
            marker.close()
    except EngineError as error:
        _tell(error.message, path, facts)
    except OSError as error:
        _tell(reason_of(error), path, facts)
    except (LookupError, TypeError, ValueError):  # somebody has written into it
        _tell(Message(NO_MARKER), path, facts)
    else:
        return str(facts["database"]) if known else None
    return None


def _tell(reason: Text, marker: Path, facts: dict[str, Any]) -> None:
    """Write into the log what a restore leaves, and why."""
    database = facts.get("scratch") or Message(UNKNOWN)
    stays = LeftoverStays(database=database, marker=marker, reason=reason)
    _logger.warning("[%s] %s", stays.code, stays.in_full)


def clean_up(server: Connection, facts: dict[str, Any]) -> None:
    """Remove what a restore has made, from what its marker says, or leave what it
    has finished."""
    scratch, place = (
        facts["scratch"],
        DatabaseLocation(facts["database"], Path(facts["filestore"])),
    )
    oid = facts.get("oid") or 0  # of what was to be dropped
    with server_session(server, _("remove the unfinished database")) as cr:
        unfinished = exists(cr, scratch)
        renamed = not unfinished and oid and is_there(cr, oid)
        if unfinished or not (renamed or exists(cr, place.database)):
            _remove_files(place, facts.get("inode"))
        if unfinished and facts.get("previous"):
            _take_back(cr, place, Path(facts["previous"][1]))
        if unfinished:
            drop(cr, scratch)
        elif facts.get("fenced") and oid in (0, oid_of(cr, place.database)):
            allow_connections(cr, place.database, True)
    checkpoint("restore.undo.dropped")
    shutil.rmtree(facts["scratch_filestore"], ignore_errors=True)


def _remove_files(place: DatabaseLocation, inode: list[int] | None) -> None:
    """Remove the files under the final name if they are the ones that this restore
    has made."""
    if inode and place.exists:
        status = os.lstat(place.filestore)
        if [status.st_dev, status.st_ino] == inode:
            shutil.rmtree(place.filestore)


def _take_back(cr: Any, place: DatabaseLocation, previous_filestore: Path) -> None:
    """Let what was about to be replaced be as it was."""
    if os.path.lexists(previous_filestore) and not place.exists:
        previous_filestore.rename(place.filestore)
    if not allows_connections(cr, place.database):  # else it may be another's
        allow_connections(cr, place.database, True)
