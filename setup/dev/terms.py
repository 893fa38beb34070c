"""Write dfr_backup/models/engine_terms.py: the texts that engine and flows make, as
terms.

Odoo exports what stands in a call of ``_``. The engine does not know Odoo, and its
f-strings are no terms; this reads them from the source, so that nobody has to keep a
second list of them.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ADDON = Path(__file__).parents[2] / "dfr_backup"
TARGET = ADDON / "models" / "engine_terms.py"
CODES = (
    ADDON / "engine" / "errortable.py"
)  # errors that the source has already, with their gaps
HEAD = '''"""The texts that engine and flows make. Made by setup/dev/terms.py: do not edit."""
# pylint: disable=prefer-env-translation


def _(term):
    """Mark a term for the export."""
    return term


TERMS = (
'''
WORDY = re.compile(r"[A-Za-z’',:;.?)}”] [A-Za-z(“{]")
NO_TEXT = re.compile(
    r"^\W*(SELECT|WITH|CREATE|ALTER|UPDATE|DROP|DELETE|INSERT|SHOW|COPY|REVOKE|SET|REPEATABLE"
    r"|ANALYZE)\b"
    r"|PRIVATE KEY|PUBLIC KEY|\\[sdwS]|\(\?|\||%[Ymd]|^[a-z]+ [a-z]+=|^# "
    r"(HELP|TYPE)|^text/|^/"
    r"|^GRANT \w+ ON SCHEMA|^\(FORMAT |^dfr_backup \w+$|^attachment; |^bytes \{"
    r"|^Failing row contains$|^[A-Z]\w*( [A-Z]\w*)+$"  # the names of providers
)
# values of texts that are one word, and look like any other string
WORDS = ("damaged", "missing", "password", "unknown", "unnamed", "unreadable")
LETTERS = 4  # a term with fewer of them outside of its values is no text
PLACE = re.compile(r"\{([a-z_]+)\}")
PROGRAM_FAULTS = {
    "ValueError",
    "TypeError",
    "RuntimeError",
    "AssertionError",
    "KeyError",
}
SAYING = re.compile(
    r"^(warn|log|_note\w*|\w*Error)$"
)  # calls of models that keep a text


def main() -> int:
    text = render()
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


def render() -> str:
    """Return the content of the module with all terms."""
    lines, seen = [HEAD], set(WORDS)
    lines += [f"    _({_literal(word)}),\n" for word in WORDS]
    for path in _sources():
        terms = [term for term in terms_of(path) if term not in seen]
        seen.update(terms)
        if terms:
            lines.append(f"    # {path.relative_to(ADDON)}\n")
            lines += [f"    _({_literal(term)}),\n" for term in dict.fromkeys(terms)]
    return "".join([*lines, ")\n"])


def terms_of(path: Path) -> Iterator[str]:
    """Yield the terms of one source file, in their order. Those of several lines
    come by line."""
    tree = ast.parse(path.read_text())
    found: list[tuple[int, int, str]] = []
    roots = _said_in(tree) if path.parent.name == "models" else [tree]
    for root in roots:
        found += _texts(root, _silent(tree))
    for _line, _column, text in sorted(found):
        for term in text.split("\n"):
            if _is_text(term.strip()):
                yield term.strip()


def _sources() -> Iterator[Path]:
    for pattern in ("engine/**/*.py", "flows/*.py", "models/*.py"):
        yield from sorted(
            path for path in ADDON.glob(pattern) if path not in (TARGET, CODES)
        )


def _said_in(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what is given to the calls that keep a text, in a module that knows
    Odoo."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and SAYING.match(_name(node.func)):
            yield from node.args
            yield from (keyword.value for keyword in node.keywords)


def _silent(tree: ast.AST) -> set[int]:
    """Return the ids of the nodes that nobody reads: docstrings, faults of the
    program, terms."""
    silent: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(id(node.value))
        if isinstance(node, ast.Compare):
            silent.update(id(inner) for inner in ast.walk(node))
        if isinstance(node, ast.Call) and (
            _name(node.func) in PROGRAM_FAULTS
            or _name(node.func)
            in {"_", "compile", "search", "match", "checkpoint", "execute"}
            or _name(getattr(node.func, "value", None)) == "_logger"
        ):
            silent.update(id(inner) for inner in ast.walk(node))
    return silent


def _texts(root: ast.AST, silent: set[int]) -> Iterator[tuple[int, int, str]]:
    """Yield line, column and text of each literal below ``root`` that is not
    ``silent``."""
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            if not NO_TEXT.search(_shown(_template(node))):
                yield node.lineno, node.col_offset, _template(node)
            todo += [
                part.value
                for part in node.values
                if isinstance(part, ast.FormattedValue)
            ]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not NO_TEXT.search(node.value):
                text = PLACE.sub(r"%(\1)s", node.value.replace("%", "%%"))
                yield node.lineno, node.col_offset, text
        else:
            todo += ast.iter_child_nodes(node)


def _template(node: ast.JoinedStr) -> str:
    """Return an f-string as a term: each value by the name of what it shows."""
    parts, names = [], set()
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(part.value.replace("%", "%%"))
            continue
        name = base = _value_name(part.value)
        number = 2
        while name in names:
            name, number = f"{base}_{number}", number + 1
        names.add(name)
        parts.append(f"%({name})s")
    return "".join(parts)


def _value_name(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and node.args:
        name = _value_name(node.args[0])
        return f"{name}_count" if _name(node.func) == "len" else name
    if isinstance(node, ast.Call):
        return _value_name(node.func)
    for attribute in ("value", "left", "operand"):
        if isinstance(node, ast.Subscript | ast.BinOp | ast.UnaryOp) and hasattr(
            node, attribute
        ):
            return _value_name(getattr(node, attribute))
    if isinstance(node, ast.BoolOp):
        return _value_name(node.values[0])
    if isinstance(node, ast.IfExp):
        return _value_name(node.body)
    return _name(node).strip("_").lower() or "value"


def _name(node: ast.AST | None) -> str:
    return getattr(node, "attr", None) or getattr(node, "id", None) or ""


def _is_text(term: str) -> bool:
    literal = re.sub(r"%\(\w+\)s", "", term)
    letters = sum(character.isalpha() for character in literal)
    return letters >= LETTERS and bool(WORDY.search(_shown(term)))


def _shown(term: str) -> str:
    return re.sub(r"%\(\w+\)s", "{x}", term)


def _literal(term: str) -> str:
    quote = "'" if '"' in term and "'" not in term else '"'
    return quote + term.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


if __name__ == "__main__":
    sys.exit(main())
