"""What a command costs: its processes are looked at in /proc while it runs."""

import contextlib
import os
import select
import subprocess
import threading
import time
from pathlib import Path

from . import places

INTERVAL = 0.5  # seconds: a look takes milliseconds, and there are two cores
DISK_SHARE = 50  # looking at the disk takes 1/50 of the time at most
TICK = os.sysconf("SC_CLK_TCK")
PAGE_KB = 1024


class Sampler(threading.Thread):
    """Follows the processes of a command, of our detached runner, and PostgreSQL's
    for both: those in ``database``, and in databases whose names begin with
    ``scratch``."""

    def __init__(self, database, directories=(), scratch=None):
        super().__init__(daemon=True)
        self.database = database
        self.backends = [f" {database} ".encode()] + (
            [f" {scratch}".encode()] if scratch else []
        )
        self.directories = directories
        self.root = None
        self.stopping = threading.Event()
        self.cpu = {}  # (kind, pid, start): seconds at the first and at the last look
        self.peak = {"command": 0, "runner": 0}  # PSS in KiB of all processes of a kind
        self.process_peak = {
            "command": 0,
            "runner": 0,
        }  # RSS in KiB of the largest process
        self.disk = 0
        self.runner_seen = None  # epoch of the first look, and of its end
        self.runner_pid = None
        self.runner_ended = threading.Event()
        self._next_disk = 0
        self._disk_before = disk_usage(directories)

    def run(self):
        first = True
        while not self.stopping.wait(0 if first else INTERVAL):
            self._look(first)
            first = False

    def _look(self, first):
        sums = {"command": 0, "runner": 0}
        for pid, kind, start, seconds in self._processes():
            known = self.cpu.get((kind, pid, start))
            before = (
                known[0] if known else (seconds if first and kind == "backend" else 0)
            )
            self.cpu[kind, pid, start] = before, seconds
            if kind in sums:
                sums[kind] += _kib(pid, "smaps_rollup", b"Pss:")
                peak = _kib(pid, "status", b"VmHWM:")
                self.process_peak[kind] = max(self.process_peak[kind], peak)
        self.peak = {kind: max(self.peak[kind], sums[kind]) for kind in sums}
        if time.monotonic() >= self._next_disk:
            started = time.monotonic()
            self.disk = max(self.disk, disk_usage(self.directories) - self._disk_before)
            ended = time.monotonic()
            self._next_disk = ended + DISK_SHARE * (ended - started)

    def _processes(self):
        """Yield (pid, kind, start, CPU seconds) of each process that matters."""
        table = dict(_process_table())
        for pid, (_parent, start, seconds) in table.items():
            kind = self._kind(pid, table)
            if kind:
                yield pid, kind, start, seconds

    def _kind(self, pid, table):
        """A process is of the kind of its nearest ancestor that has one."""
        for _depth in range(20):
            if pid == self.root:
                return "command"
            command = _read(pid, "cmdline")
            if command.startswith(b"postgres:") and any(
                b in command for b in self.backends
            ):
                return "backend"
            if (
                b"\0backup\0runner\0" in command
                and f"={self.database}\0".encode() in command
            ):
                self._saw_runner(pid)
                return "runner"
            if pid not in table or table[pid][0] <= 1:
                return None
            pid = table[pid][0]
        return None

    def _saw_runner(self, pid):
        now = time.time()
        if (
            self.runner_pid is None
        ):  # a child of it has its command line until it executes another
            self.runner_pid, self.runner_seen = pid, (now, now)
            threading.Thread(
                target=self._await_end, args=[pid, now], daemon=True
            ).start()

    def _await_end(self, pid, first):
        """Note when the runner has ended: a look every half second would be too
        coarse."""
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            process = os.pidfd_open(pid)
            ended, _none, _none = select.select([process], [], [], places.LIMIT)
            os.close(process)
            if not ended:
                return
        self.runner_seen = first, time.time()
        self.runner_ended.set()

    def seconds(self, *kinds):
        return sum(
            last - first for key, (first, last) in self.cpu.items() if key[0] in kinds
        )


def measure(command, database, env, directories=(), stdin=None, scratch=None):
    """Run ``command`` and return (its standard output, what it cost, the sampler)."""
    busy, load = machine_busy(), os.getloadavg()[0]
    sampler = Sampler(database, directories, scratch)
    started = time.monotonic()
    with open(places.LOG / "run.log", "ab") as log:
        process = subprocess.Popen(
            command,
            env=env,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        sampler.root = process.pid
        sampler.start()
        try:
            output, _none = process.communicate(
                stdin and stdin.encode(), timeout=places.LIMIT
            )
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            sampler.stopping.set()
            sampler.join()
    wall = time.monotonic() - started
    own = sampler.seconds("command", "runner", "backend")
    cost = {
        "wall": wall,
        "cpu_python": sampler.seconds("command", "runner"),
        "cpu_postgres": sampler.seconds("backend"),
        "cpu_foreign": max(0.0, machine_busy() - busy - own),
        "load_before": load,
        "pss_mib": (sampler.peak["runner"] or sampler.peak["command"]) / PAGE_KB,
        "rss_mib": (sampler.process_peak["runner"] or sampler.process_peak["command"])
        / PAGE_KB,
        "disk": sampler.disk,
        "status": process.returncode,
    }
    return output.decode(errors="replace"), cost, sampler


def disk_usage(directories):
    """Return the bytes that directories take, each file once whatever its names."""
    seen = {}
    for top in directories:
        for folder, _folders, files in os.walk(top):
            for name in files:
                try:
                    found = os.lstat(os.path.join(folder, name))
                except OSError:
                    continue
                seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def machine_busy():
    """Return the CPU seconds that the whole machine has worked."""
    values = [
        int(value)
        for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]
    ]
    return (sum(values) - values[3] - values[4]) / TICK


def _process_table():
    for name in os.listdir("/proc"):
        line = _read(name, "stat") if name.isdigit() else b""
        if line:
            field = line[line.rindex(b")") + 2 :].split()
            yield (
                int(name),
                (int(field[1]), field[19], (int(field[11]) + int(field[12])) / TICK),
            )


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def _kib(pid, name, key):
    for line in _read(pid, name).splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0
