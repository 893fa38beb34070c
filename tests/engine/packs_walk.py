"""A random walk over servers that share a storage: they back up, forget, prune, are
killed, overtake each other at any border, lose what they know, and the storage loses
and changes objects, lists late and with gaps, and has a clock that jumps. What must
hold is in ``packs_law``; which rule keeps it, in ``packs_rules``.

    python tests/engine/packs_walk.py STEPS [SEED]
    python tests/engine/packs_walk.py --rules
"""

import json
import random
import re
import shutil
import sys
import tempfile
import zipfile
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from io import BytesIO
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest  # noqa: F401

from packs_law import Broken, Law, Seat, changed, kind_of
from packs_rules import without as rules_named
from packs_turns import Border, Killed, Turn, take_turns
from packs_world import MemoryStorage, Server, packs_in

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.s3 import Locked
from dfr_backup.engine.identity import Identity
from dfr_backup.engine.manifest.names import FILESTORE, archive_name, sidecar_key
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs import needed, packing
from dfr_backup.engine.packs.names import pack_key
from dfr_backup.engine.packs.owner import Owner
from dfr_backup.engine.packs.sidecar import PackSidecar, parse_pack_sidecar
from dfr_backup.engine.packs.terms import Terms

TERMS = Terms(pack_bytes=400, pack_files=4, small_bytes=100, most_small=3)
FORMER = Identity("0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10", "7577000000000000001", 16384)
CLONE = Identity(FORMER.uuid, FORMER.system, 20000)
WALK = 100  # steps, each walk with a new storage
STEP = re.compile(r"step (\d+)")
MOST = 10  # backups that are kept
LOCK_TIMES = [None, timedelta(hours=20), timedelta(days=10)]
KINDS = {
    "write": 5,
    "drop": 4,
    "take_back": 4,
    "night": 6,
    "clone": 6,
    "forget": 9,
    "prune": 4,
    "week": 8,
    "kill": 8,
    "race": 18,
    "lose_index": 2,
    "damage_index": 2,
    "lose": 7,
    "cut": 7,
    "swap": 7,
    "trim": 2,
    "forge": 3,
    "lie": 2,
    "rot": 2,
    "late": 15,
    "gap": 7,
    "flaky": 3,
    "replace": 3,
    "newer": 3,
    "jump": 7,
    "take_over": 7,
    "lose_catalogue": 2,
}
OFTEN = (  # what does something in 300 of 10,000 steps
    "write",
    "killed",
    "forget",
    "condemned",
    "deleted",
    "thin",
    "clone",
    "take_over",
    "lose",
    "cut",
    "swap",
    "late",
    "gap",
    "jump",
    "race",
)
USUAL = {kind: KINDS[kind] for kind in ("write", "drop", "night", "forget", "week")}
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


