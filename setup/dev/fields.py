#!/usr/bin/env python3
"""Write tests/engine/fields.txt: the version of the addon, and the columns that it has.

A database that was not upgraded lacks the newer ones, and only another version lets the
code say so (backup.version). So when columns change, the version is raised: once after
each release, and this file is written again. ``--check`` only compares.
"""

import ast
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ADDON = REPO / "dfr_backup"
KNOWN = REPO / "tests/engine/fields.txt"
NO_COLUMN = {"One2many", "Constraint", "Index", "UniqueIndex"}
ADVICE = (
    "stored fields or the version have changed. Raise the version in "
    "dfr_backup/__manifest__.py if a release has it; then run setup/dev/fields.py, "
    "and commit tests/engine/fields.txt"
)


def columns_in(text: str) -> set[str]:
    """Return the stored fields that a source file declares: "backup.job.kind
    Selection"."""
    return {
        f"{_model(node)}.{part.targets[0].id} {_type(part.value)}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef)
        for part in node.body
        if isinstance(part, ast.Assign) and _is_stored(part.value)
    }


def _model(node: ast.ClassDef) -> str:
    values = {
        part.targets[0].id: ast.literal_eval(part.value)
        for part in node.body
        if isinstance(part, ast.Assign) and part.targets[0].id in ("_name", "_inherit")
    }
    name = values.get("_name") or values.get("_inherit") or node.name
    return name if isinstance(name, str) else name[0]


def _type(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_stored(value: ast.expr) -> bool:
    """Tell whether a value is a field that has a column. A type of ours begins with a
    capital letter, as Odoo's do."""
    if not isinstance(value, ast.Call) or not _type(value)[:1].isupper():
        return False
    words = {one.arg: one.value for one in value.keywords}
    is_derived = "compute" in words or "related" in words
    store = ast.unparse(words["store"]) if "store" in words else str(not is_derived)
    return store == "True" and _type(value) not in NO_COLUMN


def present() -> str:
    """Return what the file has to say."""
    version = ast.literal_eval((ADDON / "__manifest__.py").read_text())["version"]
    sources = [
        path
        for part in ("models", "wizards")
        for path in sorted((ADDON / part).rglob("*.py"))
    ]
    found = {one for path in sources for one in columns_in(path.read_text())}
    return "\n".join([version, *sorted(found), ""])


def _is_released(version: str) -> bool:
    ask = ["git", "-C", str(REPO), "rev-parse", "-q", "--verify"]
    asked = subprocess.run([*ask, f"refs/tags/{version}"], capture_output=True)
    return asked.returncode == 0


def main() -> int:
    wanted = present()
    if KNOWN.exists() and KNOWN.read_text() == wanted:
        return 0
    version = wanted.partition("\n")[0]
    if "--check" in sys.argv or _is_released(version):
        print(f"{KNOWN.relative_to(REPO)}: {ADVICE}")
        return 1
    KNOWN.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
