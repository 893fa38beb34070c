"""What incremental backups of this database would save, in its own numbers."""

from ..engine_messages import size_in_words
from .incremental import obstacle_of

MUCH = 2 << 30  # bytes of attachments from which on sharing them pays anywhere
SOME = 100 << 20  # bytes, when they travel each time
DAYS = 30
ATTACHMENTS = """
    SELECT coalesce(sum(size), 0), coalesce(sum(size) FILTER (WHERE is_new), 0)
      FROM (SELECT max(file_size)::bigint AS size,
                   min(create_date) > now() AT TIME ZONE 'UTC' - %s * interval '1 day'
                       AS is_new
              FROM ir_attachment WHERE store_fname IS NOT NULL
          GROUP BY store_fname) AS files
"""


def savings_in_words(plan):
    """Return what would be stored in a night, and instead of what; "" where complete
    zips are the better choice."""
    if obstacle_of(plan):
        return ""
    whole, new = _attachments(plan.env)
    is_local = plan.storage_ids[:1].provider == "local"
    if whole < (MUCH if is_local else SOME):
        return ""
    return plan.env._(
        "Each night, about %(new)s of attachments would be stored instead of "
        "%(whole)s, as in the last %(days)s days.",
        new=size_in_words(plan.env, new // DAYS),
        whole=size_in_words(plan.env, whole),
        days=DAYS,
    )


def _attachments(env):
    """Return the bytes of all attachment files, and of those of the last days."""
    env["ir.attachment"].flush_model(["file_size", "store_fname", "create_date"])
    env.cr.execute(ATTACHMENTS, [DAYS])
    return tuple(map(int, env.cr.fetchone()))
