"""The kinds and the states of runs and of their steps, and what they mean."""

from ..runs.registry import KINDS, STEPS

STEP_KINDS = [(key, step.name) for key, step in STEPS.items()]
STEP_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Succeeded"),
    ("warning", "Succeeded with warnings"),
    ("failure", "Failed"),
    ("skipped", "Skipped"),
]
JOB_KINDS = [(kind, run.label) for kind, run in KINDS.items()]
JOB_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Succeeded"),
    ("partial", "Partially succeeded"),
    ("failure", "Failed"),
    ("cancelled", "Cancelled"),
]
ENCRYPTIONS = [
    ("none", "Not encrypted"),
    ("recipients", "Public key (age)"),
    ("passphrase", "Passphrase (age)"),
]
OPEN_STATES = ("pending", "running")
BAD_STATES = ("failure", "partial")
GOOD_STATES = ("success", "warning")  # of a step
