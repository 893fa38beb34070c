"""Several databases of one origin that store into one location, and what each of them
may do there.

A location is a directory that all servers see, and a bucket. Whatever the databases do
is watched: ``World.watching``.
"""

import contextlib
import hashlib
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import psycopg2
from cluster import move_in, private_cluster
from far import add_bucket, encrypt
from instances import e2e
from lab import DRILL, RESTORE, Lab
from monitor import Monitor
from s3_servers import SECRET_KEY, moto

NAME = "dfr_faults_origin"
PLANTED = "Planted 3c1f9e Partner"  # a row that stands in no file but encrypted
KEEP_ONE = {
    "retention": "custom",
    **dict.fromkeys(["keep_hourly", "keep_daily", "keep_weekly", "keep_monthly"], 0),
    **dict.fromkeys(["keep_yearly", "keep_within_days"], 0),
    "keep_last": 1,
    "keep_minimum": 1,
}
PLANT = f'env["res.partner"].create({{"name": {PLANTED!r}}})'
DUE = "UPDATE backup_plan SET next_run = now() AT TIME ZONE 'UTC' - interval '1 minute'"
CRON = 'env["backup.plan"]._cron_supervise()'
TOKEN = "hook-51b7e08d"  # of a monitor's address
WORLD_SECONDS = 45 * 60  # on a machine that has other things to do


class Placed(e2e.Instance):
    """An instance whose storage is a directory that others see, too."""

    storage = None  # there it follows from the data directory

    def __init__(self, database, folder, share):
        self.storage = share
        folder.mkdir(exist_ok=True)
        super().__init__(database, folder)
        self.write_conf(dfr_backup_local_roots=str(share))


class Member(Lab):
    """One of the databases. ``deletes`` and ``pings`` are what it may do; None says
    that nobody can tell yet."""

    deletes = True
    pings = True

    def sql_when_alone(self, statement):
        """Copy a database as soon as nobody is in it."""
        for tries_left in reversed(range(60)):
            try:
                self.instance.sql(statement, database="postgres")
                return
            except psycopg2.errors.ObjectInUse:
                if not tries_left:
                    raise
                time.sleep(0.5)

    def may(self, deletes, pings=None):
        self.deletes, self.pings = deletes, deletes if pings is None else pings

    @contextlib.contextmanager
    def quiet(self):
        """Nobody of ours is connected meanwhile."""
        self.driver.__exit__()
        try:
            yield
        finally:
            self.driver.__enter__()

    @property
    def copy(self):
        return f"{self.instance.database}_copy"

    # === WHAT IT DOES === #

    def back_up(self):
        return [self.run()]

    def keep_schedule(self):
        """Let the plan's time come, and the scheduled action."""
        last = self.sql("SELECT coalesce(max(id), 0) FROM backup_job")[0][0]
        self.sql(DUE)
        self.driver.do(CRON)
        runs = self.sql("SELECT id FROM backup_job WHERE id > %s ORDER BY id", last)
        assert runs, "nothing was due"
        return [self.settle(number) for (number,) in runs]

    def drill(self):
        if not self.listed():
            return []
        return [self.run(code=DRILL.format(count=1))]

    def restore_copy(self):
        if not self.listed():
            return []
        try:
            return [self.run(code=RESTORE.format(count=1, name=self.copy))]
        finally:
            self.drop(self.copy)

    def restore_twice(self):
        """From the back office and by the command line at once, the same archive."""
        found = [r for r in self.listed("local") if Path(r[4], r[1]).exists()]
        if not found:
            return self.restore_copy()
        failures = []

        def restore():
            try:
                self.restore(*found[0])
            except AssertionError as error:
                failures.append(error)

        beside = threading.Thread(target=restore)
        beside.start()
        try:
            outcomes = self.restore_copy()
        finally:
            beside.join()
        assert not failures, failures
        return outcomes

    def listed(self, *providers):
        """Return what the catalogue says that is there, the newest first: provider,
        key, SHA-256, completeness, folder."""
        return self.sql(
            "SELECT s.provider, c.key, c.sha256, c.complete, s.local_path"
            "  FROM backup_copy c JOIN backup_storage s ON s.id = c.storage_id"
            " WHERE c.state = 'verified' AND s.provider = ANY(%s)"
            " ORDER BY c.date DESC",
            list(providers or ("local", "s3")),
        )


