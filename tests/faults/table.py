"""The table fault × step → outcome, for people and as JSON."""

import json
from pathlib import Path


class Table:
    def __init__(self):
        self.rows = {}
        self.rounds = 0  # of what is random: faults, kills, days, races

    def add(self, test, fault, step, outcome):
        self.rows[test] = [fault, step, str(outcome)]

    def fail(self, test, excinfo):
        """Note a violation; the test may not have come as far as its outcome."""
        fault, step, _outcome = self.rows.get(test, [test.partition("::")[2], "", ""])
        why = excinfo.exconly().splitlines()[0][:200]
        self.rows[test] = [fault, step, f"VIOLATION: {why}"]

    @property
    def violations(self):
        return sum(
            outcome.startswith("VIOLATION") for *_x, outcome in self.rows.values()
        )

    def as_text(self):
        widths = [max(len(row[n]) for row in self.rows.values()) for n in (0, 1)]
        lines = [
            f"{fault:<{widths[0]}}  {step:<{widths[1]}}  {outcome}"
            for fault, step, outcome in self.rows.values()
        ]
        total = f"{len(lines)} cells, {self.rounds} random rounds, "
        total += f"{self.violations} violations"
        return "\n".join([*lines, total])

    def save(self, path):
        names = ("fault", "step", "outcome")
        cells = [dict(zip(names, row, strict=True)) for row in self.rows.values()]
        content = {"cells": cells, "rounds": self.rounds, "violations": self.violations}
        Path(path).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
