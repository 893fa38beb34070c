"""Two databases that have stored into one folder before locations had owners: the
default folder of “a b” was that of “a_b”. Each goes on after its upgrade, whichever
comes first, and neither sees, deletes or overwrites a backup of the other.
"""

import contextlib
import json
import re
import shutil
import uuid

import pytest
from earlier import unpack_earlier
from instances import OWN_UUID, e2e
from worlds import KEEP_ONE

LISTED = (
    "SELECT key FROM backup_copy WHERE state IN ('stored', 'verified') ORDER BY date"
)
RULES = ", ".join(f"{name} = %s" for name in KEEP_ONE)
SCAN = """
print("run", env["backup.storage"].search([]).action_scan()["res_id"])
env.cr.commit()
"""
SHARED = 'print("shared", env["backup.storage"].search([]).mapped("is_shared"))'


class Sharer:
    """A database of a server, with the addon as it was until ``upgrade``."""

    def __init__(self, name, folder, data, earlier):
        folder.mkdir()
        self.instance = made = e2e.Instance(name, folder)
        made.data = data
        self._now = made.options["addons_path"]
        made.write_conf(data_dir=str(data), addons_path=earlier(self._now))

    def install(self, template):
        made = self.instance
        e2e.copy_database(template, made)
        made.sql(OWN_UUID, str(uuid.uuid4()))
        e2e.install(made, "-i", "dfr_backup", "--no-http")
        made.sql(f"UPDATE backup_plan SET {RULES}", *KEEP_ONE.values())

    def upgrade(self):
        self.instance.write_conf(addons_path=self._now)
        e2e.install(self.instance, "-u", "dfr_backup", "--no-http")

    def back_up(self):
        """Return the path of the backup."""
        run = self.instance.backup()
        assert run.state == "success", run.report
        # the next one is of another day, for the rules
        self.instance.sql("UPDATE backup_copy SET date = date - interval '1 day'")
        return run.archive

    def scan(self):
        """Return the keys of the catalogue, after a look at what is stored."""
        run = int(re.search(r"run (\d+)", self.instance.shell(SCAN))[1])
        assert self.instance.await_job(run) == "success"
        return [key for (key,) in self.instance.sql(LISTED)]

    def restore(self, archive):
        name = f"dfr_faults_{e2e.RUN}_r"  # “a b_r” could not be one
        try:
            done = self.instance.odoo(
                "backup", "restore", str(archive), "--to", name, "--json"
            )
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            e2e.drop_database(name)
            shutil.rmtree(self.instance.data / "filestore" / name, ignore_errors=True)
        return json.loads(done.stdout)["state"]


@pytest.fixture
def sharers(plain_template, tmp_path):
    """Two with one default folder, and two backups each: the first one is deleted."""
    earlier = unpack_earlier(e2e.REPO, e2e.DEV, tmp_path)
    stem = f"dfr_faults_{e2e.RUN}"
    with contextlib.ExitStack() as stack:
        made = []
        for name in (f"{stem}_a b", f"{stem}_a_b"):
            stack.callback(e2e.drop_database, name)
            folder = tmp_path / str(len(made))
            made.append(Sharer(name, folder, tmp_path / "data", earlier))
            made[-1].install(plain_template)
        yield made


def in_folder(sharer):
    paths = e2e.Instance.stored(sharer.instance.storage)
    return {path.name for path in paths if path.suffix == ".zip"}


def test_shared_folder(sharers, cell):
    first, second = sharers
    # the name of the folder is the second one's
    olds = [sharer.back_up() for sharer in sharers]
    assert olds[0].parent == olds[1].parent
    mine, theirs = [sharer.back_up() for sharer in sharers]
    assert in_folder(second) == {mine.name, theirs.name}

    # one is upgraded, and knows nothing of the other; the other goes on as before
    first.upgrade()
    mine = first.back_up()
    theirs = second.back_up()
    assert in_folder(second) == {mine.name, theirs.name}
    assert first.scan() == [mine.name]

    second.upgrade()
    theirs = second.back_up()
    mine = first.back_up()
    assert in_folder(second) == {mine.name, theirs.name}
    for sharer, archive in ((first, mine), (second, theirs)):
        assert sharer.scan() == [archive.name]
        assert sharer.restore(archive) == "success"
        assert "shared [True]" in sharer.instance.shell(SHARED)
    cell("one folder of two databases", "upgrade, retention, scan", "each its own")
