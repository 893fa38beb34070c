#!/usr/bin/env python3
"""Write the tables of docs/security.rst that say who may do what, from
dfr_backup/tests/rights.py, which the tests hold the addon to."""

import importlib.util
from itertools import groupby
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs/security.rst"
TABLE = REPO / "dfr_backup/tests/rights.py"
BEGIN = ".. rights: made by setup/dev/rights_page.py, do not edit\n"
END = ".. rights: end\n"
ASKS = {
    "password": "password",
    "opened": "password, for this form",
    "token": "its token",
    "in the way": "one that is in the way",
}


def rights():
    """Return the module of the table."""
    spec = importlib.util.spec_from_file_location("rights", TABLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page():
    """Return the text of the page with its tables."""
    before, _begin, rest = PAGE.read_text().partition(BEGIN)
    _old, _end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{tables(rights())}\n{END}{after}"


def tables(table):
    parts = [
        _table(["who", *table.ACTS], _people(table), "Who may do what"),
        _table(["record", "read", "write", "create", "delete"], _records(table), None),
        _table(["least role", "asks for", "method or address"], _methods(table), None),
    ]
    return "\n".join(parts)


def _people(table):
    roles = [*table.ROLES]
    for role, label in table.ROLES.items():
        yield [label, *(_outcome(act, role, roles) for act in table.ACTS.values())]
    for who, (outcomes, _test) in table.OUTSIDE.items():
        yield [who, *outcomes]


def _outcome(act, role, roles):
    least, asks = (act, "") if isinstance(act, str) else act or (None, "")
    if least is None or roles.index(role) < roles.index(least):
        return "no"
    return ASKS.get(asks, "yes")


def _records(table):
    for model, least in table.RECORDS.items():
        yield [f"``{model}``", *(table.ROLES.get(role, "nobody") for role in least)]


def _methods(table):
    everything = {**table.METHODS, **table.ADDRESSES}

    def order(name):
        right = everything[name]
        return [*table.ROLES].index(right.role), right.asks

    for _key, names in groupby(sorted(everything, key=order), order):
        found = [*names]
        right = everything[found[0]]
        listed = ", ".join(f"``{name}``" for name in found)
        yield [table.ROLES[right.role], ASKS.get(right.asks, "nothing"), listed]


def _table(head, rows, title):
    lines = [f".. list-table:: {title}" if title else ".. list-table::"]
    lines += ["   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if not n else ' '} - {cell}" for n, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
