"""What the last backup of a plan has changed in size, and why."""

from odoo.tools import SQL

from ...engine.catalog.compare import compare_rows
from ...engine.manifest.model import table_name

MOST = 3  # reasons
LEAST = 64 << 10  # bytes of one: tables grow and shrink by their pages
QUERY = """
    SELECT id, data->'table_bytes', (data->'attachments'->>'bytes')::bigint
      FROM backup_job
     WHERE id IN %s AND jsonb_typeof(data->'table_bytes') = 'object'
"""
ATTACHMENTS = ""  # the files, beside the names of tables, which are not empty


def last_change(env, jobs):
    """Given runs, the newest first, return how the last good backup differs in size
    from the one before: the "difference" of what is stored in bytes, and the "reasons",
    as pairs of a name and the bytes that it has grown or shrunk in the database. False
    where two backups with the sizes of their tables are not there."""
    good = jobs.filtered(lambda job: job.state == "success" and job.archive_size)[:2]
    sizes = _sizes(env, good)
    if len(sizes) < 2:
        return False
    new, old = good
    difference = _stored(new) - _stored(old)
    changes = [
        change
        for change in compare_rows(sizes[old.id], sizes[new.id])
        if abs(change.difference) >= LEAST
        and (change.difference < 0) == (difference < 0)
    ]
    most = sorted(changes, key=lambda change: -abs(change.difference))[:MOST]
    names = _names(env, [change.name for change in most])
    reasons = [(names[change.name], change.difference) for change in most]
    return {"difference": difference, "reasons": reasons}


def _stored(job):
    return int(job.archive_size + job.packed_size)


def _sizes(env, jobs):
    """Return the bytes of each table, and of the attachments, by run."""
    if len(jobs) < 2:
        return {}
    env["backup.job"].flush_model(["data"])
    rows = env.execute_query(SQL(QUERY, tuple(jobs.ids)))
    return {
        number: {**tables, ATTACHMENTS: attachments or 0}
        for number, tables, attachments in rows
    }


def _names(env, tables):
    """Return what the records in these tables are called."""
    shown = {table: table_name(table) for table in tables}
    models = {model._table: name for name, model in env.registry.items() if model._auto}
    wanted = [models[name] for name in shown.values() if name in models]
    known = env["ir.model"].search_fetch([("model", "in", wanted)], ["model", "name"])
    in_words = {model.model: model.name for model in known}
    # Odoo's own name for it, "Attachment", would stand beside the files
    in_words["ir.attachment"] = env._("Attachment records")
    found = {
        table: in_words.get(models.get(name), name) for table, name in shown.items()
    }
    return {**found, ATTACHMENTS: env._("Attachments")}
