"""Read one small archive, as a process of its own, and say what that has cost:
``bombs.py KIND PATH`` prints JSON with the error's code, seconds of processor and bytes
of memory above those of the idle process."""

import json
import re
import resource
import sys
import types
from datetime import datetime, timezone
from pathlib import Path

package = types.ModuleType("dfr_backup")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "dfr_backup")]
sys.modules["dfr_backup"] = package

from dfr_backup.engine.archive.attachment_index import (  # noqa: E402
    AttachmentQuery,
    find_index,
    name_files,
    search_index,
)
from dfr_backup.engine.archive.checked import CheckedReader  # noqa: E402
from dfr_backup.engine.archive.random_access import StreamSource  # noqa: E402
from dfr_backup.engine.archive.reader import open_archive  # noqa: E402
from dfr_backup.engine.archive.zip_reader import ZipReader  # noqa: E402
from dfr_backup.engine.catalog.browse import read_contents  # noqa: E402
from dfr_backup.engine.catalog.scan import read_sidecar  # noqa: E402
from dfr_backup.engine.catalog.upload_receiver import look_at  # noqa: E402
from dfr_backup.engine.errors import EngineError  # noqa: E402
from dfr_backup.engine.progress import Progress  # noqa: E402
from dfr_backup.engine.restore.load.sql_stream import (  # noqa: E402
    Longest,
    Rows,
    split,
)
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage  # noqa: E402

ENDLESS = 10  # seconds of processor
NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)


def check(path: Path) -> None:
    with open_archive(path) as archive:
        archive.check(Progress(), workers=1)


def describe(path: Path) -> None:
    with open_archive(path) as archive:
        archive.describe()
        list(archive.attachments())


def look(path: Path) -> None:
    look_at(path, path.name, NOW)


def search(path: Path) -> None:
    with ZipReader(path) as reader:
        for text in ("", "a"):
            search_index(reader, find_index(reader), AttachmentQuery(text), 10)


def name(path: Path) -> None:
    with ZipReader(path) as reader:
        list(name_files(reader, find_index(reader), {"aa/bb"}))


def restore(path: Path) -> None:
    with open_archive(path) as archive:
        longest = Longest.of_archive(archive.reader.size)
        for item in split(archive.sql(), longest):
            if isinstance(item, Rows):
                item.loaded(-1)


def checked(path: Path) -> None:
    with (
        path.open("rb") as stream,
        CheckedReader(StreamSource(stream), "0" * 64) as reader,
    ):
        list(reader.pieces(next(reader.entries())))


def _storage(path: Path) -> LocalStorage:
    return LocalStorage(path.parent, LocalRules([path.parent]))


def browse(path: Path) -> None:
    read_contents(_storage(path), path.name)


def beside(path: Path) -> None:
    read_sidecar(_storage(path), path.name)


KINDS = (check, checked, describe, look, search, name, restore, browse, beside)


def _memory(name: str) -> int:
    """Return bytes: "VmHWM" is the most that there ever was since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) << 10


def main(kind: str, path: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (ENDLESS, ENDLESS))
    Path("/proc/self/clear_refs").write_text("5")
    idle, code = _memory("VmRSS"), None
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        next(one for one in KINDS if one.__name__ == kind)(Path(path))
    except EngineError as error:
        code = error.code
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = {"code": code, "seconds": seconds, "bytes": _memory("VmHWM") - idle}
    print(json.dumps(cost))


if __name__ == "__main__":
    main(*sys.argv[1:])
