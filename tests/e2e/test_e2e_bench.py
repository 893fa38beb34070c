"""``make bench`` calls the engine as runs do: it must not fall behind it unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SMALL = ("--size", "1", "--rounds", "1", "--names", "100", "--no-restic")


@pytest.mark.release
def test_every_target_of_days_is_measured():
    done = subprocess.run(
        [sys.executable, "-m", "bench.days", *SMALL],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    targets = [line for line in done.stdout.splitlines() if " at most " in line]
    assert len(targets) >= 10, done.stdout + done.stderr
    missing = [line for line in done.stdout.splitlines() if "not measured" in line]
    assert [line for line in missing if "restic" not in line] == []
