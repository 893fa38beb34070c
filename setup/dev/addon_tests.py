#!/usr/bin/env python3
"""Odoo runs only those tests of an addon that its tests/__init__.py imports: name the
others."""

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "dfr_backup" / "tests"

imported = {
    alias.name
    for node in ast.walk(ast.parse((TESTS / "__init__.py").read_text()))
    if isinstance(node, ast.ImportFrom) and node.level == 1 and not node.module
    for alias in node.names
}
forgotten = {path.stem for path in TESTS.glob("test_*.py")} - imported
for name in sorted(forgotten):
    print(f"dfr_backup/tests/__init__.py does not import {name}: Odoo would not run it")
sys.exit(1 if forgotten else 0)
