"""Folders of which each belongs to one living process: with real processes."""

import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Barrier, Thread

from dfr_backup.engine.catalog.fetch import fetch
from dfr_backup.engine.fileio.work_folder import work_folder
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

REPO = Path(__file__).parents[2]
HOLD = """
import sys, time, types
from pathlib import Path
package = types.ModuleType("dfr_backup")
package.__path__ = ["dfr_backup"]
sys.modules["dfr_backup"] = package
from dfr_backup.engine.fileio.work_folder import work_folder

with work_folder(Path(sys.argv[1]), "a") as folder:
    (folder / "fetched").write_text("half")
    print(folder.name, flush=True)
    time.sleep(600)
"""


@contextmanager
def another_process(parent):
    """Yield a process, and the name of the folder that it has."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, parent], cwd=REPO, stdout=subprocess.PIPE
    ) as process:
        try:
            yield process, process.stdout.readline().decode().strip()
        finally:
            process.kill()


def test_who_comes_second_gets_a_folder_of_his_own(tmp_path):
    with (
        another_process(tmp_path) as (_first, name),
        work_folder(tmp_path, "a") as folder,
        another_process(tmp_path) as (_third, third),
    ):
        assert len({name, folder.name, third}) == 3
        assert not (folder / "fetched").exists()


def test_what_a_killed_process_has_fetched_is_used_again(tmp_path):
    with another_process(tmp_path) as (process, name):
        process.kill()
        process.wait()
        with work_folder(tmp_path, "a") as folder:
            assert folder.name == name
            assert (folder / "fetched").read_text() == "half"


def test_other_folders_of_killed_processes_are_removed(tmp_path):
    with ExitStack() as living:
        living.enter_context(work_folder(tmp_path, "a"))
        with another_process(tmp_path) as (process, name):
            process.kill()
            process.wait()
    assert (tmp_path / name).exists()
    with work_folder(tmp_path, "a"):
        assert not (tmp_path / name).exists()


def test_a_removed_folder_is_made_anew(tmp_path):
    for _each in range(2):
        with work_folder(tmp_path, "a") as folder:
            shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_does_not_stay(tmp_path):
    with work_folder(tmp_path, "a") as folder:
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


class Line(LocalStorage):
    """A storage elsewhere, over which two fetches meet in the middle."""

    met = Barrier(2, timeout=30)

    def __init__(self, path):
        super().__init__(path, LocalRules([path]))

    def _local_path(self, key):
        return None

    def _open(self, key, offset):
        self.met.wait()
        return super()._open(key, offset)


def test_two_fetches_of_one_archive_do_not_disturb_each_other(tmp_path):
    content = bytes(range(256)) * 20_000
    storage = Line(tmp_path / "stored")
    storage.prepare()
    storage.put_bytes(content, "a.zip")
    fetched = []

    def restore():
        with work_folder(tmp_path / "fetched", "a") as folder:
            path = fetch(storage, "a.zip", folder, Progress()).path
            fetched.append(path.read_bytes())
            shutil.rmtree(folder)

    threads = [Thread(target=restore) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [content] * 2
