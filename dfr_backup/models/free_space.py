"""How much is free in a storage, as far as it tells."""


def columns_of_space(free, now):
    """Return the columns that say how many bytes were free at ``now``; None: it does
    not tell."""
    is_told = free is not None
    return {"free_space": free or 0, "space_at": is_told and now}
