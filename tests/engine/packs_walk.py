"""A random walk over servers that share a storage: they back up, forget, prune, are
killed, overtake each other, lose what they know, and the storage loses objects, lists
late and has a clock that jumps. What must hold after each step is in ``Walk.check``.

    python tests/engine/packs_walk.py STEPS [SEED]
"""

import hashlib
import random
import shutil
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest  # noqa: F401

from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.catalog.scan import read_sidecar, scan
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.names import FILESTORE, archive_name, sidecar_key
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs.listing import Listing
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.terms import Terms
from dfr_backup.engine.progress import Progress

TERMS = Terms(pack_bytes=400, pack_files=4, small_bytes=100, most_small=3)
FORMER = Identity("0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10", "7577000000000000001", 16384)
CLONE = Identity(FORMER.uuid, FORMER.system, 20000)
RECENT = timedelta(hours=1)  # how late a list may be
ALWAYS = {
    "write": 4,
    "drop": 5,
    "take_back": 6,
    "night": 12,
    "forget": 9,
    "prune": 10,
}
AT_TIMES = {
    "kill": 4,
    "race": 14,
    "lose_index": 1,
    "lose_object": 0.3,
    "swap_object": 0.3,
    "stale_list": 2,
    "jump": 2,
    "take_over": 0.3,
}


class Killed(BaseException):
    """The process has ended."""


class Broken(AssertionError):
    """The law does not hold."""


