"""Every checkpoint that the source has, by its name."""

import ast
import re
from pathlib import Path

ADDON = Path(__file__).resolve().parents[2] / "dfr_backup"


def checkpoints():
    """Return the names; those of steps once for each kind of step."""
    names = set()
    for path in ADDON.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "checkpoint"
            ):
                names |= _names(node.args[0])
    return names


def _names(argument):
    if isinstance(argument, ast.Constant):
        return {argument.value}
    text = ast.unparse(argument)
    before, after = re.fullmatch(r"f'([\w.]+)\{step\.kind\}([\w.]+)'", text).groups()
    return {f"{before}{kind}{after}" for kind in _step_kinds()}


def _step_kinds():
    return {
        node.args[0].value
        for node in ast.walk(ast.parse((ADDON / "runs/steps.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Step"
    }
