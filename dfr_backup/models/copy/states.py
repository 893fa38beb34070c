"""What the states of a copy mean, and what the catalogue notes in which way."""

from datetime import timedelta

PRESENT_STATES = ("stored", "verified")
# what the catalogue notes of the manifest itself, which a verification compares
MANIFEST_FACTS = ("manifest_size", "manifest_sha256")
CLOCK_TOLERANCE = timedelta(days=1)
