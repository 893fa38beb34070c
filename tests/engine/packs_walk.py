"""A random walk over servers that share a storage: they back up, change their keys,
forget, prune, are killed, overtake each other at any border (``packs_servers``), lose
what they know, and the storage loses and changes objects, lists late and with gaps, and
has a clock that jumps. What must hold is in ``packs_law``; which rule keeps it, in
``packs_rules``.

    python tests/engine/packs_walk.py STEPS [SEED]
    python tests/engine/packs_walk.py --rules
"""

import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import conftest  # noqa: F401

from packs_law import Broken, Made, changed, kind_of
from packs_rules import without as rules_named
from packs_servers import Servers
from packs_world import packs_in

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.catalog.scan import read_sidecar
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.manifest.names import FILESTORE, sidecar_key
from dfr_backup.engine.manifest.signature import Signer
from dfr_backup.engine.packs import needed, packing
from dfr_backup.engine.packs.names import pack_key, stem_of
from dfr_backup.engine.packs.owner import Owner
from dfr_backup.engine.packs.sidecar import PackSidecar, parse_pack_sidecar

WALK = 100  # steps, each walk with a new storage
STEP = re.compile(r"step (\d+)")
MOST = 10  # backups that are kept
KINDS = {
    "write": 6,
    "drop": 4,
    "take_back": 4,
    "night": 6,
    "clone": 8,
    "forget": 9,
    "prune": 4,
    "week": 8,
    "kill": 8,
    "at_once": 2,
    "change_keys": 7,
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
    "late": 22,
    "gap": 7,
    "flaky": 3,
    "replace": 3,
    "newer": 3,
    "jump": 9,
    "take_over": 7,
    "lose_catalogue": 2,
    "doubt": 2,
    "move": 2,
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
    "change_keys",
)
USUAL = {kind: KINDS[kind] for kind in ("write", "drop", "night", "forget", "week")}


class Walk(Servers):
    """One walk: what servers lose, and what the storage does. ``effective`` counts the
    steps of each kind that did something."""

    def __init__(self, folder, seed, kinds):
        super().__init__(folder, seed)
        self.kinds = kinds
        self.history = []

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
            if self.law.is_about_pack(key) and not self.law.has_pack(key):
                left.add(key)
        return {key for key in left if not self._is_of_others(server, key)}

    def _is_of_others(self, server, key):
        beside = f"{stem_of(key)}.json"
        found = self.storage.objects.get(beside)
        if kind_of(key) == "condemnation" or found is None:
            return False
        about = parse_pack_sidecar(found[0], beside)
        forged = server.owner.forged(about.signature)
        return forged or not server.owner.owns(about.identity)

    def jump(self, _server):
        self.storage.pass_time(hours=self.random.choice([-60, -3, 60, 24 * 365]))

    # === WHAT SERVERS LOSE === #

    def doubt(self, server):
        """For a week, nobody reads back what is stored."""
        self._let_be_unneeded(server)
        server.verifies = False
        try:
            return self.week(server)
        finally:
            server.verifies = True

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
        beside = map(sidecar_key, packs)
        at = self.random.choice([key, sidecar_key(key), *packs * 2, *beside])
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
        """For a week, lists leave out the sidecar or the archive of a backup that the
        catalogue knows, or packs."""
        key = self._alone(server)
        if key is None:
            return False
        hidden = self.random.choice([{sidecar_key(key)}, {key}, self._some_packs()])
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
            if any(name.encode() in self.law.made[key].data for name in names)
        ]

    def move(self, _server):
        """The bucket is a copy now: the same objects, new, and without their locks."""
        self.law.heal()
        for key, (data, _modified) in self.storage.objects.items():
            self.storage.objects[key] = data, self.storage.now
        self.storage.locks.clear()
        return bool(self.storage.lock_time)

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
        made = Made(path.read_bytes(), identity.key, described=len(sidecar))
        self.law.made[about.key] = made
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


def seeded(seed):
    """Let the keys of encrypted packs be the same in each walk of that seed."""
    return patch.object(os, "urandom", random.Random(seed).randbytes)


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
            try:
                with seeded(seed + begin):
                    walker = Walk(folder / str(begin), seed + begin, kinds)
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
    not."""
    wrong = 0
    for rule in rules_named(name):
        with temporary_folder() as folder:
            step, error = steps_without(rule, folder, most)
        wrong += step is None
        said = f"step {step:4}  " if step is not None else "not missed "
        why = f" ({error})" if name and error else ""
        print(f"{said}{rule.name}{why}", flush=True)
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