class Walk:
    """One walk. ``effective`` counts the steps of each kind that did something."""

    def __init__(self, folder, seed, kinds):
        self.random = random.Random(seed)
        self.kinds = kinds
        self.storage = MemoryStorage(self.random.choice(LOCK_TIMES))
        self.racing = False
        self.law = Law(self.storage)
        self.effective = Counter()
        self.history = []
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
        self.files = {id(server): [] for server in self.servers}

    def _server(self, folder, identity, number):
        seat = Seat(self.storage, self.law, identity)
        # no two runs have one name
        server = Server(seat, folder, identity, terms=TERMS, number=number << 20)
        server.clock = self.random.choice([0, 0, 9000]) * number  # hours, wrong
        return server

    def step(self):
        kind = self.random.choices(list(self.kinds), list(self.kinds.values()))[0]
        self.history.append(kind)
        self.storage.pass_time(seconds=self.random.choice([3, 60, 4000]))
        if getattr(self, kind)(self.random.choice(self.servers)) is not False:
            self.effective[kind] += 1
        self.law.check()
        self._expire()

    def _expire(self):
        """Forget the oldest backups, as every plan does; let the storage have again
        what it had, or else nobody ever prunes."""
        there = self.storage.objects
        keys = sorted(self._there(), key=lambda key: there[sidecar_key(key)][1])
        for key in keys[:-MOST]:
            for server in self.servers:
                if key in server.catalogue:
                    self._forget(server, key)
        if self.law.damaged and self._one_in(2):
            self.law.heal()

    def finish(self):
        """Whatever has happened, in the end every backup is there, and nothing that
        nobody needs."""
        self.law.heal()
        for key in self.law.backups:
            self.law.require_restored(key)
        self._unlock()
        for server in (self.servers[0], self.servers[2]):
            for _week in range(2):
                self.week(server, strict=True)
            if left := self._left(server):
                raise Broken(f"nobody needs {sorted(left)[0]}, and it stays")
        self.law.check()

    def _left(self, server):
        """Return what is left of packs that nobody needs, also of those that a server
        has signed which was lost with its key."""
        there = self.storage.objects
        left = set(self.law.unneeded(server.identity, also_condemned=True))
        for key in there:
            about_pack = kind_of(key) in ("pack sidecar", "condemnation")
            if about_pack and f"{key.rpartition('.')[0]}.zip" not in there:
                left.add(key)
        return {key for key in left if not self._is_of_others(server, key)}

    def _is_of_others(self, server, key):
        beside = f"{key.rpartition('.')[0]}.json"
        found = self.storage.objects.get(beside)
        if kind_of(key) == "condemnation" or found is None:
            return False
        about = parse_pack_sidecar(found[0], beside)
        forged = server.owner.forged(about.signature)
        return forged or not server.owner.owns(about.identity)

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
        data, _maker = self.law.made[self.random.choice(packs)]
        with zipfile.ZipFile(BytesIO(data)) as pack:
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

    def hour(self, server):
        """All that a week has, but for the time."""
        self.prune(server)
        for _night in range(2):
            self.storage.pass_time(seconds=3)
            self.backup(server)
        self.prune(server)

    def jump(self, _server):
        self.storage.pass_time(hours=self.random.choice([-60, -3, 60, 24 * 365]))

    # === BORDERS === #

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

    # === WHAT SERVERS LOSE === #

    def lose_index(self, server):
        shutil.rmtree(server.place.index, ignore_errors=True)
        return self.night(server)

    def damage_index(self, server):
        files = sorted(server.place.index.glob("*.index"))
        if not files:
            return False
        path = self.random.choice(files)
        data = path.read_bytes()
        digest = 32  # the size of the last file stands before it
        path.write_bytes(changed(data, len(data) - digest - 1))
        return self.night(server)

    def take_over(self, server):
        """The server was lost, with its key: nobody vouches for what it has stored,
        and the storage has changed some of that."""
        server.storage.secret = Key(self.random.randbytes(32))
        signer = Signer(server.storage.secret)
        server.owner = Owner(server.identity, server.owner.keys, signer)
        shutil.rmtree(server.place.index, ignore_errors=True)
        packs = self._packs_with(self.files[id(server)])
        pack = self.random.choice(packs) if packs else None
        if pack:
            data = self.storage.objects[pack][0]
            self.law.damage(pack, changed(data, self.random.randrange(len(data))))
        before = set(self.law.backups)
        self.night(server)
        for key in set(self.law.backups) - before:
            if pack in self.law.backups[key].packs:
                raise Broken(f"{pack} was changed, and nobody has read it")

    def lose_catalogue(self, server):
        """The database is as it was before its newest backups."""
        damaged = self.law.damaged.keys()
        keys = [key for key in server.catalogue if sidecar_key(key) not in damaged]
        for key in keys[-2:]:
            server.catalogue.pop(key)
        return bool(keys)

    # === WHAT THE STORAGE DOES === #

    def lose(self, server):
        return self._damage(server, lambda data: None)

    def cut(self, server):
        return self._damage(server, lambda data: data[: len(data) // 2])

    def swap(self, server):
        return self._damage(server, changed)

    def trim(self, server):
        """The sidecar of a backup names fewer files than it has."""
        keys = [key for key in self._there() if self._trimmed(key)]
        keys = [key for key in keys if self._is_known(key)]
        if not keys:
            return False
        key = self.random.choice(keys)
        self.law.damage(sidecar_key(key), self._trimmed(key))
        self.law.require_restored(key)
        return None

    def _damage(self, server, change):
        """Change a pack or what belongs to a backup; then the backup says so."""
        backups = self._there()
        if not backups:
            return False
        key = self.random.choice(backups)
        packs = self.law.backups[key].packs
        at = self.random.choice([key, sidecar_key(key), *packs * 2])
        if at not in self.storage.objects or at in self.law.damaged:
            return False
        if at == sidecar_key(key) and not self._is_noted(key):
            return False  # of which nobody can tell that it was there
        self.law.damage(at, change(self.storage.objects[at][0]))
        self.law.require_restored(key)
        return self.night(server)

    def late(self, server):
        kinds = ["condemnation", "pack", "sidecar", "archive", "pack sidecar"]
        late = self.random.sample(kinds, self.random.randint(1, 5))
        with server.storage.facing(late=late) as hidden:
            self.random.choice([self.backup, self.prune])(server)
        return bool(hidden())

    def gap(self, server):
        """For a week, lists leave out a backup that the catalogue knows, or packs."""
        key = self._alone(server)
        if key is None:
            return False
        hidden = {sidecar_key(key)} if self._one_in(2) else self._some_packs()
        with server.storage.facing(hidden=hidden) as count:
            self.week(server)
        return bool(count())

    def flaky(self, server):
        """For a week, the first list of each prune leaves out a backup, and no
        catalogue knows it."""
        key = self._alone(server)
        if key is None:
            return False
        self._forget_everywhere(key)
        with server.storage.facing(hidden={sidecar_key(key)}, flaky=True) as count:
            self.week(server)
        return bool(count())

    def replace(self, server):
        """For a week, a backup has a sidecar that names fewer packs."""
        key = self._alone(server)
        if key and self._is_signed(key) and self._one_in(2):
            self._forget_everywhere(key)  # then its signature is all that is known
            return self._for_a_week(server, key, self._trimmed)
        return self._for_a_week(server, key, self._unsigned)

    def _unsigned(self, key):
        about = json.loads(self._trimmed(key))
        return json.dumps({**about, "signature": None}).encode()

    def _forget_everywhere(self, key):
        for each in self.servers:
            each.catalogue.pop(key, None)

    def _is_known(self, key):
        """Tell whether whoever prunes can tell that a sidecar was changed."""
        return self._is_noted(key) or self._is_signed(key)

    def _is_noted(self, key):
        return any(key in each.catalogue for each in self.servers)

    def _is_signed(self, key):
        """Tell whether all servers of the database have the key of a signature."""
        sidecar = read_sidecar(self.storage, sidecar_key(key))
        return all(
            each.owner.vouches(sidecar.signature)
            for each in self.servers
            if each.identity.key == sidecar.identity.key
        )

    def newer(self, server):
        """For a week, a backup is one that only a newer release can read; and no
        catalogue knows it."""

        def change(key):
            self._forget_everywhere(key)
            about = json.loads(self.storage.objects[sidecar_key(key)][0])
            about["dfr_backup"]["format"] = 99
            return json.dumps(about).encode()

        return self._for_a_week(server, self._alone(server), change)

    def _for_a_week(self, server, key, change):
        if key is None or (data := change(key)) is None:
            return False
        beside = sidecar_key(key)
        self.law.damage(beside, data)
        self.week(server)
        self.storage.objects[beside] = self.law.damaged.pop(beside)
        return None

    def _trimmed(self, key):
        """Return the sidecar of a backup with the last pack less."""
        about = json.loads(self.storage.objects[sidecar_key(key)][0])
        if not about["packs"]:
            return None
        about["packs"].pop(self.random.randrange(len(about["packs"])))
        return json.dumps(about).encode()

    def _there(self):
        """Return the backups that are there, with their sidecars as they were."""
        there = self.storage.objects.keys() - self.law.damaged.keys()
        return [key for key in self.law.backups if sidecar_key(key) in there]

    def _alone(self, server):
        """Return a backup of this database that alone needs a pack, old enough."""
        names = [self._add(server), self._add(server)]
        before = set(self.law.backups)
        self.backup(server)
        self._drop(server, names)
        keys = set(self.law.backups) - before
        return next(iter(keys), None)

    def _some_packs(self):
        packs = sorted(packs_in(self.storage))
        return set(self.random.sample(packs, min(len(packs), 3)))

    def _packs_with(self, names):
        """Return the packs, as they were stored, that have one of these files."""
        return [
            key
            for key in sorted(packs_in(self.storage) - self.law.damaged.keys())
            if any(name.encode() in self.law.made[key][0] for name in names)
        ]

    def lie(self, server):
        """The storage keeps other bytes than it was given."""
        self.write(server)
        lies = [self.random.choice(["pack", "archive"])]
        with server.storage.facing(lies=lies):
            self.backup(server)
        return not lies

    def rot(self, server):
        """A file in the filestore was damaged before it was ever stored."""
        name = self._add(server)
        path = server.root / name
        path.write_bytes(changed(path.read_bytes()))
        self.night(server)
        self.files[id(server)].remove(name)
        path.unlink()

    def forge(self, server):
        """Somebody puts a pack into the storage that names one of our next files."""
        kind = self.random.choice(["content", "signature"])
        name = self._add(server)
        content = (server.root / name).read_bytes()
        if kind == "content":
            content = changed(content)
        path = server.folder / "forged"
        writer = ArchiveWriter.create(path, moment=self.storage.now)
        writer.add_bytes(FILESTORE + name, content)
        _count, sums = writer.write_checksums()
        closed = writer.close()
        writer.release()
        identity = server.identity
        about = PackSidecar(
            key=pack_key(identity.uuid, closed.sha256, False),
            size=closed.size,
            sha256=closed.sha256,
            sums=sums,
            files=1,
            total=len(content),
            identity=identity,
        )
        stranger = Owner(identity, server.owner.keys, Signer(Key(bytes(32))))
        secret = None
        if kind == "content":
            sidecar = about.to_bytes(stranger)
        else:  # of our key, but of something else
            secret = server.storage.secret
            sidecar = json.loads(about.to_bytes(server.owner))
            sidecar["changed"] = True
            sidecar = json.dumps(sidecar).encode()
        self.law.made[about.key] = path.read_bytes(), identity.key
        self.law.forged[about.key] = secret
        self.storage.put_bytes(path.read_bytes(), about.key)
        self.storage.put_bytes(sidecar, sidecar_key(about.key))
        return self.night(server)


@contextmanager
def reading_once():
    """Parse each sidecar once: a prune reads all, and they do not change."""
    parse, needed.parse_sidecar = needed.parse_sidecar, cache(needed.parse_sidecar)
    try:
        yield
    finally:
        needed.parse_sidecar = parse


@contextmanager
def counting_thin(effective):
    """Count the backups that store anew what thin packs have."""
    choose = packing.choose_thin

    def counted(*arguments):
        thin, unused = choose(*arguments)
        effective["thin"] += bool(unused)
        return thin, unused

    packing.choose_thin = counted
    try:
        yield
    finally:
        packing.choose_thin = choose


def walk(folder, seed, steps, kinds=KINDS):
    """Do so many steps, with a new storage after each ``WALK``; return how many of each
    kind did something. Raise Broken."""
    total = Counter()
    with counting_thin(total), reading_once():
        for begin in range(0, steps, WALK):
            walker = Walk(folder / str(begin), seed + begin, kinds)
            try:
                for _step in range(min(WALK, steps - begin)):
                    walker.step()
                walker.finish()
            except Broken as error:
                last = walker.history[-1]
                where = f"seed {seed}, step {begin + len(walker.history) - 1} ({last})"
                raise Broken(f"{where}: {error}") from error
            finally:
                shutil.rmtree(folder / str(begin))
            total += walker.effective
    return total


def steps_without(rule, folder, most, seed=1):
    """Return in which step the laws are broken without a rule, None when they hold for
    so many steps."""
    kinds = {**USUAL, rule.step: 30}
    with rule.switched_off():
        for at in range(0, most, WALK):
            try:
                walk(folder, seed + at, min(WALK, most - at), kinds)
            except Broken as error:
                return at + int(STEP.search(str(error))[1]), error
    return None, None


def main(steps, seed):
    """Walk, and say how often each kind of step did something; fail when one was too
    rare."""
    with temporary_folder() as folder:
        total = walk(folder, seed, steps)
    for kind, count in sorted(total.items()):
        print(f"{count:6} {kind}")
    rare = [kind for kind in OFTEN if total[kind] * 10_000 < 300 * steps]
    if rare:
        print("too rare:", *rare)
    return len(rare)


def try_rules(name, most=2000):
    """Switch off each rule in turn, and say when it is missed. Return how many are
    not, or are although they have another reason."""
    wrong = 0
    for rule in rules_named(name):
        with temporary_folder() as folder:
            step, error = steps_without(rule, folder, most)
        wrong += (step is None) != bool(rule.reason)
        said = f"step {step:4}  " if step is not None else "not missed "
        more = rule.reason or (error if name else "")
        print(f"{said}{rule.name}" + (f" ({more})" if more else ""), flush=True)
    return wrong


@contextmanager
def temporary_folder():
    root = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


if __name__ == "__main__":
    if sys.argv[1] == "--rules":
        sys.exit(try_rules("".join(sys.argv[2:3])))
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
