"""Store a file where files may not grow beyond 5 MiB: put_with_limit.py FOLDER
SOURCE"""

import errno
import resource
import signal
import sys
import types
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.errors import PermanentError  # noqa: E402
from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage  # noqa: E402

folder, source = map(Path, sys.argv[1:])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))
try:
    LocalStorage(folder, LocalRules([folder])).put(source, "a.zip", Progress())
except PermanentError as error:
    cause = error.__cause__
    print(error.code, cause and errno.errorcode[cause.errno])