class Walk:
    """One walk. ``effective`` counts the steps of each kind that did something."""

    def __init__(self, folder, seed, terms=TERMS):
        self.random = random.Random(seed)
        self.storage = MemoryStorage()
        self.effective = Counter()
        self.tampered = set()  # keys of objects that the storage itself has lost
        self.killed = set()  # keys of backups whose run has not seen its end
        self.contents = {}  # by key of a backup: the names of its files
        self.restored = {}
        self.content = 0
        self.dropped = {}  # the content of files that were deleted, by name
        self.terms = terms
        self.servers = [
            Server(self.storage, folder / name, identity, terms=terms)
            for name, identity in (("a", FORMER), ("b", FORMER), ("c", CLONE))
        ]
        # two servers of one database have one catalogue
        self.servers[1].catalogue = self.servers[0].catalogue
        for number, server in enumerate(self.servers):
            server.number = number << 20  # no two runs have one name
        self.files = {id(server): [] for server in self.servers}
        self.history = []

    def step(self):
        kinds = {**ALWAYS, **AT_TIMES}
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        self.history.append(kind)
        self.storage.pass_time(seconds=self.random.choice([3, 60, 4000]))
        if getattr(self, kind)(self.random.choice(self.servers)) is not False:
            self.effective[kind] += 1
        self.storage.hidden = set()
        self.storage.operation = lambda name, key: None
        self.check()

    # === STEPS === #

    def write(self, server):
        for _file in range(self.random.randint(1, 4)):
            self.content += 1
            content = f"{self.content}".encode() * self.random.randint(1, 30)
            name = server.write(content)
            if name not in self.files[id(server)]:
                self.files[id(server)].append(name)

    def drop(self, server):
        names = self.files[id(server)]
        for name in self.random.sample(names, min(len(names), 4)):
            names.remove(name)
            path = server.root / name
            self.dropped[name] = path.read_bytes()
            if self.random.random() < 0.7:
                path.unlink()

    def take_back(self, server):
        """Let the filestore have what it had before: a pack that nobody needs has
        it, perhaps one that is about to be deleted."""
        if not self.dropped:
            return False
        last = list(self.dropped)[-12:]
        for name in self.random.sample(last, min(len(last), 4)):
            server.write(self.dropped[name])
            if name not in self.files[id(server)]:
                self.files[id(server)].append(name)
        return None

    def night(self, server):
        self.time(server)
        return self.backup(server)

    def backup(self, server):
        names = list(self.files[id(server)])
        expected = {
            name: (server.root / name).read_bytes()
            for name in names
            if (server.root / name).exists()
        }
        key = self._next_key(server)
        self.contents[key] = set(expected)
        self.killed.add(key)
        try:
            server.backup(names)
        except EngineError:
            self.killed.discard(key)
            if self.storage.objects.get(sidecar_key(key)):
                raise Broken(f"{key} failed, and is there") from None
            return False
        self.killed.discard(key)
        return None

    def _next_key(self, server):
        job = f"{server.number + 1:08x}-{server.folder.name}"
        return archive_name("shop", self.storage.now, job)

    def forget(self, server):
        if len(server.catalogue) <= self.random.randint(1, 3):
            return False
        key = self.random.choice(list(server.catalogue))
        server.forget(key)
        return None

    def prune(self, server):
        try:
            pruned = server.prune()
        except EngineError as error:
            self.effective[f"prune {error.code}"] += 1
            return False
        for kind in ("condemned", "spared", "deleted"):
            self.effective[kind] += len(getattr(pruned, kind))
        return bool(pruned.condemned or pruned.deleted or pruned.spared)

    def time(self, _server):
        self.storage.pass_time(hours=self.random.choice([1, 20, 30]))

    def jump(self, _server):
        self.storage.pass_time(hours=self.random.choice([-60, -3, 60, 24 * 365]))

    def kill(self, server):
        left = [self.random.randint(0, 25)]

        def operation(_name, _key):
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        self.storage.operation = operation
        try:
            self.random.choice([self.backup, self.prune])(server)
        except Killed:
            return None
        return False

    def race(self, server):
        """Let others do some steps in the midst of one."""
        at = [self.random.randint(0, 25)]
        kinds = self.take_back, self.backup, self.prune, self.time, self.forget
        others = self.random.choices(
            kinds, [4, 6, 4, 2, 2], k=self.random.randint(1, 5)
        )

        def operation(_name, _key):
            at[0] -= 1
            for other in others if at[0] == -1 else ():
                where = self.random.choice(self.servers)
                if where is server:  # one run of a server at a time
                    where = self.servers[0 if server is not self.servers[0] else 1]
                self.storage.hidden = self._hidden(self._new())
                other(where)
                self.storage.hidden = set()

        self.storage.operation = operation
        self.random.choice([self.backup, self.prune])(server)
        return at[0] < 0

    def lose_index(self, server):
        shutil.rmtree(server.place.index, ignore_errors=True)

    def lose_object(self, _server):
        return self._tamper(lambda data: None)

    def swap_object(self, _server):
        return self._tamper(lambda data: bytes(len(data)))

    def _tamper(self, change):
        keys = sorted(packs_in(self.storage))
        if not keys:
            return False
        key = self.random.choice(keys)
        data, modified = self.storage.objects.pop(key)
        self.tampered.add(key)
        if (changed := change(data)) is not None:
            self.storage.objects[key] = changed, modified
        return None

    def stale_list(self, server):
        """Hide what is new, or what the catalogue knows, or packs, from the lists of a
        step."""
        known = [sidecar_key(key) for key in server.catalogue]
        keys = {*self._new(), *known, *packs_in(self.storage)}
        self.storage.hidden = self._hidden(keys)
        if not self.storage.hidden:
            return False
        self.random.choice([self.backup, self.prune])(server)
        return None

    def _new(self):
        """Return the keys of what a list may not show yet."""
        return {
            key
            for key, (_data, moment) in self.storage.objects.items()
            if timedelta(0) <= self.storage.now - moment < RECENT
        }

    def _hidden(self, keys):
        there = sorted(keys & self.storage.objects.keys())
        return set(self.random.sample(there, min(len(there), 3)))

    def take_over(self, server):
        """The server's key for secrets is another one since."""
        signer = Signer(Key(self.random.randbytes(32)))
        object.__setattr__(server.owner, "signer", signer)

    # === THE LAW === #

    def check(self):
        """Every backup that is listed as complete comes back as it was; and no backup
        lacks a pack, but for what the storage has lost, and for the sidecar that a
        killed run had no time to take away."""
        complete = set()
        for found in scan(self.storage, Progress()):
            if not found.problem:
                complete.add(found.key)
            elif found.key not in self.killed and found.sidecar:
                self._require_lost(found.key)
        for key in complete:
            self._require_restored(key)
        self._require_known(complete)

    def _require_known(self, complete):
        for server in self.servers:
            for key in server.catalogue:
                if key not in complete:
                    self._require_lost(key)

    def _require_lost(self, key):
        beside = sidecar_key(key)
        if beside not in self.storage.objects:
            raise Broken(f"{key} was deleted")
        listing = Listing.of(self.storage, Progress())
        for use in read_sidecar(self.storage, beside).packs or ():
            if not listing.has(use.key, use.size) and use.key not in self.tampered:
                raise Broken(f"{use.key} was deleted, and {key} needs it")

    def _require_restored(self, key):
        sidecar = read_sidecar(self.storage, sidecar_key(key))
        keys = key, *(use.key for use in sidecar.packs)
        parts = [self.storage.objects[each][0] for each in keys]
        if self.restored.get(key) == parts:
            return  # they are the same objects as before
        self.restored[key] = parts
        names = set()
        try:
            backup = open_backup(self.storage, sidecar)
            backup.require_content()
            for entry, pieces in backup.contents():
                content = b"".join(pieces)
                if entry.name.startswith(FILESTORE):
                    names.add(entry.name.removeprefix(FILESTORE))
                    self._require_same(entry.name, content)
        except EngineError:
            if not {use.key for use in sidecar.packs} & self.tampered:
                raise Broken(f"{key} cannot be read") from None
            return
        if not self.contents[key] <= names:
            raise Broken(f"{key} has a gap")

    def _require_same(self, name, content):
        digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if not name.endswith(digest):
            raise Broken(f"{name} has other content")


def walk(folder, seed, steps, terms=TERMS):
    """Do so many steps; return how many of each kind did something."""
    walker = Walk(folder, seed, terms)
    for number in range(steps):
        try:
            walker.step()
        except Broken as error:
            last = walker.history[-1]
            raise Broken(f"seed {seed}, step {number} ({last}): {error}") from error
    return walker.effective


def main(steps, seed):
    rounds, total = max(1, steps // 200), Counter()
    root = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=root) as folder:
            total += walk(Path(folder), seed + number, min(steps, 200))
    for kind, count in sorted(total.items()):
        print(f"{count:6} {kind}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
