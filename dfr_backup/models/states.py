"""The kinds and the states of runs and of their steps, and what they mean."""

from ..runs.registry import KINDS, STEPS

STEP_KINDS = [(key, step.name) for key, step in STEPS.items()]
STEP_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Success"),
    ("warning", "Warning"),
    ("failure", "Failure"),
    ("skipped", "Skipped"),
]
JOB_KINDS = [(kind, run.label) for kind, run in KINDS.items()]
JOB_STATES = [
    ("pending", "Waiting"),
    ("running", "Running"),
    ("success", "Success"),
    ("partial", "Partial"),
    ("failure", "Failure"),
    ("cancelled", "Cancelled"),
]
ENCRYPTIONS = [
    ("none", "Not encrypted"),
    ("recipients", "For public keys (age)"),
    ("passphrase", "By a passphrase (age)"),
]
OPEN_STATES = ("pending", "running")
BAD_STATES = ("failure", "partial")
GOOD_STATES = ("success", "warning")  # of a step
