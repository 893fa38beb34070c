"""Arrows only downward: the engine knows no Odoo, the runs know no model."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ADDON = Path(__file__).resolve().parents[2] / "dfr_backup"
ENGINE = sorted((ADDON / "engine").rglob("*.py"))
RUNS = sorted((ADDON / "runs").rglob("*.py"))
IMPORT_ALL = """
import importlib, pkgutil, sys, types
package = types.ModuleType("dfr_backup")
package.__path__ = [sys.argv[1]]
sys.modules["dfr_backup"] = package
import dfr_backup.engine as engine
for module in pkgutil.walk_packages(engine.__path__, "dfr_backup.engine."):
    importlib.import_module(module.name)
    print(module.name)
sys.exit("odoo was imported" if "odoo" in sys.modules else 0)
"""


def imported(path):
    """Return the full names of all that a file of the addon imports, anywhere in it."""
    package = ["dfr_backup", *path.relative_to(ADDON).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*base, node.module] if node.module else base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def test_every_module_of_the_engine_is_imported_without_odoo():
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(ADDON)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    modules = list(pkgutil.walk_packages([str(ADDON / "engine")], "dfr_backup.engine."))
    assert result.stdout.split() == [module.name for module in modules]
    assert "dfr_backup.engine.archive.writer" in result.stdout.split()


@pytest.mark.parametrize(
    "path", ENGINE, ids=lambda path: path.relative_to(ADDON).as_posix()
)
def test_engine_imports_only_itself_and_libraries(path):
    for name in imported(path):
        assert name.split(".")[0] != "odoo"
        assert not name.startswith("dfr_backup.") or name.startswith(
            "dfr_backup.engine."
        )


@pytest.mark.parametrize(
    "path", RUNS, ids=lambda path: path.relative_to(ADDON).as_posix()
)
def test_runs_import_the_engine_and_no_model(path):
    for name in imported(path):
        assert name.split(".")[0] != "odoo"
        assert not name.startswith("dfr_backup.") or name.startswith(
            ("dfr_backup.engine.", "dfr_backup.runs.")
        )


def test_command_knows_the_console_alone():
    """Odoo loads this file by itself: import-linter does not see it."""
    names = [*imported(ADDON / "cli" / "backup.py")]
    ours = [name for name in names if "dfr_backup" in name]
    assert ours == ["odoo.addons.dfr_backup.console"]


# what other series of Odoo have not got, or in another form
OF_THIS_SERIES = {
    "NO_ACCESS", "Domain", "Manifest", "_commit_progress", "_notify_progress",
    "addons_base_dir", "addons_community_dir", "all_user_ids", "lock_for_update",
    "orm", "try_lock_for_update",
}  # fmt: skip
OUR_OWN = {"Manifest": "dfr_backup.engine.manifest.model.Manifest"}


def spoken_in(path):
    """Return each name, attribute, and part of an import of a file."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
    for name in imported(path):
        yield from name.split(".")


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(ADDON.rglob("*.py")) if p.parent.name != "tests"],
    ids=lambda path: path.relative_to(ADDON).as_posix(),
)
def test_calls_of_one_series_are_in_compat(path):
    if path.is_relative_to(ADDON / "migrations") or path in ENGINE or path in RUNS:
        return
    found = OF_THIS_SERIES.intersection(spoken_in(path))
    ours = {name for name, whole in OUR_OWN.items() if whole in imported(path)}
    ours |= {"NO_ACCESS"} & {n.split(".")[-1] for n in imported(path) if "compat" in n}
    if path.name == "compat.py":
        assert found >= {"NO_ACCESS", "all_user_ids", "try_lock_for_update"}
    else:
        assert found <= ours


PARSERS = {"json.loads", "json.load", "json.JSONDecoder"}
# ours, of this process; and rclone's, which is bounded where it is read
READS_JSON_ITSELF = {
    "engine/untrusted.py",
    "engine/manifest/write.py",
    "engine/sources/attachment_list.py",
    "engine/storages/rclone/process.py",
    "engine/storages/rclone/storage.py",
}


def test_json_from_elsewhere_is_read_in_one_place():
    found = {
        path.relative_to(ADDON).as_posix()
        for path in (*ENGINE, *RUNS, ADDON / "runner.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in PARSERS
    }
    assert found <= READS_JSON_ITSELF


MAKES_THREADS = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor"}


def test_threads_are_made_in_one_place():
    """Where errors reach the caller, and a cancel ends all."""
    found = {
        path.relative_to(ADDON).as_posix()
        for path in (*ENGINE, *RUNS)
        for node in ast.walk(ast.parse(path.read_text()))
        if names_of(node) & MAKES_THREADS
    }
    assert {Path(name).parent.as_posix() for name in found} == {"engine/concurrency"}


def names_of(node):
    if isinstance(node, ast.ImportFrom):
        return {alias.name for alias in node.names}
    return {node.attr} if isinstance(node, ast.Attribute) else set()
