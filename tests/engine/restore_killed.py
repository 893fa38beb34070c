"""Restore an archive, and be killed at the checkpoint that is named.

restore_killed.py STAMP ARCHIVE DATABASE FILESTORE MARKERS CHECKPOINT [replace
[put_back]]

The names of the scratch databases begin with STAMP, after their prefix.
"""

import os
import secrets
import signal
import sys
import types
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.archive.reader import open_archive  # noqa: E402
from dfr_backup.engine.checkpoints import EVENT  # noqa: E402
from dfr_backup.engine.postgres.connection import Connection  # noqa: E402
from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.restore import target as target_module  # noqa: E402
from dfr_backup.engine.restore.files import FilestoreExtraction  # noqa: E402
from dfr_backup.engine.restore.load.loader import load  # noqa: E402
from dfr_backup.engine.restore.target import DatabaseLocation, RestoreTarget, put_back  # noqa: E402

stamp, archive, database, filestore, markers, deadly, *options = sys.argv[1:]
target_module.secrets = types.SimpleNamespace(
    token_hex=lambda _bytes: stamp + secrets.token_hex(2)
)


def kill(event, arguments):
    if event == EVENT and arguments[0] == deadly:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill)
target = RestoreTarget(
    Connection("postgres"),
    DatabaseLocation(database, Path(filestore)),
    Path(markers),
    replace_existing="replace" in options,
)
with open_archive(Path(archive)) as opened, target:
    target.create()
    with FilestoreExtraction(opened, target.filestore) as extraction:
        load(opened.sql(), target.connection, Progress())
        extraction.finish(Progress())
    published = target.publish()
if "put_back" in options:
    put_back(Connection("postgres"), published, Path(markers))
