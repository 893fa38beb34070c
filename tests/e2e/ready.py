"""Commands of Odoo without the time that it takes to import its code: the side of the
tests. The other side is ready_odoo.py."""

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path


class ReadyOdoo:
    """A process that turns into commands of Odoo. It ends when our end of its socket is
    closed, at the latest with us."""

    def __init__(self, start, environ, modules):
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("ready_odoo.py")
        with theirs:
            subprocess.Popen(
                [*start, sys.executable, script, str(theirs.fileno()), *modules],
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def run(self, argv, environ, text, timeout):
        """Do what subprocess.run does with a command of Odoo."""
        with (
            tempfile.TemporaryFile("w+") as given,
            tempfile.TemporaryFile("w+") as output,
            tempfile.TemporaryFile("w+") as errors,
        ):
            given.write(text)
            given.seek(0)
            order = {"argv": argv, "environ": environ}
            status = self._obeyed(order, [given, output, errors], timeout)
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(
                argv, status, output.read(), errors.read()
            )

    def _obeyed(self, order, files, timeout):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                numbers = [file.fileno() for file in (*files, theirs)]
                socket.send_fds(self._orders, [json.dumps(order).encode()], numbers)
            ours.settimeout(timeout)
            pid = int(ours.recv(64))
            try:
                return int(ours.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise


@functools.cache
def ready_odoo(start, pycache, modules):
    """Return the one of this process for those modules, begun with the command
    ``start``."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": pycache}
    return ReadyOdoo(start, environ, modules)