class World:
    """The databases, by name, and what has become of what they have stored."""

    def __init__(self, folder, cluster, template, server, monitor, stack):
        self.folder = folder
        self.cluster = cluster
        self.template = template
        self.server = server
        self.monitor = monitor
        self.share = folder / "share"
        self.members = {}
        self.makers = {}  # of each backup: the names of its members
        self.lost = set()  # what cannot be reached
        self.secrets = [PLANTED, SECRET_KEY, TOKEN]
        self._stack = stack
        self._until = time.monotonic() + WORLD_SECONDS

    def join(self, name, instance, like=None):
        """Take in another database, which is ``like`` one that is here."""
        made = self._stack.enter_context(Member(instance))
        self.members[name] = made
        if like:
            made.bucket, made.identity = like.bucket, like.identity
        return made

    def enter(self, context):
        """Keep a resource as long as the world."""
        return self._stack.enter_context(context)

    # === WATCHED === #

    def stored(self):
        """Return the content of the location, as (where, key)."""
        found = {("local", path.name) for path in e2e.Instance.stored(self.share)}
        client, bucket = self.original.bucket
        for found_object in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            found.add(("s3", found_object["Key"]))
        return {each for each in found if each[1] != "dfr_backup-location"}

    @property
    def original(self):
        return self.members["original"]

    @contextlib.contextmanager
    def watching(self, *acting):
        """Hold what these members do meanwhile against the laws."""
        assert time.monotonic() < self._until, "this world takes too long"
        before, heard = self.stored(), len(self.monitor.heard)
        yield
        after = self.stored()
        self._note_makers(after - before, acting)
        for where, key in before - after:
            for name in self._deleters(where, key, acting):
                assert self.members[name].deletes is not False, (
                    f"{name} has deleted {key} in {where}"
                )
                assert name in self.makers[stem(key)], (
                    f"{name} has deleted {key} of {self.makers[stem(key)]} in {where}"
                )
        for _method, _path, body in self.monitor.heard[heard:]:
            name = self._maker_of(json.loads(body)["uuid"], acting)
            assert self.members[name].pings is not False, f"{name} has pinged: {body}"
        self.nothing_is_in_plain()

    def _note_makers(self, found, acting):
        for _where, key in found:
            short = stem(key).rpartition("-")[2]
            name = self._maker_of(short, acting)
            self.makers.setdefault(stem(key), set()).add(name)

    def _maker_of(self, uuid, acting):
        """Return who has performed a run, given its uuid or the beginning of it. Who
        came later has the history of the original, too."""
        query = "SELECT 1 FROM backup_job WHERE uuid LIKE %s"
        names = [n for n in acting if self.members[n].sql(query, f"{uuid}%")]
        assert names, f"nobody has made {uuid}"
        return names[0] if len(names) == 1 else "original"

    def _deleters(self, where, key, acting):
        query = (
            "SELECT 1 FROM backup_copy c JOIN backup_storage s ON s.id = c.storage_id"
            " WHERE s.provider = %s AND c.state = 'deleted' AND c.key LIKE %s"
        )
        found = [
            n for n in acting if self.members[n].sql(query, where, f"{stem(key)}.%")
        ]
        assert found, f"{key} in {where} is gone, and nobody says why"
        return found

    def heirs(self, name):
        """Let a member be the owner of all that there is."""
        for names in self.makers.values():
            names.add(name)

    def nothing_is_in_plain(self):
        """Look for what may stand nowhere but sealed or encrypted."""
        folders = [self.share]
        for member in self.members.values():
            instance = member.instance
            folders += [instance.data, instance.folder / "tmp"]
            folders += [instance.folder / "driver.log"]
        folders = [str(path) for path in dict.fromkeys(folders) if path.exists()]
        patterns = [part for secret in self.secrets for part in ("-e", secret)]
        done = subprocess.run(
            ["grep", "-rlaF", *patterns, *folders], capture_output=True, text=True
        )
        assert done.returncode == 1, f"in plain: {done.stdout}{done.stderr}"
        for _where, key in self.stored():
            assert not key.endswith(".zip"), f"{key} is not encrypted"

    # === A LIFE === #

    def live(self, name, *, good=True, acts=None):
        """Let a member do everything once; return the states. ``good``: all of it has
        to end well. What does not has to say why."""
        member, states = self.members[name], []
        for act in acts or (
            member.back_up, member.keep_schedule, member.drill, member.restore_twice
        ):  # fmt: skip
            with self.watching(name):
                outcomes = act()
            states += [self._judge(member, each, good) for each in outcomes]
        self.what_is_listed_restores(name)
        return states

    def at_once(self, code, *names):
        """Let members do the same at the same moment."""
        with self.watching(*names):
            members = [self.members[name] for name in names]
            numbers = [
                member.start(code.format(name=f"{member.instance.database}_{n}"))
                for n, member in enumerate(members)
            ]
            outcomes = [m.settle(n) for m, n in zip(members, numbers, strict=True)]
            for n, member in enumerate(members):
                member.drop(f"{member.instance.database}_{n}")
        for member, outcome in zip(members, outcomes, strict=True):
            self._judge(member, outcome, good=False)
        return list(map(str, outcomes))

    def _judge(self, member, outcome, good):
        if good:
            assert outcome.state == "success", outcome.errors
        if outcome.state != "success":
            assert outcome.code, outcome
            assert all(outcome.codes.values()), outcome.errors
        member.check(outcome, restore=False)
        return f"{outcome.state}"

    def what_is_listed_restores(self, name):
        """Every byte is there, and the newest becomes a database again."""
        member = self.members[name]
        for provider, key, sha256, _complete, path in member.listed():
            if provider in self.lost:
                continue
            if (provider, key) not in self.stored():
                # another one may delete what it has made
                assert name not in self.makers[stem(key)], f"{name} has lost {key}"
                continue
            content = member.content(provider, key, path)
            assert hashlib.sha256(content).hexdigest() == sha256, key
        for row in [] if "local" in self.lost else member.listed("local")[:1]:
            if ("local", row[1]) in self.stored():
                member.restore(*row)


