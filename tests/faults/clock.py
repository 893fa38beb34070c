"""A clock that the test moves, for our processes, PostgreSQL and a bucket's server
alike."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cluster import move_in, private_cluster
from instances import e2e
from lab import INJECT, Lab

LIBRARIES = Path("/usr/lib").glob(
    "*/faketime/libfaketime.so.1"
)  # MT: deadlocks in forks


class Clock:
    """Tells another time than it is, to the processes that have ``environ``."""

    def __init__(self, folder, library):
        self._file = folder / "clock"
        self.environ = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # nobody sets that one
            "PYTHONPATH": f"{INJECT}:{os.environ.get('PYTHONPATH', '')}",
        }
        folder.chmod(0o755)
        self.set(0)

    def set(self, hours):
        """Let it be so many hours later than it is."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{round(hours * 3600):+d}\n")
        new.chmod(0o644)
        new.replace(self._file)


@contextlib.contextmanager
def made_clock():
    library = next(LIBRARIES, None)
    if library is None:
        pytest.skip("faketime is not installed")
    folder = Path(tempfile.mkdtemp(prefix="dfr_clock_", dir="/var/tmp"))
    try:
        yield Clock(folder, library)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def moving_lab(template, folder, name):
    """Yield a lab in which all clocks are one: ``lab.clock``."""
    with made_clock() as clock, private_cluster(**clock.environ) as cluster:
        instance = e2e.Instance(f"dfr_faults_{name}", folder)
        shutil.copytree(template.filestore, instance.filestore)
        instance.storage.mkdir(parents=True, mode=0o700)
        move_in(cluster, template, instance)
        instance.sql(
            "UPDATE backup_storage SET local_path = %s, place_id = NULL",
            str(instance.storage),
        )
        with Lab(instance, **clock.environ) as lab:
            lab.clock = clock
            yield lab
