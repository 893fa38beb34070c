"""Drop a staging copy, and be killed at the checkpoint that is named.

drop_killed.py DATABASE OID FILESTORE MARKERS CHECKPOINT
"""

import os
import signal
import sys
import types
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.checkpoints import EVENT  # noqa: E402
from dfr_backup.engine.postgres.connection import Connection  # noqa: E402
from dfr_backup.engine.restore.database_location import DatabaseLocation  # noqa: E402
from dfr_backup.engine.restore.staging import StagingCopy, drop_copy  # noqa: E402

database, oid, filestore, markers, deadly = sys.argv[1:]


def kill(event, arguments):
    if event == EVENT and arguments[0] == deadly:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(kill)
drop_copy(
    Connection("postgres"),
    StagingCopy(database, int(oid), "run", "us", 1),
    DatabaseLocation(database, Path(filestore)),
    Path(markers),
)
