"""What a disk may hold after the power failed.

Only what was synced is sure: of the names that were made, changed or removed since
their directory was synced, any may have reached the disk or not, and of the bytes that
were written to a file since it was synced all, none, or as many zeros.
"""

import itertools
import os
import sys
from contextlib import contextmanager
from pathlib import Path

EVENTS = {"open", "os.rename", "os.link", "os.remove", "dfr_backup.checkpoint"}
MANY = 4  # names that nobody has synced: each doubles the states
_listening = []


class Recorder:
    """What this process does in ``folder``, as ``count`` operations. A crash at some
    moment of it leaves one of ``crashes``, each {name: bytes}, and one after it one
    of ``at_the_end``."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.crashes = self.at_the_end = []
        self.count = 0
        self._names = self._sure = self._look()
        self._synced = self._contents()
        # of names, each {name: inode, or None for one that is removed}
        self._changes = []

    def trust(self, path: Path):
        """A file elsewhere, whose content is known to be on the disk."""
        self._synced[path.stat().st_ino] = path.read_bytes()

    def look(self):
        """Note what happened since the last look, and what a crash would leave now."""
        names = self._look()
        both = {*names, *self._names}
        change = {
            name: names.get(name)
            for name in both
            if names.get(name) != self._names.get(name)
        }
        if change:
            self._changes.append(change)
            self.count += 1
        assert len(self._changes) <= MANY, "the directory is never synced"
        self._names = names
        self.at_the_end = list(self._states())
        new = [state for state in self.at_the_end if state not in self.crashes]
        self.crashes = [*self.crashes, *new]

    def synced(self, descriptor):
        path = Path(f"/proc/self/fd/{descriptor}")
        if path.resolve() == self._folder.resolve():
            self._sure, self._changes = self._names, []
        elif path.is_file():
            self._synced[path.stat().st_ino] = path.read_bytes()
        self.count += 1

    def _states(self):
        now = self._contents()
        for chosen in itertools.product((True, False), repeat=len(self._changes)):
            names = dict(self._sure)
            for change in itertools.compress(self._changes, chosen):
                names.update(change)
            names = {name: inode for name, inode in names.items() if inode}
            inodes = sorted({*names.values()})
            for contents in itertools.product(
                *(self._after(inode, now) for inode in inodes)
            ):
                found = dict(zip(inodes, contents, strict=True))
                yield {name: found[inode] for name, inode in names.items()}

    def _after(self, inode, now):
        """Return what a file may hold after a crash."""
        sure = self._synced.get(inode, b"")
        written = now.get(inode, sure)
        return {sure, written, sure + bytes(max(len(written) - len(sure), 0))}

    def _contents(self):
        files = [path for path in self._folder.iterdir() if path.is_file()]
        return {path.stat().st_ino: path.read_bytes() for path in files}

    def _look(self):
        return {entry.name: entry.inode() for entry in os.scandir(self._folder)}


@contextmanager
def recorded(folder: Path, *trusted: Path):
    """Yield a recorder of what the block does in ``folder``."""
    recorder = Recorder(folder)
    for path in trusted:
        recorder.trust(path)
    really_sync = os.fsync

    def sync(descriptor):
        with _deaf():
            recorder.look()
            really_sync(descriptor)
            recorder.synced(descriptor)
            recorder.look()

    os.fsync = sync
    _listening.append(recorder)
    try:
        yield recorder
    finally:
        os.fsync = really_sync
        _listening.remove(recorder)
    recorder.look()


@contextmanager
def _deaf():
    """What a recorder does itself is not listened to."""
    heard, _listening[:] = list(_listening), []
    try:
        yield
    finally:
        _listening[:] = heard


def _hear(event, _args):
    if _listening and event in EVENTS:
        for recorder in list(_listening):
            with _deaf():
                recorder.look()


sys.addaudithook(_hear)
