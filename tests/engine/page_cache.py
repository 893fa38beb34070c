"""What of a file is in the page cache."""

import os

import pytest

from dfr_backup.engine.fileio.page_cache import forget_cached, is_cached


def forget(path):
    """Let a file be on the disk only."""
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
        forget_cached(file)
    finally:
        os.close(file)


def holds(path):
    """Tell whether the page cache has the beginning of a file. Asking brings it
    there."""
    file = os.open(path, os.O_RDONLY)
    try:
        return is_cached(file)
    finally:
        os.close(file)


def need_page_cache(folder):
    """Skip the test where nobody can tell what is in the page cache."""
    probe = folder / "probe"
    probe.write_bytes(b"x")
    forget(probe)
    known = not holds(probe)
    probe.unlink()
    if not known:
        pytest.skip("nobody can tell what is in the page cache of this file system")
