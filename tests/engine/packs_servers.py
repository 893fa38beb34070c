"""Servers that share a storage: they back up, change their keys, forget, prune, are
killed, and overtake each other at any border."""

import random
import shutil
from collections import Counter
from datetime import timedelta

from packs_law import Broken, Law, Seat
from packs_turns import Border, Killed, Turn, take_turns
from packs_world import MemoryStorage, Server

from dfr_backup.engine.encryption.files import generate_key, parse_recipients
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.s3 import Locked
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.names import FILESTORE, archive_name, sidecar_key
from dfr_backup.engine.packs.owner import PackEncryption
from dfr_backup.engine.packs.terms import Terms

TERMS = Terms(pack_bytes=400, pack_files=4, small_bytes=100, most_small=3)
FORMER = Identity("0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10", "7577000000000000001", 16384)
CLONE = Identity(FORMER.uuid, FORMER.system, 20000)
LOCK_TIMES = [None, timedelta(hours=20), timedelta(days=10)]
BACKUP_BORDERS = [
    ("list", ""),
    ("put", "pack"),
    ("put", "pack sidecar"),
    ("put", "archive"),
    ("put", "sidecar"),
    ("open", "archive"),
]
LOCK_BORDERS = [
    *BACKUP_BORDERS,
    ("extend_lock", "archive"),
    ("extend_lock", "pack"),
    ("extend_lock", "sidecar"),
]
PRUNE_BORDERS = [
    ("list", ""),
    ("open", "sidecar"),
    ("put", "condemnation"),
    ("delete", "pack"),
    ("delete", "pack"),
    ("delete", "pack sidecar"),
    ("delete", "condemnation"),
]