def stem(key):
    """Return what archive and manifest of a backup have in common."""
    return key.removesuffix(".age").removesuffix(".zip").removesuffix(".json")


@contextlib.contextmanager
def made_world(template, folder):
    """Yield a world with an original that has made one backup."""
    (folder / "s3").mkdir()
    (folder / "share").mkdir(mode=0o700)
    with (
        private_cluster() as cluster,
        moto(folder / "s3") as server,
        Monitor() as monitor,
        contextlib.ExitStack() as stack,
    ):
        world = World(folder, cluster, template, server, monitor, stack)
        instance = Placed(NAME, folder / "original", world.share)
        shutil.copytree(template.filestore, instance.filestore)
        move_in(cluster, template, instance)
        instance.sql(
            "UPDATE backup_storage SET local_path = %s, place_id = NULL",
            str(world.share),
        )
        original = world.join("original", instance)
        add_bucket(original, server.url)
        encrypt(original)
        world.secrets.append(original.identity.read_text().strip())
        original.driver.do(PLANT)
        hook = f"{monitor.url}/{TOKEN}"
        original.write("backup.plan", {**KEEP_ONE, "webhook_url": hook})
        with world.watching("original"):
            (outcome,) = original.back_up()
        assert outcome.state == "success", outcome.errors
        assert monitor.heard, "the monitor hears nothing"
        yield world
