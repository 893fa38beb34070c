"""Rows that only one transaction changes."""

from psycopg2.errors import SerializationFailure


def try_lock(records, **how):
    """Lock rows; tell whether they still are what this transaction sees.

    Somebody may have changed them, and let go of his own lock, after our snapshot was
    taken. ``how`` is what ``try_lock_for_update`` takes.
    """
    try:
        with records.env.cr.savepoint():
            return bool(records.try_lock_for_update(**how))
    except SerializationFailure:
        return False
