"""What a look at all databases of a server costs: the time of ``odoo backup status
--all``, with one database and with copies of it, the processor time of the command, and
the most memory it had.

    python -m bench.status DATABASE [--copies 50]
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2

ROUNDS = 5
MIB = 1 << 10  # in KiB, as the kernel counts memory


def main():
    parser = argparse.ArgumentParser(prog="bench.status", description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--copies", type=int, default=50)
    options = parser.parse_args()
    with copies_of(options.database, options.copies) as names:
        for some in (names[:1], names):
            print(of(some), flush=True)


def of(names):
    """Return in words what a look at these databases takes."""
    looks = [look(names) for _round in range(ROUNDS)]
    wall, processor, memory = map(statistics.median, zip(*looks, strict=True))
    return (
        f"{len(names):3} databases: {wall:.2f} s, processor {processor:.2f} s, "
        f"{memory / MIB:.0f} MiB"
    )


def look(names):
    """Return the seconds of a look, those of its processor time, and the most memory
    in KiB."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(configuration(names))
        conf.flush()
        begun = time.monotonic()
        process = subprocess.Popen(
            ["odoo", "backup", "status", "--all", "--json"],
            env={**os.environ, "ODOO_RC": conf.name},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        told = process.stdout.read()
        _pid, _status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
    if told.count('"tested_at"') != len(names):
        raise SystemExit(told)
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def configuration(names):
    text = Path(os.environ["ODOO_RC"]).read_text()
    return f"{re.sub('(?m)^db_name = .*$', '', text)}\ndb_name = {','.join(names)}\n"


@contextlib.contextmanager
def copies_of(database, count):
    """Yield the names of copies, which are there until the block ends."""
    names = [f"{database}_status_{number}" for number in range(count)]
    with contextlib.closing(psycopg2.connect(dbname="postgres")) as session:
        session.autocommit = True
        cr = session.cursor()
        try:
            for name in names:
                cr.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database}"')
            yield names
        finally:
            for name in names:
                cr.execute(f'DROP DATABASE IF EXISTS "{name}"')


if __name__ == "__main__":
    main()
