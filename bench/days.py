"""Four days of a database with many attachments: ``python -m bench.days --size 32``.

Each day some rows change, files come and few go. It is backed up incrementally, as a
complete zip (on the first and the last day), and by restic, which most administrators
would take instead. It reports; it never fails on a number.
"""

import argparse
import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psycopg2

from . import days_content, days_report, days_servers, places, report

DAYS = (1, 2, 3, 4)
TARGET = "days_restored"
NAMES = 1_500_000  # attachments, with 1 GiB of SQL
PACKS = 800
SETTLE = 0.5  # seconds until PostgreSQL has counted a session that has ended


def main():
    options = _options()
    lock = places.only_one()
    places.prepare()
    base = days_content.ensure(options.size)
    rounds, extras = [], {}
    try:
        with days_servers.started(options) as place:
            for number in range(options.rounds):
                rounds.append({})
                Round(options, place, base, number, rounds[-1]).run()
            extras = Extras(options, place).run()
    except (KeyboardInterrupt, ChildFailed) as error:
        say(f"Ended: {error}. What follows is what was measured so far")
    result = places.HOME / f"days-{options.size}.json"
    result.write_text(
        json.dumps({"size_mib": options.size, "rounds": rounds, "extras": extras})
    )
    middle = days_report.middle(rounds)
    machine = ", ".join(f"{key} {value}" for key, value in report.machine().items())
    print(f"\n{options.size} MiB of SQL, {options.storage}, {machine}")
    print("\n".join(days_report.table(middle)))
    print("\n".join(days_report.verdicts(middle, extras)))
    _clean_up()
    lock.close()