class Servers:
    """What servers do. ``effective`` counts what did something."""

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.storage = MemoryStorage(self.random.choice(LOCK_TIMES))
        self.racing = False
        self.pairs = (generate_key(), generate_key())
        self.law = Law(self.storage, self.pairs)
        self.effective = Counter()
        self.content = 0
        self.dropped = {}  # the content of files that were deleted, by name
        self.servers = [
            self._server(folder / name, identity, number)
            for number, (name, identity) in enumerate(
                [("a", FORMER), ("b", FORMER), ("c", CLONE)]
            )
        ]
        # two servers of one database have one catalogue
        self.servers[1].catalogue = self.servers[0].catalogue
        for server in self.servers:
            server.storage.catalogue = server.catalogue
        self.files = {id(server): [] for server in self.servers}

    def _server(self, folder, identity, number):
        seat = Seat(self.storage, self.law, identity)
        # no two runs have one name
        return Server(seat, folder, identity, terms=TERMS, number=number << 20)

    # === FILES === #

    def write(self, server, most=4):
        return [self._add(server) for _file in range(self.random.randint(1, most))]

    def _add(self, server):
        self.content += 1
        content = f"{self.content}".encode() * self.random.randint(1, 30)
        return self._have(server, content)

    def _have(self, server, content):
        name = server.write(content)
        if name not in self.files[id(server)]:
            self.files[id(server)].append(name)
        return name

    def drop(self, server):
        names = self.files[id(server)]
        if not names:
            return False
        self._drop(server, self.random.sample(names, min(len(names), 4)))
        return None

    def _drop(self, server, names):
        for name in names:
            self.files[id(server)].remove(name)
            path = server.root / name
            self.dropped[name] = path.read_bytes()
            if self.random.random() < 0.7:
                path.unlink()

    def take_back(self, server):
        """Let the filestore have what it had before: a pack that nobody needs has
        it, perhaps one that is about to be deleted."""
        packs = self.law.unneeded(server.identity)
        if not packs:
            return False
        with self.law.opened(self.random.choice(packs)) as pack:
            for name in pack.namelist():
                if name.startswith(FILESTORE):
                    self._have(server, pack.read(name))
        return None

    def _let_be_unneeded(self, server):
        """Let there be a pack that nobody needs, and that is old enough."""
        if self.law.unneeded(server.identity):
            return
        names = [self._add(server), self._add(server)]
        before = set(server.catalogue)
        self.backup(server)
        self._drop(server, names)
        self.storage.pass_time(hours=25)
        self.storage.now += self.storage.lock_time or timedelta()
        for key in set(server.catalogue) - before:
            self._forget(server, key)
        self.backup(server)

    # === RUNS === #

    def night(self, server):
        """A backup that nothing disturbs: the second attempt may not fail."""
        if not self.backup(server):
            self.storage.pass_time(seconds=3)
            if not self.backup(server):
                raise Broken(f"it fails for no reason: {self.problem}")

    def clone(self, _server):
        """The copy of a database, perhaps with all files of its server."""
        first, _second, copy = self.servers
        if self._one_in(3) and first.place.index.exists():
            shutil.rmtree(copy.place.index, ignore_errors=True)
            shutil.copytree(first.place.index, copy.place.index)
            for name in self.files[id(first)]:
                if (first.root / name).exists():
                    self._have(copy, (first.root / name).read_bytes())
        return self.night(copy)

    def backup(self, server, borders=()):
        names = list(self.files[id(server)])
        expected = {name for name in names if (server.root / name).exists()}
        key = self._next_key(server)
        try:
            server.backup(names)
        except EngineError as error:
            self.problem = error
            self.law.failed(key)
            return False
        except Killed:
            self.law.killed(key, expected)
            raise
        self.law.succeeded(key, expected)
        self.law.require_lock(key)
        if server.verifies:
            self.law.is_verified(key, server.identity)
        return True

    def _next_key(self, server):
        job = f"{server.number + 1:08x}-{server.folder.name}"
        return archive_name("shop", self.storage.now, job)

    def forget(self, server):
        if len(server.catalogue) <= self.random.randint(1, 3):
            return False
        keys = [key for key in server.catalogue if not self._is_locked(key)]
        return self._forget(server, self.random.choice(keys)) if keys else False

    def _forget(self, server, key):
        """Forget a backup, unless it is locked."""
        if self._is_locked(key):
            return False
        self.law.forgotten(key)
        server.forget(key)
        return None

    def _is_locked(self, key):
        return any(map(self.storage.lock_of, (key, sidecar_key(key))))

    def _unlock(self):
        """Let the time of all locks pass."""
        ends = [lock.until for lock in self.storage.locks.values()]
        self.storage.now = max([self.storage.now, *ends])

    def prune(self, server, strict=False):
        server.storage.lists = 0
        try:
            pruned = server.prune()
        except EngineError as error:
            is_tried = isinstance(error, Locked) and not self.racing
            if strict or is_tried:
                raise Broken(f"it cannot be pruned: {error}") from error
            self.effective[f"prune {error.code}"] += 1
            return False
        for kind in ("condemned", "deleted", "locked"):
            self.effective[kind] += bool(getattr(pruned, kind))
        return bool(pruned.condemned or pruned.deleted)

    def week(self, server, strict=False):
        """Condemn what is not needed, and delete it when it may be."""
        self.storage.pass_time(hours=25)
        did = self.prune(server, strict)
        self.storage.pass_time(hours=49)
        for _night in range(2):
            self.backup(server)
            self.storage.pass_time(seconds=self.random.choice([60, 90000]))
        return self.prune(server, strict) or did

    def change_keys(self, server):
        """From now on, packs are encrypted for other keys, or for none."""
        first, second = self.pairs
        choice = [(), (), (first,), (second,), self.pairs]
        keys = [frozenset(pair.public for pair in pairs) for pairs in choice]
        keys = self.random.choice([k for k in keys if k != server.storage.keys])
        recipients = parse_recipients("\n".join(sorted(keys))) if keys else None
        server.encryption = recipients and PackEncryption.for_recipients(recipients)
        server.storage.keys = keys
        return self.night(server)

    def hour(self, server):
        """All that a week has, but for the time."""
        self.prune(server)
        for _night in range(2):
            self.storage.pass_time(seconds=3)
            self.backup(server)
        self.prune(server)

    # === BORDERS === #

    def at_once(self, server):
        """A backup is killed when a pack is stored, and begins again before the time
        in the pack is another one."""
        self.write(server)
        border = Border("put", "pack sidecar", 1, kills=True)
        killed = self._take_turns([(server, lambda: self.backup(server), [border])])
        self.night(server)
        return killed

    def kill(self, server):
        work, borders = self._work(server, prunes=self._one_in(2))
        self._let_be_unneeded(server)
        self.write(server)
        border = self._border(borders, kills=True)
        return self._take_turns([(server, work, [border])])

    def race(self, server):
        """Let two or three servers overtake each other; the one takes back what the
        others are about to delete."""
        self._let_be_unneeded(server)
        self.take_back(server)
        if self._one_in(2):
            self.write(server)
        others = [other for other in self.servers if other is not server]
        if self.random.random() < 0.6:
            others = [o for o in others if o.identity == server.identity]
        works = [(server, *self._work(server, prunes=False))]
        works += [(other, *self._work(other, prunes=True)) for other in others]
        self.random.shuffle(works)
        turns = [(who, work, self._borders(where)) for who, work, where in works]
        late = self.random.choice([(), ("condemnation",), ("condemnation", "sidecar")])
        with server.storage.facing(late=late):
            return self._take_turns(turns)

    def _work(self, server, prunes):
        """Return what a server does, and the borders where it may stand still."""
        if not prunes:
            borders = LOCK_BORDERS if self.storage.lock_time else BACKUP_BORDERS
            return (lambda: self.backup(server)), borders
        works = [self.week, self.hour, self.hour, self.prune]
        work = self.random.choice(works)
        return (lambda: work(server)), PRUNE_BORDERS

    def _borders(self, where):
        return [
            self._border(where, kills=self._one_in(8))
            for _border in range(self.random.choice([0, 1, 1, 1, 2]))
        ]

    def _border(self, where, kills):
        name, kind = self.random.choice(where)
        number = self.random.randint(1, 9 if name == "list" else 2)
        if where is not PRUNE_BORDERS:
            number = min(number, 3 if name == "list" else 1)
        return Border(name, kind, number, kills)

    def _take_turns(self, works):
        """Let servers do their work; tell whether one of them was stopped in it."""
        turns = []
        for server, work, borders in works:
            turn = Turn(self._killable(work), borders)
            server.storage.before = turn.before
            turns.append(turn)
        self.racing = len(works) > 1
        try:
            # one after the other, as far as they come; then in any order
            order = list(turns)
            take_turns(
                turns,
                lambda left: order.pop(0) if order else self.random.choice(left),
            )
        finally:
            self.racing = False
            for server, _work, _borders in works:
                server.storage.before = lambda name, kind: None
        return any(turn.stood for turn in turns)

    def _killable(self, work):
        def done():
            try:
                work()
            except Killed:
                self.effective["killed"] += 1

        return done

    def _one_in(self, number):
        return self.random.randrange(number) == 0
