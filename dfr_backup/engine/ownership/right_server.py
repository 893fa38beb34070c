"""Is this the server that has a database's attachment files?

Several servers may reach one database: a staging server beside production, a second
container, a laptop. Each has a data directory of its own, and Odoo's scheduled actions
run on whichever asks first; a backup that is made where the files are not is no whole
one.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors.identity import OtherServer

NEWEST = 50
# what an addon keeps elsewhere has names of another form, and is in no filestore
NEWEST_FILES = f"""
    SELECT store_fname FROM ir_attachment
     WHERE store_fname ~ '^[0-9a-f]{{2}}/[0-9a-f]{{40}}$'
     ORDER BY id DESC LIMIT {NEWEST}
"""  # noqa: S608


def newest_files(cr: Any) -> list[str]:
    """Return the newest attachment files that the database of a cursor names, the
    newest first."""
    cr.execute(NEWEST_FILES)
    return list(dict.fromkeys(name for (name,) in cr.fetchall()))


def objection(ask: Callable[[], Sequence[str]], filestore: Path) -> OtherServer | None:
    """Return why the runs of a database belong to another server, None when this one
    may take them.

    ``ask`` returns what ``newest_files`` does, of a transaction that begins then. Odoo
    may collect files between the answer and the look at the disk: what is missing is
    asked for again, because a file that was collected is no longer named.
    """
    return judge(ask(), filestore) and judge(ask(), filestore)


def judge(names: Sequence[str], filestore: Path) -> OtherServer | None:
    """Return the same for these names, the newest first.

    This server is the right one when it has the newest file and most of the others:

    * not all, because disks lose files. A backup that names five lost files is better
      than none, and the right server must not be the one that never makes it;
    * most, so that of two servers that share nothing one at most is the right one,
      whatever either has written;
    * the newest, because a copy of the filestore that was made last night has most of
      them too, and lacks what was written since.
    """
    there = [name for name in names if os.path.isfile(filestore / name)]
    if not names or (names[0] in there and 2 * len(there) > len(names)):
        return None
    return OtherServer(found=len(there), named=len(names), folder=filestore)