def _options():
    parser = argparse.ArgumentParser(prog="bench.days", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB of SQL (1024)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storage", choices=["local", "s3", "sftp"], default="local")
    parser.add_argument(
        "--delay", type=float, default=20, help="ms there and back, for s3 and sftp"
    )
    parser.add_argument("--no-restic", action="store_true")
    parser.add_argument("--names", type=int, help="attachments of the memory's row")
    options = parser.parse_args()
    options.names = options.names or NAMES * options.size // 1024
    return options


def _clean_up():
    days_content.drop(days_content.WORK)
    days_content.drop(TARGET)
    for folder in (places.OUT, places.TMP):
        places.empty(folder)


def say(text):
    print(text, file=sys.stderr, flush=True)


class ChildFailed(Exception):
    """A task has failed."""


class Child:
    """Runs a task of ``days_child``; adds what PostgreSQL took for it."""

    def __init__(self, env):
        self._env = env

    def __call__(self, do, database, **task):
        task = {
            "do": do,
            "database": database,
            "root": str(places.filestore(database)),
            "work": str(places.TMP / do),
            **task,
        }
        command = [sys.executable, "-m", "bench.days_child", json.dumps(task)]
        busy = postgres_seconds()
        with open(places.LOG / "days.log", "ab") as log:
            done = subprocess.run(
                command, env=self._env, cwd="/", stdout=subprocess.PIPE, stderr=log
            )
        if done.returncode:
            raise ChildFailed(f"{do} failed: see {places.LOG / 'days.log'}")
        numbers = json.loads(done.stdout.splitlines()[-1])
        time.sleep(SETTLE)
        numbers["cpu_postgres"] = postgres_seconds() - busy
        return numbers


def postgres_seconds():
    """Return the CPU seconds of all sessions of our own server that have ended."""
    connection = psycopg2.connect(dbname="postgres")
    with contextlib.closing(connection), connection.cursor() as cr:
        cr.execute("SELECT pg_backend_pid()")
        session = cr.fetchone()[0]
        server = int(_stat(session)[1])
    fields = _stat(server)
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Round:
    """Four days, from the beginning, and a restore of the last one."""

    def __init__(self, options, place, base, number, results):
        self._options = options
        self._place = place
        self._base = base
        self._number = number
        self._child = Child(days_servers.environment())
        self._results = results

    def run(self):
        _clean_up()
        self._place.empty()
        days_content.begin(self._base)
        for day in DAYS:
            if day > DAYS[0]:
                days_content.live(self._options.size, day)
            self._day(day)
        self._restore()

    def _day(self, day):
        todo = [("ours", self._ours), ("restic", self._restic)]
        if day in (DAYS[0], DAYS[-1]):
            todo.append(("zip", self._zip))
        turn = (self._number + day) % len(todo)
        for name, work in todo[turn:] + todo[:turn]:
            self._come_to_rest()
            kind = "first" if day == DAYS[0] else "repeat"
            self._note(f"{name}, {kind}", work())

    def _note(self, name, numbers):
        if numbers is None:
            return
        self._results.setdefault(name, []).append(numbers)
        say(
            f"round {self._number + 1} {name:<16}{numbers['wall']:8.2f} s  CPU "
            f"{numbers['cpu']:7.2f} + {numbers['cpu_postgres']:6.2f} s  "
            f"{numbers['rss']:5.0f} MiB"
        )

    def _come_to_rest(self):
        os.sync()
        places.forget(places.filestore(days_content.WORK))

    def _ours(self):
        done = self._child(
            "back_up",
            days_content.WORK,
            incremental=True,
            storage=self._place.storage("ours"),
            index=str(places.OUT / "index"),
        )
        self._key = done["key"]
        return done

    def _zip(self):
        storage = self._place.storage("zip")
        done = self._child(
            "back_up", days_content.WORK, incremental=False, storage=storage
        )
        self._place.empty("zip")
        return done

    def _restic(self):
        restic = self._place.restic
        if restic is None:
            return None
        restic.prepare()
        before = restic.stored()
        dump = ["pg_dump", "--no-owner", "--no-privileges", days_content.WORK]
        dumping = restic("backup", "--tag", "dump", "--stdin-filename", "database.sql")
        files = str(places.filestore(days_content.WORK))
        numbers = self._child(
            "command",
            days_content.WORK,
            commands=[
                [*dumping, "--stdin-from-command", "--", *dump],
                restic("backup", "--tag", "files", files),
            ],
        )
        return {**numbers, "stored": restic.stored() - before}

    def _restore(self):
        self._restoring("ours, restore", self._restore_ours)
        if self._place.restic is not None:
            self._restoring("restic, restore", self._restore_restic)

    def _restoring(self, name, work):
        days_content.drop(TARGET)
        self._come_to_rest()
        places.forget(places.OUT)
        try:
            self._note(name, work())
        except ChildFailed as error:  # the others are measured all the same
            say(f"{name}: {error}")
        finally:  # else autovacuum would look after it, while others are measured
            days_content.drop(TARGET)

    def _restore_ours(self):
        return self._child(
            "restore",
            TARGET,
            target=TARGET,
            storage=self._place.storage("ours"),
            key=self._key,
            markers=str(places.TMP / "markers"),
        )

    def _restore_restic(self):
        restic = self._place.restic
        target = places.filestore(TARGET)
        subprocess.run(
            ["createdb", "-T", "template0", "-E", "unicode", TARGET], check=True
        )
        dumping = restic("dump", "--tag", "dump", "latest", "/database.sql")
        load = f"{shlex.join(dumping)} | psql -Xq1 -v ON_ERROR_STOP=1 -d {TARGET}"
        back = restic("restore", "latest", "--tag", "files", "--target", str(target))
        return self._child(
            "command",
            TARGET,
            commands=[["bash", "-o", "pipefail", "-c", load], back],
        )


class Extras:
    """What is measured once, and apart: many names, and many packs."""

    def __init__(self, options, place):
        self._options = options
        self._place = place
        self._child = Child(days_servers.environment())

    def run(self):
        found = {"memory": self._memory()}
        with self._on_s3() as place:
            found["requests"] = self._requests(place)
            place.empty("few")  # the server has it in memory
            found["many packs"] = self._many_packs(place)
        return found

    def _on_s3(self):
        """Return a context of a place where requests can be counted."""
        if self._options.storage == "s3":
            return contextlib.nullcontext(self._place)
        options = argparse.Namespace(**{**vars(self._options), "storage": "s3"})
        return days_servers.started(options)

    def _memory(self):
        """The peak of a repeated run, and of a complete backup, with many names."""
        names = self._options.names
        say(f"Memory with {names} names")
        storage = {"kind": "local", "path": str(places.OUT / "names")}
        index = str(places.OUT / "names-index")
        about = {"names": names, "storage": storage, "index": index}
        self._child("name", days_content.WORK, **about)
        ours = self._child("back_up", days_content.WORK, incremental=True, **about)
        today = self._child("back_up", days_content.WORK, incremental=False, **about)
        return {"ours": ours, "today": today}

    def _requests(self, place):
        say("Requests")
        return self._repeated(place, "few", DAYS[-1] + 1, {}, {})

    def _many_packs(self, place):
        say(f"Requests with {PACKS} packs")
        files = max(1, days_content.files(self._options.size) // PACKS)
        small = {"small_bytes": 0}
        many = {**small, "pack_files": files}
        return self._repeated(place, "many", DAYS[-1] + 2, many, small)

    def _repeated(self, place, name, day, terms, later):
        """Measure the backup of another day, after a first one under these terms."""
        about = {
            "incremental": True,
            "storage": place.storage(name, delayed=False),
            "index": str(places.OUT / f"{name}-index"),
        }
        self._child("back_up", days_content.WORK, **about, terms=terms)
        days_content.live(self._options.size, day)
        return self._child("back_up", days_content.WORK, **about, terms=later)


if __name__ == "__main__":
    main()
