"""A storage that fails on demand: wraps any other, and runs with the contract, too."""

import contextlib
import io
import time
from dataclasses import dataclass

from dfr_backup.engine.errors import RetryableError
from dfr_backup.engine.storages.base import Storage


@dataclass
class Fault:
    """What goes wrong with the ``nth`` call (from 1) of ``method``, and the ``times`` -
    1 after it.

    kinds: "before" and "after" raise ``error`` before or after it is done, "corrupt"
    stores or reads one bit that is wrong, "lie" does nothing and says it did, "slow"
    takes ``seconds``.
    """

    method: str
    kind: str
    nth: int = 1
    times: int = 1
    seconds: float = 0.2
    error: type = RetryableError


class FaultyStorage(Storage):
    """Does what ``inner`` does, except for ``faults``. ``calls`` counts, by method."""

    def __init__(self, inner, *faults):
        self._inner = inner
        self._faults = faults
        self.calls = {}

    def put(self, source, key, progress):
        with self._faulty("put") as kind:
            if kind == "corrupt":
                source = _damaged_copy(source)
            if kind != "lie":
                self._inner.put(source, key, progress)

    def put_bytes(self, data, key):
        with self._faulty("put_bytes") as kind:
            if kind != "lie":
                self._inner.put_bytes(
                    _damaged(data) if kind == "corrupt" else data, key
                )

    def stat(self, key):
        with self._faulty("stat") as kind:
            return None if kind == "lie" else self._inner.stat(key)

    def list(self):
        with self._faulty("list") as kind:
            found = [] if kind == "lie" else list(self._inner.list())
        return iter(found)

    def subfolders(self):
        with self._faulty("subfolders") as kind:
            return [] if kind == "lie" else self._inner.subfolders()

    def subfolder(self, name):
        return FaultyStorage(self._inner.subfolder(name), *self._faults)

    @contextlib.contextmanager
    def open(self, key, offset=0):
        with self._faulty("open") as kind, self._inner.open(key, offset) as stream:
            yield io.BytesIO(_damaged(stream.read())) if kind == "corrupt" else stream

    def delete(self, key):
        with self._faulty("delete") as kind:
            if kind != "lie":
                self._inner.delete(key)

    def probe(self):
        with self._faulty("probe"):
            return self._inner.probe()

    def prepare(self):
        with self._faulty("prepare"):
            self._inner.prepare()

    def check(self):
        with self._faulty("check"):
            self._inner.check()

    def discard_partial(self, key):
        with self._faulty("discard_partial"):
            self._inner.discard_partial(key)

    def free_space(self):
        return self._inner.free_space()

    def download_url(self, *arguments):
        return self._inner.download_url(*arguments)

    def location(self, key):
        return self._inner.location(key)

    @contextlib.contextmanager
    def _faulty(self, method):
        """Yield the kind of fault that the caller has to play, or a blank string."""
        number = self.calls[method] = self.calls.get(method, 0) + 1
        due = [
            fault
            for fault in self._faults
            if fault.method == method and fault.nth <= number < fault.nth + fault.times
        ]
        fault = due[0] if due else Fault(method, "")
        if fault.kind == "before":
            raise fault.error(log=f"{method} failed before it began")
        if fault.kind == "slow":
            time.sleep(fault.seconds)
        yield fault.kind
        if fault.kind == "after":
            raise fault.error(log=f"{method} failed after it was done")


def _damaged(data):
    """Return bytes of the same length that differ in one bit."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def _damaged_copy(source):
    copy = source.with_name(f"{source.name} damaged")
    copy.write_bytes(_damaged(source.read_bytes()))
    return copy
