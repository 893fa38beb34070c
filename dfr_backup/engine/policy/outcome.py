"""From the states of the steps to the state of the job: the status table of
docs/runs.rst."""

from collections.abc import Iterable
from dataclasses import dataclass

GOOD = ("success", "warning")


@dataclass(frozen=True)
class StepOutcome:
    """How one step ended. ``storage`` tells the upload and verify steps apart."""

    kind: str
    state: str
    storage: str = ""


def overall_state(steps: Iterable[StepOutcome]) -> str:
    """Given every step of a finished backup, return "success", "partial" or "failure".

    A step of a part that the plan leaves out is not in ``steps``. Cleanup and warnings
    never change the state: they are shown beside it.
    """
    steps = list(steps)
    sources = [s for s in steps if s.kind in ("dump_database", "archive_files")]
    sources_ok = [s for s in sources if s.state in GOOD]
    finalized = any(s.kind == "compress" and s.state in GOOD for s in steps)
    copies = [s for s in steps if s.kind == "verify"]
    verified = [s for s in copies if s.state in GOOD]
    if not (sources_ok and finalized and verified):
        return "failure"
    complete = len(sources_ok) == len(sources) and len(verified) == len(copies)
    return "success" if complete else "partial"


def checked_state(steps: Iterable[StepOutcome]) -> str:
    """Given every step of a run that looks at things, one step each, return
    "success" when all are good, "failure" when none is, else "partial"."""
    good = [step.state in GOOD for step in steps]
    if not any(good):
        return "failure"
    return "success" if all(good) else "partial"


def whole_state(steps: Iterable[StepOutcome]) -> str:
    """Given every step of a run that is of use only as a whole, return "success" or
    "failure"."""
    good = [step.state in GOOD for step in steps]
    return "success" if good and all(good) else "failure"
