"""Rows that only one transaction changes."""

from psycopg2.errors import SerializationFailure

from ..compat import lock_free


def try_lock(records, **how):
    """Lock rows; tell whether they still are what this transaction sees.

    Somebody may have changed them, and let go of his own lock, after our snapshot was
    taken. ``how`` is what ``lock_free`` takes.
    """
    try:
        with records.env.cr.savepoint():
            return bool(lock_free(records, **how))
    except SerializationFailure:
        return False
