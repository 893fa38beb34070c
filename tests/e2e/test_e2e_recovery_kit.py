"""The recovery kit, followed to the letter on a machine where nothing is left of the
old one: its commands are cut out of its text, and nothing is typed that is not there.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from shlex import quote

import pytest
from conftest import DEV, Instance, _ordinary, drop_database
from lxml import html
from test_e2e_storages import (
    ACCESS_KEY,
    SECRET_KEY,
    new_bucket,
    s3,  # noqa: F401
)

KIT = """
from odoo.addons.dfr_backup.models.plan.recovery_kit import page_values
plan = env["backup.plan"].search([])
page = env["ir.qweb"]._render("dfr_backup.recovery_kit", page_values(plan))
print("KIT" + page + "KIT")
"""
ENCRYPT = """
from odoo.addons.dfr_backup.engine.encryption.files import generate_key
pair = generate_key()
print("PRIVATE", pair.private)
env["backup.plan"].search([]).write(
    {"encryption": "recipients", "age_recipients": pair.public})
env.cr.commit()
"""
MAKE_INCREMENTAL = """
env["backup.plan"].search([]).write({"incremental": True})
env.cr.commit()
"""
INTO_A_BUCKET = """
storage = env["backup.storage"].create(
    {{"name": "Bucket", "provider": "s3", "s3_endpoint": {url!r},
      "s3_bucket": {bucket!r}, "s3_prefix": "odoo backups", "s3_addressing": "path",
      "s3_region": "us-east-1", "s3_access_key": {access_key!r},
      "s3_secret_key": {secret_key!r}}})
env["backup.plan"].search([]).write({{"storage_ids": [(6, 0, storage.ids)]}})
env.cr.commit()
"""
MORE = """
env["ir.attachment"].create([{"name": "one more", "raw": b"more"}])
env.cr.commit()
"""
NAMES = "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL"


class Kit:
    """The page, and the machine on which somebody follows it."""

    def __init__(self, page, machine, folder):
        tree = html.fromstring(page)
        self.blocks = {pre.get("id"): pre.text_content() for pre in tree.iter("pre")}
        self.machine, self.folder = machine, folder
        folder.mkdir()
        folder.chmod(0o777)

    def follow(self, *names, typed=()):
        """Enter these blocks in one shell, in a folder of their own, and answer what
        it asks. What the page calls different on the new machine is."""
        script = "\n".join(["set -e", *(self.blocks[name] for name in names)])
        for name, value in self._here().items():
            lines = [line for line in script.splitlines() if line.startswith(name)]
            for line in lines:
                script = script.replace(line, f"{name}{quote(str(value))}")
        folder = self.folder / names[-1]
        folder.mkdir()
        done = subprocess.run(
            _ordinary(["bash", "-c", script]),
            env=self._environ(),
            cwd=folder,
            input="".join(f"{line}\n" for line in typed),
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _here(self):
        return {
            "export ODOO_RC=": self.machine.conf,
            "DATA_DIR=": self.machine.data,
            "ADDONS=": self.folder / "addons",
        }

    def _environ(self):
        options = self.machine.options
        known = {
            "PGHOST": options["db_host"],
            "PGPORT": options["db_port"],
            "PGUSER": options["db_user"],
            "PGPASSWORD": options["db_password"],
        }
        path = f"{DEV / 'bin'}:{os.environ['PATH']}"
        return self.machine.environ(**known, PATH=path)


def files(machine, database):
    """Return the attachment files of a database, which are what they are called."""
    root = machine.data / "filestore" / database
    names = {name for (name,) in machine.sql(NAMES, database=database)}
    for name in names:
        content = (root / name).read_bytes()
        assert name[3:] == hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return names


def forget(machine, database):
    drop_database(database)
    shutil.rmtree(machine.data / "filestore" / database, ignore_errors=True)


def is_neutralized(machine, database):
    query = "SELECT count(*) FROM ir_cron WHERE active"
    ((active,),) = machine.sql(query, database=database)
    return active <= 1  # Odoo leaves its vacuum on


@contextlib.contextmanager
def lost(instance, tmp_path, kept=("backups",)):
    """Yield an empty machine that reaches the storage of a server which is gone.
    ``kept``: what of its data directory was a disk that was mounted there as well."""
    page = instance.shell(KIT).split("KIT")[1]
    names = files(instance, instance.database)
    drop_database(instance.database)
    for path in instance.data.iterdir():
        if path.name != "dfr_backup":
            shutil.rmtree(path)
    for path in (instance.data / "dfr_backup").iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder = tmp_path / "new machine"
    folder.mkdir()
    machine = Instance(instance.database, folder)
    try:
        yield Kit(page, machine, tmp_path / "shell"), machine, names
    finally:
        forget(machine, f"{instance.database}_copy")


@pytest.mark.parametrize("way", ["addon", "odoo", "hand"])
def test_encrypted_production_comes_back(instance, tmp_path, way):
    said = instance.shell(ENCRYPT)
    (private,) = [line.split()[1] for line in said.splitlines() if "PRIVATE" in line]
    (tmp_path / "key").write_text(private)
    assert instance.backup().state == "success"
    with lost(instance, tmp_path) as (kit, machine, names):
        fetched = [] if way == "addon" else ["files"]
        blocks = ("settings", "storage-1", *fetched, f"production-{way}")
        kit.follow(*blocks, typed=[tmp_path / "key"])
        assert files(machine, machine.database) == names
        assert not is_neutralized(machine, machine.database)
        if way == "addon":
            assert (tmp_path / "shell/addons/dfr_backup/__manifest__.py").exists()


@pytest.mark.release
@pytest.mark.parametrize("way", ["addon", "hand"])
def test_production_comes_back_from_a_bucket(instance, tmp_path, s3, way):  # noqa: F811
    code = INTO_A_BUCKET.format(
        url=s3.url,
        bucket=new_bucket(s3.url),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )
    instance.shell(code)
    assert instance.backup().state == "success"
    with lost(instance, tmp_path, kept=()) as (kit, machine, names):
        fetched = [] if way == "addon" else ["files"]
        blocks = ("settings", "storage-1", *fetched, f"production-{way}")
        assert SECRET_KEY not in "".join(kit.blocks.values())
        kit.follow(*blocks, typed=[SECRET_KEY])
        assert files(machine, machine.database) == names
        assert not is_neutralized(machine, machine.database)


OTHERS = [pytest.param(way, marks=pytest.mark.release) for way in ("addon", "hand")]


@pytest.mark.parametrize("way", ["odoo", *OTHERS])
def test_incremental_copy(instance, tmp_path, way):
    instance.shell(MAKE_INCREMENTAL)
    assert instance.backup().state == "success"
    instance.shell(MORE)
    assert instance.backup().state == "success"
    with lost(instance, tmp_path) as (kit, machine, names):
        fetched = ["files"] if way == "hand" else []
        kit.follow("settings", "storage-1", *fetched, f"copy-{way}")
        copy = f"{machine.database}_copy"
        assert files(machine, copy) >= names
        assert is_neutralized(machine, copy)
