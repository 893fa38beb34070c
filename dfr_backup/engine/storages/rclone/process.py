"""The program rclone: found, checked, told what to do, and watched."""

import json
import os
import re
import select
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...concurrency.process import Child
from ...errors.rclone import (
    ConfigurationMissing,
    RcloneMissing,
    RcloneStuck,
    RcloneTooOld,
)
from ...messages import Message, _
from ...progress import POLL_INTERVAL
from ..base import TransferLimits
from .errors import Failed, without_secrets
from .rules import RcloneConfig, environment

OLDEST = (1, 60)  # Debian 12 has it
INPLACE = (
    1,
    63,
)  # since then rclone makes a temporary name of its own, unless told not to
MOST_OUTPUT = 64 << 20  # bytes: a list of some 400,000 files
PATIENCE = 10  # times the timeout: rclone itself gives up long before

# of each program that was asked, until it is replaced by another one
_versions: dict[tuple[str, int], tuple[int, int]] = {}


class Rclone:
    """Runs rclone for one configuration. Each call is a process of its own, which ends
    with us.

    ``tick`` is called at least every half second while one runs, and may raise an
    EngineError.
    """

    def __init__(
        self,
        config: RcloneConfig,
        limits: TransferLimits,
        tick: Callable[[], object],
    ):
        self._config = config
        self._limits = limits
        self._tick = tick

    @property
    def version(self) -> tuple[int, int]:
        """Return the version of the program. Raise PermanentError when it is too
        old."""
        binary = self._binary()
        program = (binary, os.stat(binary).st_mtime_ns)
        if program not in _versions:
            shown = self.output("version").decode("utf-8", "replace")
            found = re.match(r"rclone v(\d+)\.(\d+)", shown)
            version = (int(found[1]), int(found[2])) if found else (0, 0)
            if version < OLDEST:
                shown = shown.partition("\n")[0]
                raise RcloneTooOld(version=shown or Message(_("no version")))
            _versions[program] = version
        return _versions[program]

    def remotes(self) -> dict[str, str]:
        """Return the names of all remotes and the kind of each."""
        self._require_config()
        found = {}
        for line in (
            self.output("listremotes", "--long").decode("utf-8", "replace").splitlines()
        ):
            name, _colon, kind = line.partition(":")
            found[name] = kind.split()[0] if kind.split() else ""
        return found

    def output(self, command: str, *options: str, paths: Sequence[str] = ()) -> bytes:
        """Return what a command prints. Raise Failed, or an EngineError."""
        with self._child(command, *options, paths=paths) as child:
            printed = b"".join(self._most_of(self.printed(child)))
            self.finish(child)
        return printed

    def _most_of(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield what a command prints, which is no endless stream. Raise Failed."""
        size = 0
        for piece in pieces:
            size += len(piece)
            if size > MOST_OUTPUT:
                raise Failed(1, f"it printed more than {MOST_OUTPUT} bytes")
            yield piece

    def transfer(
        self, source: Path, target: str, report: Callable[[int], None]
    ) -> None:
        """Copy a file to ``target``, and ``report`` how many bytes of it were sent so
        far.

        Raise Failed, what ``report`` raises, or another EngineError.
        """
        options = ["--ignore-times", "--use-json-log", "--log-file=/dev/stdout"]
        options += ["--stats=500ms", "--stats-log-level=NOTICE"]
        options += ["--inplace"] if self.version >= INPLACE else []
        complaints: list[str] = []
        paths = [os.path.abspath(source), target]
        sent, end = -1, self._deadline()
        with self._child("copyto", *options, paths=paths) as child:
            for entry in _log_entries(self.printed(child)):
                if "stats" in entry:
                    before, sent = sent, _sent(entry["stats"])
                    end = self._deadline() if sent != before else end
                    self._require_before(end)
                    report(sent)
                elif entry.get("level") in ("error", "critical", "fatal"):
                    complaints = [*complaints[-9:], str(entry.get("msg", ""))]
            self.finish(child, "\n".join(complaints))

    @contextmanager
    def stream(self, command: str, *options: str, path: str) -> Iterator[Child]:
        """Start a command whose output is read by ``printed`` or from
        ``child.stdout``."""
        with self._child(command, *options, paths=[path]) as child:
            yield child

    def printed(self, child: Child) -> Iterator[bytes]:
        """Yield what a child prints, as it comes. Raise RetryableError when it is
        stuck."""
        self.wait_for_output(child)
        while data := os.read(child.stdout, 1 << 20):
            yield data
            self.wait_for_output(child)

    def wait_for_output(self, child: Child) -> None:
        """Wait until a child has printed something, or ended. Raise RetryableError
        when it is stuck, and what ``tick`` raises."""
        poll = select.poll()
        poll.register(child.stdout, select.POLLIN | select.POLLHUP)
        end = self._deadline()
        while not poll.poll(POLL_INTERVAL * 1000):
            self._tick()
            self._require_before(end)

    def _deadline(self) -> float:
        return time.monotonic() + PATIENCE * self._limits.timeout

    def _require_before(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise RcloneStuck(seconds=f"{PATIENCE * self._limits.timeout:g}")

    def finish(self, child: Child, complaints: str = "") -> None:
        """Read the exit status of a child that has closed its output. Raise Failed."""
        if status := child.wait():
            raise Failed(
                status, without_secrets(f"{complaints}\n{child.stderr_tail()}".strip())
            )

    def _child(self, command: str, *options: str, paths: Sequence[str] = ()) -> Child:
        argv = [
            self._binary(),
            command,
            *self._common_options(),
            *options,
            "--",
            *paths,
        ]
        return Child(argv, environment(), lambda e: RcloneMissing(log=str(e)))

    def _binary(self) -> str:
        found = shutil.which(self._config.binary or "rclone")
        if not found:
            raise RcloneMissing(log=f"{self._config.binary or 'rclone'} was not found")
        return found

    def _common_options(self) -> list[str]:
        seconds = f"{max(1, round(self._limits.timeout))}s"
        options = ["--ask-password=false", "--retries=1", "--low-level-retries=3"]
        options += [f"--contimeout={seconds}", f"--timeout={seconds}"]
        if self._limits.bandwidth:
            options.append(f"--bwlimit={self._limits.bandwidth}B")
        if self._config.config_file:
            options.append(f"--config={self._config.config_file}")
        return options

    def _require_config(self) -> None:
        path = self._config.config_file
        if path and not path.is_file():
            raise ConfigurationMissing(path=path)


def _sent(stats: object) -> int:
    """Return the bytes that rclone's statistics say were sent."""
    told = stats.get("bytes") if isinstance(stats, dict) else None
    return told if type(told) is int else 0


def _log_entries(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the entries of a log in JSON; a line that is something else is left out."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry
