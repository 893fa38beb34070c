"""What a task of ``bench.days_child`` costs, seen from within."""

import contextlib
import os
import re
import sys
import threading
import time
from pathlib import Path

STORE_FNAME = re.compile(r"(?:.*/)?([0-9a-f]{2}/)?[0-9a-f]{40}")
LOOK = 0.02  # seconds between two looks at the temporary space
KIB = 1024


class Meter:
    """Seconds of the whole and of its parts, of CPU too: this process and the children
    that have ended; what was read of a filestore, what was asked of a bucket."""

    def __init__(self, temporary):
        self._temporary = temporary
        self._opened = []
        self._ended = threading.Event()
        self._peak = self.requests = 0
        self.parts = {}

    def __enter__(self):
        sys.addaudithook(self._hear)
        _count_requests(self)
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()
        self._started = time.monotonic(), _cpu()
        return self

    def __exit__(self, *exc_info):
        started, busy = self._started
        self.parts["whole"] = time.monotonic() - started, _cpu() - busy
        self._ended.set()
        self._looking.join()
        self.opened, self._opened = self._opened, []
        self.asked = self.requests

    @contextlib.contextmanager
    def part(self, name):
        started, busy = time.monotonic(), _cpu()
        yield
        self.parts[name] = time.monotonic() - started, _cpu() - busy

    def numbers(self, root):
        wall, cpu = self.parts["whole"]
        return {
            "wall": wall,
            "cpu": cpu,
            "parts": {name: cpu for name, (_wall, cpu) in self.parts.items()},
            "walls": {name: wall for name, (wall, _cpu) in self.parts.items()},
            "rss": _peak_kib() / KIB,
            "temporary": self._peak,
            "requests": self.asked,
            "read": sum(_size(root, name) for name in self.opened),
        }

    def _hear(self, event, arguments):
        # what is opened counts as read: whoever wants less does not open it
        name = arguments[0] if event == "open" else None
        if isinstance(name, str) and STORE_FNAME.fullmatch(name):
            self._opened.append(name)

    def _look(self):
        while not self._ended.wait(LOOK):
            self._peak = max(self._peak, _bytes_in(self._temporary))


def _count_requests(meter):
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send

    def counted(session, request):
        meter.requests += 1
        return send(session, request)

    URLLib3Session.send = counted


def _cpu():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_kib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def _bytes_in(folder):
    total = 0
    for where, _folders, names in os.walk(folder):  # it skips what has gone meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{where}/{name}").st_size
    return total


def _size(root, name):
    path = (
        name if name.startswith(f"{root}/") else f"{root}/{name[-40:][:2]}/{name[-40:]}"
    )
    with contextlib.suppress(OSError):
        return os.stat(path).st_size
    return 0
