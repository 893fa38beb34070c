"""How many cores may be used: control groups as kernels show them, in folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfr_backup.engine.archive.member_stream import Threads
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.concurrency.cores import usable_cores
from dfr_backup.engine.concurrency.worker_pool import WorkerPool
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.sources import filestore

REPO = Path(__file__).parents[2]
V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
V1 = (
    "24 20 0:20 / /proc rw - proc proc rw\n"
    "31 23 0:27 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
COUNT = """
import os, sys, types
package = types.ModuleType("dfr_backup")
package.__path__ = ["dfr_backup"]
sys.modules["dfr_backup"] = package
from dfr_backup.engine.concurrency.cores import usable_cores

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(usable_cores())
"""


@pytest.fixture(autouse=True)
def _large_host(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))


def system(folder, groups, mounts, files):
    """Return a folder that looks like the root of a system."""
    proc = folder / "proc/self"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(groups)
    (proc / "mountinfo").write_text(mounts)
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_share_of_version_2(tmp_path):
    files = {"cpu.max": "350000 100000\n"}
    root = system(tmp_path, "0::/\n", V2.format(root="/"), files)
    assert usable_cores(root) == 3


def test_less_than_a_core_is_one(tmp_path):
    files = {"cpu.max": "50000 100000\n"}
    assert usable_cores(system(tmp_path, "0::/\n", V2.format(root="/"), files)) == 1


def test_the_lowest_of_the_groups_around_counts(tmp_path):
    files = {
        "a/cpu.max": "200000 100000\n",
        "a/b/cpu.max": "max 100000\n",
        "a/b/c/cpu.max": "900000 100000\n",
    }
    root = system(tmp_path, "0::/a/b/c\n", V2.format(root="/"), files)
    assert usable_cores(root) == 2


def test_a_group_that_is_mounted_as_the_root(tmp_path):
    files = {"cpu.max": "200000 100000\n"}
    mounts = V2.format(root="/docker/1f")
    assert usable_cores(system(tmp_path, "0::/docker/1f\n", mounts, files)) == 2


def test_a_share_of_version_1(tmp_path):
    files = {
        "cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "400000\n",
        "cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    groups = "5:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n1:name=systemd:/x\n"
    root = system(tmp_path, groups, V1.format(root="/"), files)
    assert usable_cores(root) == 4


def test_a_container_that_sees_its_own_group_of_version_1(tmp_path):
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "250000\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    mounts = V1.format(root="/docker/1f")
    root = system(tmp_path, "4:cpu,cpuacct:/docker/1f\n", mounts, files)
    assert usable_cores(root) == 2


@pytest.mark.parametrize("text", ["max 100000\n", "", "many\n", "1 0\n"])
def test_without_a_share_all_of_them(tmp_path, text):
    root = system(tmp_path, "0::/\n", V2.format(root="/"), {"cpu.max": text})
    assert usable_cores(root) == 16


@pytest.mark.parametrize("groups", ["", "garbage\n", "0::/gone\n"])
def test_groups_that_cannot_be_read(tmp_path, groups):
    assert usable_cores(system(tmp_path, groups, V2.format(root="/"), {})) == 16
    assert usable_cores(tmp_path / "nothing") == 16


@pytest.fixture
def _half_a_core(tmp_path, monkeypatch):
    """All of this process sees the limit of a small container."""
    files = {"cpu.max": "50000 100000\n"}
    root = system(tmp_path / "root", "0::/\n", V2.format(root="/"), files)
    monkeypatch.setattr(usable_cores, "__defaults__", (root,))


@pytest.mark.usefixtures("_half_a_core")
def test_no_more_threads_compress():
    assert Threads().packers == 1


@pytest.mark.usefixtures("_half_a_core")
def test_no_more_threads_read_the_filestore(tmp_path, monkeypatch):
    pools = []

    class Noted(WorkerPool):
        def __init__(self, progress, workers, ahead):
            pools.append(workers)
            super().__init__(progress, workers, ahead)

    monkeypatch.setattr(filestore, "WorkerPool", Noted)
    archive = ArchiveWriter.create(tmp_path / "a.zip")
    filestore.archive_filestore(archive, tmp_path, [], Progress())
    archive.release()
    assert pools == [2]  # one more than there are cores


def test_the_affinity_of_a_real_process():
    found = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=REPO, capture_output=True, check=True
    )
    assert int(found.stdout) == 1
