"""What a copy is called: by the moment of its data and by its storage. The name of its
file is a column, and what a search finds."""

from ..moments import in_words


def name_of(copy):
    """Return the name of a copy, in the reader's language and time zone."""
    moment = in_words(copy.env, copy.date) or copy.key
    return ", ".join(filter(None, (moment, copy.storage_id.sudo().name)))
