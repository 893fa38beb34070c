"""What people are told about the packs that an incremental backup needs."""

from .states import PRESENT_STATES


def packs_in_words(copy):
    """Return how many there are, and whether they are there; "" for a complete zip."""
    if not copy.incremental:
        return ""
    if copy.state in PRESENT_STATES:
        return copy.env._("%s, all there", copy.packs)
    if copy.state == "damaged":
        return copy.env._("%s, some missing or damaged", copy.packs)
    return str(copy.packs)
