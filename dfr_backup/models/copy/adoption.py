"""Copies from before there were backups get theirs."""

from .backup_backup import BEST_FIRST, FACTS

# what makes two copies one backup, see ``backup.backup._find``
SAME = (
    "{0}.{1}",
    "COALESCE({0}.database_uuid, '')",
    "COALESCE({0}.imported_by, '')",
    "COALESCE({0}.sha256, '')",
    "CASE WHEN COALESCE({0}.sha256, '') = '' THEN COALESCE({0}.size, 0) ELSE 0 END",
    "CASE WHEN COALESCE({0}.sha256, '') = ''"
    " THEN COALESCE({0}.date, '-infinity') ELSE '-infinity' END",
)
BACKUPS = """
    INSERT INTO backup_backup (name, {facts}, state, protected, plan_id,
                               create_uid, write_uid, create_date, write_date)
    SELECT DISTINCT ON ({same}) key, {facts}, state,
           bool_or(protected AND state != 'deleted') OVER (PARTITION BY {same}),
           max(plan_id) OVER (PARTITION BY {same}), 1, 1, now(), now()
      FROM backup_copy c
     WHERE backup_id IS NULL
     ORDER BY {same}, array_position(%s::varchar[], state), id
"""
COPIES = """
    UPDATE backup_copy c SET backup_id = b.id FROM backup_backup b
     WHERE c.backup_id IS NULL AND ({of_copy}) = ({of_backup})
"""


def adopt_copies(cr):
    """Give each copy without a backup its backup, with the facts of its best copy. It
    costs seconds for many thousands."""
    cr.execute("SELECT 1 FROM backup_copy WHERE backup_id IS NULL LIMIT 1")
    if not cr.fetchone():
        return
    of_copy = ", ".join(SAME).format("c", "key")
    of_backup = ", ".join(SAME).format("b", "name")
    # only names of columns stand in these statements; pylint: disable=sql-injection
    cr.execute(BACKUPS.format(facts=", ".join(FACTS), same=of_copy), [list(BEST_FIRST)])
    # without a knowledge of their sizes, PostgreSQL compares each with each
    cr.execute("ANALYZE backup_backup, backup_copy")
    cr.execute(COPIES.format(of_copy=of_copy, of_backup=of_backup))
