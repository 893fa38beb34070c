"""Let the scheduled action sleep for an hour, where nobody has changed its interval: it
wakes up by itself for what is due before."""

SLEEP = """
    UPDATE ir_cron SET interval_number = 1, interval_type = 'hours'
     WHERE interval_number = 10 AND interval_type = 'minutes'
       AND id = (SELECT res_id FROM ir_model_data
                  WHERE module = 'dfr_backup' AND name = 'ir_cron_supervise')
"""


def migrate(cr, version):
    if version:
        cr.execute(SLEEP)
