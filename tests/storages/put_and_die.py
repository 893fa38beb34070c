"""Put a file into a bucket, and be killed at the ``nth`` time that a checkpoint is
passed."""

import json
import os
import signal
import sys
import types
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.checkpoints import EVENT  # noqa: E402
from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.storages.base import TransferLimits  # noqa: E402
from dfr_backup.engine.storages.s3 import upload as s3_upload  # noqa: E402
from dfr_backup.engine.storages.s3.config import S3Config  # noqa: E402
from dfr_backup.engine.storages.s3.storage import S3Storage  # noqa: E402

told = json.load(sys.stdin)
seen = []


def listen(event, arguments):
    if event == EVENT and arguments[0] == told["checkpoint"]:
        seen.append(event)
        if len(seen) == told["nth"]:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(listen)
s3_upload.PART = told["part"]
storage = S3Storage(S3Config(**told["config"]), TransferLimits(timeout=20))
storage.put(Path(told["source"]), told["key"], Progress())
