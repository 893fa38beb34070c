"""Which copies count as a backup of their plan."""

from odoo.tools import SQL


def last_good_by_plan(copies, plans, latest):
    """As the method of ``backup.copy``, which is the model of ``copies``."""
    domain = [("plan_id", "in", plans.ids), *copies._countable()]
    query = copies.sudo()._search(domain)
    rows = copies.env.execute_query(
        SQL(
            "SELECT c.plan_id, max(coalesce(j.date_end, c.date)) "
            "FROM backup_copy c LEFT JOIN backup_job j ON j.id = c.job_id "
            "WHERE c.id IN %s AND coalesce(j.date_end, c.date) <= %s "
            "AND (j.id IS NULL OR j.state = 'success' OR j.kind != 'backup') "
            "GROUP BY c.plan_id",
            query.subselect(),
            latest,
        )
    )
    return dict(rows)
