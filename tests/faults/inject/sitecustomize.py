"""Python loads this by itself in every process that has this folder on its PYTHONPATH.

In a backup process it listens to the engine's checkpoints and does what ``DFR_FAULT``
says, a JSON object: ``action`` at the ``nth`` time (default 1) that ``checkpoint`` is
reached, once in all processes together, which the file ``marker`` tells. ``after``
seconds instead of a checkpoint: at that time. Production code knows nothing of this.
"""

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import threading
import time

LONGEST = 300  # seconds that anything here may wait
COMMANDS = {"runner", "restore"}
AGAIN = {"record", "kill_always", "enter_always"}  # in each process that comes there


class Fault:
    def __init__(self, action, marker, checkpoint="", nth=1, after=None, argument=None):
        self.action = getattr(self, action)
        self.marker = marker
        self.checkpoint = checkpoint
        self.nth = nth
        self.after = after
        self.argument = argument
        self.count = 0

    def install(self):
        if self.after is not None:
            timer = threading.Timer(self.after, self.happen)
            timer.daemon = True
            timer.start()
        else:
            sys.addaudithook(self.hear)

    def hear(self, event, args):
        if event != "dfr_backup.checkpoint" or self.checkpoint not in ("*", args[0]):
            return
        if self.checkpoint == "*":
            self.argument = args[0]
        self.count += 1
        if self.count >= self.nth:
            self.happen()

    def happen(self):
        if self.action.__name__ not in AGAIN:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
        self.action()

    def record(self):
        """Write down which checkpoints there are."""
        with open(self.marker, "a") as stream:
            stream.write(f"{self.argument}\n")

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_always(self):
        """Kill each process that comes here, not only the first."""
        open(self.marker, "w").close()
        self.kill()

    def send(self):
        """Send a signal to this process."""
        os.kill(os.getpid(), self.argument)

    def wait(self):
        """Stand still until the test has done something, and says so by a second
        file."""
        until = time.monotonic() + LONGEST
        while not os.path.exists(f"{self.marker}.go") and time.monotonic() < until:
            time.sleep(0.02)

    def wait_then_kill(self):
        """Stand still, and die at the checkpoint of the argument."""
        self.wait()
        if self.argument == self.checkpoint:
            self.kill()
        self.checkpoint, self.action, self.marker = (
            self.argument,
            self.kill,
            f"{self.marker}.2",
        )

    def pause(self):
        time.sleep(self.argument)

    def starve(self):
        """Let this process have no more memory than it has, and so many bytes."""
        with open("/proc/self/statm") as stream:
            pages = int(stream.read().split()[0])
        limit = pages * resource.getpagesize() + self.argument
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def enter(self):
        """Put this process into a control group."""
        with open(os.path.join(self.argument, "cgroup.procs"), "w") as stream:
            stream.write(str(os.getpid()))

    def enter_always(self):
        open(self.marker, "w").close()
        self.enter()

    def fill(self):
        """Leave no byte free where the folder lies."""
        with open(os.path.join(self.argument, "filler"), "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(b"\0" * 4096)
            except OSError:
                pass


def _refuse_to_step_back(event, args):
    """A busy machine would have no time for the process that is watched."""
    if event == "open" and str(args[0]) == "/proc/self/autogroup":
        raise PermissionError(args[0])


if "FAKETIME_DONT_FAKE_MONOTONIC" in os.environ:
    # faketime would give the kernel a moment of the wrong clock to sleep until
    time.sleep = lambda seconds: select.select([], [], [], seconds)

if "backup" in sys.orig_argv:
    faulthandler.register(
        signal.SIGUSR1
    )  # kill -USR1: where it stands, in the runner's log
    os.nice = lambda _increment: 0
    sys.addaudithook(_refuse_to_step_back)

if (
    os.environ.get("DFR_FAULT")
    and "backup" in sys.orig_argv
    and COMMANDS & set(sys.orig_argv)
):
    Fault(**json.loads(os.environ["DFR_FAULT"])).install()
