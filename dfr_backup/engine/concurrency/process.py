"""Children that die with us, whose exit status is read and whose last words are
kept."""

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from ..checkpoints import checkpoint

PIPE_SIZE = (
    1 << 20
)  # bytes; 1.3 to 1.7 times faster than the kernel's 64 KiB (measured)
F_SETPIPE_SZ = (
    1031  # Linux: fcntl.F_SETPIPE_SZ exists in Python since 3.10 on Linux only
)
STDERR_TAIL = 8192  # bytes
TERMINATE_SECONDS = 3.0
PR_SET_PDEATHSIG = 1
SHORTAGES = (errno.ENOMEM, errno.EAGAIN)  # which say nothing about a program

try:
    libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True)
except OSError:
    libc = None


def die_with_parent() -> None:
    """Ask the kernel to end this child when the thread that made it ends (Linux)."""
    if libc is not None and hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Child:
    """A program that writes to a pipe of ours. Use as a context manager: leaving ends
    it.

    ``stdout`` is the read end (a file descriptor) and ``stderr_tail()`` the last 8 KiB
    of what the program complained about. Start it from the main thread: the kernel ends
    the child together with the thread that started it. When the system does not start
    the program, what ``unstartable`` makes of its OSError is raised.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        env: Mapping[str, str],
        unstartable: Callable[[OSError], Exception] | None = None,
    ):
        self._argv = [os.fspath(arg) for arg in argv]
        self._env = dict(env)
        self._unstartable = unstartable

    def __enter__(self) -> "Child":
        checkpoint("process.spawn.before")
        self._stderr = cast(IO[bytes], tempfile.TemporaryFile())
        self.process = self._start()
        checkpoint("process.spawn.after")
        self.stdout = cast(IO[bytes], self.process.stdout).fileno()
        _enlarge_pipe(self.stdout)
        return self

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            self._stderr.close()
            if not self._unstartable or error.errno in SHORTAGES:
                raise
            raise self._unstartable(error) from error

    def __exit__(self, *exc_info: object) -> None:
        self.end()
        cast(IO[bytes], self.process.stdout).close()
        self._stderr.close()

    def wait(self) -> int:
        """Return the exit status, once the program has closed its end of the pipe."""
        return self.process.wait()

    def end(self) -> None:
        """End the program if it still runs: SIGTERM, then SIGKILL after three
        seconds."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def stderr_tail(self) -> str:
        """Return the last lines that the program wrote to stderr."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - STDERR_TAIL))
        return self._stderr.read().decode("utf-8", "replace").strip()


def _enlarge_pipe(descriptor: int) -> None:
    with contextlib.suppress(ImportError, OSError):  # a smaller one is only slower
        import fcntl

        fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_SIZE)


def output_of(argv: Sequence[str | Path], *, timeout: float = 20) -> str:
    """Return the stdout of a short command. Raise OSError or
    subprocess.SubprocessError."""
    result = subprocess.run(
        [os.fspath(arg) for arg in argv],
        capture_output=True,
        check=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    return result.stdout.decode("utf-8", "replace")
