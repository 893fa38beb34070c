"""Switch the scheduled action on again that Odoo has switched off: until this upgrade
its calls failed. Odoo does it in SQL, after a call; whoever does it in a form leaves a
later date of change."""

SWITCH_ON = """
    UPDATE ir_cron
       SET active = TRUE, nextcall = now() AT TIME ZONE 'UTC', failure_count = 0,
           first_failure_date = NULL
     WHERE NOT active AND lastcall > write_date
       AND id = (SELECT res_id FROM ir_model_data
                  WHERE module = 'dfr_backup' AND name = 'ir_cron_supervise')
"""


def migrate(cr, version):
    if version:
        cr.execute(SWITCH_ON)
