"""How many processor cores this process may use.

A container sees all cores of its host: what it may use of them is said by its control
group, as a share of the time, and by its affinity.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

UNLIMITED = ("max", "-1")
CPU_CONTROLLER = "cpu"
UNREADABLE = (OSError, ValueError, ZeroDivisionError)


def usable_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use, at least 1. ``root`` is where
    ``proc`` and the control groups are mounted."""
    # the one place where all cores are counted: what may be used of them comes after
    cores: float = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        cores = len(os.sched_getaffinity(0))
    return max(1, int(min([cores, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """Yield what the control groups around this process let it use, in cores: the
    lowest of them counts."""
    with contextlib.suppress(OSError, ValueError):
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
        for line in groups:
            _number, controllers, path = line.split(":", 2)
            if not controllers or CPU_CONTROLLER in controllers.split(","):
                for folder in _folders(root, mounts, controllers, path):
                    quota = _quota_v1(folder) if controllers else _quota_v2(folder)
                    if quota:
                        yield quota


def _folders(
    root: Path, mounts: list[str], controllers: str, path: str
) -> Iterator[Path]:
    """Yield the folder of a group and those of the groups around it."""
    for line in mounts:
        before, _dash, after = line.partition(" - ")
        kind, _source, options = after.split(" ", 2)
        is_ours = (
            kind == "cgroup2"
            if not controllers
            else kind == "cgroup" and CPU_CONTROLLER in options.split(",")
        )
        if is_ours:
            mounted_root, mount = before.split(" ")[3:5]
            below = Path(path.strip("/"))
            with contextlib.suppress(ValueError):
                # a container may see its own group where the mount is
                below = Path(path).relative_to(mounted_root)
            top = root / mount.strip("/")
            yield from (top / part for part in (below, *below.parents))


def _quota_v2(folder: Path) -> float | None:
    with contextlib.suppress(*UNREADABLE):
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota in UNLIMITED else int(quota) / int(period)
    return None


def _quota_v1(folder: Path) -> float | None:
    with contextlib.suppress(*UNREADABLE):
        quota = (folder / "cpu.cfs_quota_us").read_text().strip()
        period = (folder / "cpu.cfs_period_us").read_text()
        return None if quota in UNLIMITED else int(quota) / int(period)
    return None
