"""Attachments of an archive without an index, looked for by what this database has."""

from odoo.tools import SQL

from ..engine.archive.attachment_index import AttachmentQuery, IndexedAttachment
from ..engine.catalog.browse import files

MOST_LIVE = (
    100_000  # attachments of today's database that an older archive is searched for
)


def search_by_file(env, reader, wanted, most):
    """Return the first files that fit and the number of all. What they are
    called is what the database of today calls files with the same content."""
    everything = wanted == AttachmentQuery()
    known = {} if everything else _live_attachments(env, wanted)
    text = "" if wanted.model or wanted.record else wanted.text
    found, total = [], 0
    for store_fname, entry in files(reader):
        if everything or store_fname in known or (text and text in store_fname):
            total += 1
            if len(found) < most:
                found.append((store_fname, entry.size))
    if everything:
        known = _live_attachments(
            env, wanted, [store_fname for store_fname, _size in found]
        )
    hits = [
        known.get(name) or IndexedAttachment(0, "", "", "", 0, name, size, "")
        for name, size in found
    ]
    return hits, total


def _live_attachments(env, wanted, names=None):
    """Return attachments of this database by ``store_fname``; those of ``names``
    if given."""
    conditions = [SQL("store_fname IS NOT NULL")]
    if names is not None:
        conditions.append(SQL("store_fname = ANY(%s)", names))
    if wanted.text:
        conditions.append(SQL("name ILIKE %s", f"%{_escaped(wanted.text)}%"))
    if wanted.model:
        conditions.append(SQL("res_model = %s", wanted.model))
    if wanted.record:
        conditions.append(SQL("res_id = %s", wanted.record))
    rows = env.execute_query(
        SQL(
            "SELECT id, coalesce(name, ''), coalesce(res_model, ''), "
            "coalesce(res_field, ''), coalesce(res_id, 0), store_fname, "
            "coalesce(file_size, 0), coalesce(mimetype, '') FROM ir_attachment "
            "WHERE %s ORDER BY id LIMIT %s",
            SQL(" AND ").join(conditions),
            MOST_LIVE,
        )
    )
    return {row[5]: IndexedAttachment(*row) for row in rows}


def _escaped(text):
    """Return a text in which LIKE takes every character for itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
