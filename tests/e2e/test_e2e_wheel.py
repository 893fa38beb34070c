"""The wheel of the addon, installed as any Python package into the environment of a
plain Odoo."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from conftest import (
    DEV,
    REPO,
    Instance,
    _ordinary,
    copy_database,
    drop_database,
    install,
)

DATABASE = f"dfr_e2e_wheel_{os.getpid()}"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    argv = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*argv, "./setup/dfr_backup"], check=True, cwd=REPO)
    (path,) = folder.iterdir()
    return path


@pytest.fixture
def python(tmp_path, wheel):
    """The Python of a virtual environment that has Odoo's packages, and the wheel."""
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    odoo = os.environ["PYTHONPATH"].split(":")[0]
    (packages / "odoo.pth").write_text(f"{sysconfig.get_path('purelib')}\n{odoo}\n")
    python = home / "bin/python"
    subprocess.run(
        [*PIP, "--python", python, "install", "--no-index", "--no-deps", wheel],
        check=True,
    )
    return python


class WithWheel(Instance):
    """An Odoo whose addons path does not hold the addon."""

    def __init__(self, folder, python):
        super().__init__(DATABASE, folder)
        self.python = python
        self.write_conf(addons_path=None)

    def odoo(self, *args, **_more):
        env = {k: v for k, v in self.environ().items() if k != "PYTHONPATH"}
        argv = _ordinary([self.python, DEV / "bin/start_odoo.py", *args])
        return subprocess.run(
            argv, env=env, capture_output=True, text=True, timeout=900
        )


def test_wheel_holds_the_addon_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (
            archive.read(name).decode() for name in names if name.endswith("/METADATA")
        )
    addon = {Path(name) for name in names if name.startswith("odoo/addons/dfr_backup/")}
    tracked = subprocess.run(
        ["git", "ls-files"],
        cwd=REPO / "dfr_backup",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    wanted = {Path("odoo/addons/dfr_backup", name) for name in tracked if name}
    assert addon == wanted - {Path("odoo/addons/dfr_backup/pyproject.toml")}
    assert all(
        name.startswith(("odoo/addons/dfr_backup/", "odoo_addon_dfr_backup-"))
        for name in names
    )
    assert "Name: odoo-addon-dfr_backup" in metadata
    assert "Requires-Dist: odoo==19.0.*" in metadata
    assert "License: LGPL-3" in metadata


def test_wheel_backs_up_a_plain_odoo(tmp_path, python, plain_template):
    drop_database(DATABASE)
    instance = WithWheel(tmp_path, python)
    try:
        copy_database(plain_template, instance)
        install(instance, "-i", "dfr_backup")
        run = instance.backup()
        assert (run.state, run.status) == ("success", 0)
        with zipfile.ZipFile(run.archive) as archive:
            assert "dump.sql" in archive.namelist()
    finally:
        drop_database(DATABASE)
