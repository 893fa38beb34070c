"""The states of staging copies, and what they mean."""

from datetime import timedelta

STATES = [
    ("making", "Being made"),
    ("ready", "Available"),
    ("changed", "Left alone"),
    ("gone", "Not found"),
    ("failed", "Failed"),
    ("deleted", "Deleted"),
]
# before a copy is deleted by itself its owner is told, and has at least the grace
ANNOUNCED_BEFORE, GRACE = timedelta(days=3), timedelta(days=1)
LONGEST_DAYS = 3650
