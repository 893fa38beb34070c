"""Show on the overview no run of no plan that had ended before it showed them."""


def migrate(cr, version):
    if version:
        cr.execute(
            "UPDATE backup_job SET dismissed = true"
            " WHERE plan_id IS NULL AND state IN ('failure', 'partial')"
        )
