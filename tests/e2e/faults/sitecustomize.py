"""Python loads this by itself in every process that has this folder on its PYTHONPATH.

It listens to the engine's checkpoints and does, once, what DFR_TEST_FAULT says:
``ACTION:CHECKPOINT:MARKER[:ARGUMENT]``. The marker file tells later processes that it
is done (``kill-always`` has none). ``kill`` waits until there is a file like its
ARGUMENT, if it has one. Production code knows nothing of this.
"""

import glob
import os
import signal
import sys
import time


def _install(action, checkpoint, marker, argument=""):
    def hook(event, args):
        if event != "dfr_backup.checkpoint" or args[0] != checkpoint:
            return
        if action == "kill-always":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.path.exists(marker):
            return
        if action == "kill" and argument and not glob.glob(argument):
            return
        open(marker, "w").close()
        _do(action, argument)

    sys.addaudithook(hook)


def _do(action, argument):
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "pause":
        time.sleep(float(argument))
    elif action == "hold":
        _hold(argument)
    elif action == "fill":
        _fill(argument)
    elif action == "spy":
        _spy(argument)
    elif action == "remove":
        os.rename(argument, argument + ".gone")


def _hold(path):
    """Wait until somebody makes the file, but not for ever."""
    end = time.monotonic() + 600
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.1)


def _spy(folder):
    """Copy what other users of the system could see of this process."""
    for name in ("cmdline", "environ"):
        target = os.path.join(folder, name)
        with open(f"/proc/self/{name}", "rb") as source, open(target, "wb") as seen:
            seen.write(source.read())


def _fill(folder):
    with open(os.path.join(folder, "filler"), "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 4096)
        except OSError:
            pass


if os.environ.get("DFR_TEST_FAULT") and {"runner", "restore"} & set(sys.orig_argv):
    _install(*os.environ["DFR_TEST_FAULT"].split(":"))
