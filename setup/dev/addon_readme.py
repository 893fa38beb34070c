#!/usr/bin/env python3
"""Write dfr_backup/README.rst, the page of the addon in package indexes, from its
fragments.

The fragments are those of OCA's addons, in dfr_backup/readme: Markdown with headings,
lists, code, emphasis and tables. There is nothing on the page that is not in a fragment
or in the manifest.
"""

import ast
import re
from itertools import groupby
from pathlib import Path

ADDON = Path(__file__).resolve().parents[2] / "dfr_backup"
SECTIONS = [
    ("", "DESCRIPTION"),
    ("Installation", "INSTALL"),
    ("Configuration", "CONFIGURE"),
    ("Usage", "USAGE"),
    ("Monitoring", "MONITORING"),
    ("Known issues", "ROADMAP"),
    ("Changelog", "HISTORY"),
    ("Contributors", "CONTRIBUTORS"),
]
NOTE = ".. Made from readme/ by setup/dev/addon_readme.py: do not edit."


def page():
    """Return the page."""
    manifest = ast.literal_eval((ADDON / "__manifest__.py").read_text())
    name = manifest["name"]
    parts = [
        "=" * len(name),
        name,
        "=" * len(name),
        "",
        NOTE,
        "",
        f"**{manifest['summary']}**",
        "",
    ]
    for title, fragment in SECTIONS:
        path = ADDON / "readme" / f"{fragment}.md"
        if path.exists():
            parts += (
                [*_heading(title, "="), converted(path.read_text())] if title else []
            )
            parts += [] if title else [converted(path.read_text())]
    parts += [
        *_heading("Licence", "="),
        f"{manifest['license']}, see LICENSE in the repository.",
    ]
    return "\n".join(parts).rstrip() + "\n"


def converted(text):
    """Return Markdown as reStructuredText."""
    lines = []
    for kind, group in groupby(text.strip().splitlines(), _kind):
        block = list(group)
        if kind == "code":
            lines += [*_opened(lines), *block, ""]
        elif kind == "table":
            lines += _table(block)
        else:
            lines += [part for line in block for part in _line(line)]
    return "\n".join([*lines, ""])


def _kind(line):
    return (
        "table"
        if line.startswith("|")
        else "code"
        if line.startswith("    ")
        else "text"
    )


def _opened(lines):
    """Let the text before it announce a block of code."""
    while lines and not lines[-1]:
        lines.pop()
    return ["", "::", ""]


def _line(line):
    if match := re.match(r"(#+) (.*)", line):
        return _heading(match[2], "-" if len(match[1]) < 3 else "~")
    return [_inline(line)]


def _heading(title, mark):
    return [title, mark * len(title), ""]


def _inline(text):
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", r"`\1 <\2>`__", text)
    return re.sub(r"(?<![`_])`([^`<]+)`(?![`_])", r"``\1``", text)


def _table(rows):
    cells = [
        re.split(r"(?<!\\)\|", row.strip().strip("|"))
        for row in rows
        if "---" not in row
    ]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in cells:
        for number, cell in enumerate(row):
            text = _inline(cell.strip().replace("\\|", "|"))
            lines.append(f"   {'  ' if number else '* '}- {text}")
    return [*lines, ""]


if __name__ == "__main__":
    (ADDON / "README.rst").write_text(page())
