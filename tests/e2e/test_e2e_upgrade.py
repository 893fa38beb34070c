"""A database of an earlier state upgrades, and shows its old runs."""

import json
import uuid
from pathlib import Path

import pytest
from conftest import DEV, REPO, Instance, copy_database, drop_database, install
from earlier import unpack_earlier

CRON = """
    SELECT active FROM ir_cron WHERE id = (
        SELECT res_id FROM ir_model_data WHERE name = 'ir_cron_supervise')
"""
LEFT = """
    SELECT key FROM ir_config_parameter WHERE key LIKE 'dfr!_backup.%%' ESCAPE '!'
    UNION ALL SELECT model_id FROM ir_filters WHERE model_id LIKE 'backup.%%'
    UNION ALL SELECT res_model FROM mail_activity WHERE res_model LIKE 'backup.%%'
    UNION ALL SELECT model FROM ir_model WHERE model LIKE 'backup.%%'
"""
TEXTS = "SELECT id, error, hint, log FROM backup_step ORDER BY id"


@pytest.fixture
def old_instance(tmp_path, plain_template):
    """A database that the earlier code has made, with a run whose dump failed."""
    earlier = unpack_earlier(REPO, DEV, tmp_path)
    name = f"dfr_e2e_{uuid.uuid4().hex[:10]}"
    instance = Instance(name, tmp_path)
    now = instance.options["addons_path"]
    instance.write_conf(addons_path=earlier(now))
    try:
        copy_database(plain_template, instance)
        # of several databases with one identity the upgrade takes the oldest
        own = "UPDATE ir_config_parameter SET value = %s WHERE key = 'database.uuid'"
        instance.sql(own, str(uuid.uuid4()))
        install(instance, "-i", "dfr_backup", "--load-language", "de_DE", "--no-http")
        instance.superuser("CREATE TABLE secret_table (id int)")
        instance.old_run = instance.backup()
        instance.superuser("DROP TABLE secret_table")
        instance.write_conf(addons_path=now)
        yield instance
    finally:
        drop_database(name)


def assert_not_silent(instance):
    """New code, old tables: who looks is told, and nothing fails again and again."""
    listed = instance.odoo("backup", "list", "-d", instance.database, "--json")
    assert json.loads(listed.stdout)["error_code"] == "IDENTITY-10"
    assert listed.returncode == 1
    instance.shell(
        "env.ref('base.user_admin').email = 'boss@example.com'\n"
        "env.cr.commit()\n"
        "env['backup.plan']._cron_supervise()\n"
        "page = env['backup.overview'].get_overview()\n"
        "assert page['verdict']['state'] == 'version', page\n"
        "assert env['mail.mail'].search([('email_to', 'like', 'boss@')])\n"
        "env.cr.commit()\n"
    )
    # as Odoo does it after calls that have failed for a week
    instance.sql(
        "UPDATE ir_cron SET active = FALSE, lastcall = now() + interval '1 minute' "
        "WHERE id = (SELECT res_id FROM ir_model_data WHERE name = 'ir_cron_supervise')"
    )


def assert_leaves_cleanly(instance):
    """Nothing of the addon stays in the database, and no backup goes."""
    copies = [Path(key) for (key,) in instance.sql("SELECT key FROM backup_copy")]
    instance.shell(
        "plan = env['backup.plan'].search([], limit=1)\n"
        "plan.activity_schedule('mail.mail_activity_data_todo')\n"
        "env['ir.filters'].create({'name': 'Mine', 'model_id': 'backup.copy'})\n"
        "env.cr.commit()\n"
        "addon = env['ir.module.module'].search([('name', '=', 'dfr_backup')])\n"
        "addon.button_immediate_uninstall()\n"
        "env.cr.commit()\n"
    )
    assert instance.sql(LEFT) == []
    ours = instance.data / "dfr_backup"
    kept = {path.name for path in ours.rglob("*.zip")}
    assert {copy.name for copy in copies} <= kept
    assert not list((ours / "log").iterdir())


@pytest.mark.release
def test_old_runs_keep_their_text_and_get_their_code(old_instance):
    run = old_instance.old_run
    assert run.states["dump_database"] == "failure"
    before = old_instance.sql(TEXTS)
    assert_not_silent(old_instance)

    install(old_instance, "-u", "dfr_backup", "--no-http")
    assert old_instance.sql(TEXTS) == before
    codes = old_instance.sql(
        "SELECT kind, error_code FROM backup_step WHERE error IS NOT NULL"
    )
    assert codes == [("dump_database", "DUMP-08")]
    assert old_instance.sql("SELECT error_code FROM backup_job") == [("DUMP-08",)]

    shown = old_instance.shell(
        "job = env['backup.job'].with_context(lang='de_DE').search([])\n"
        "(read,) = job.web_read({'error': {}, 'error_code': {}, 'step_ids': "
        "{'fields': {'error': {}, 'hint': {}, 'log': {}, 'display_name': {}}}})\n"
        "print('code', read['error_code'], bool(read['error']), "
        "len([s for s in read['step_ids'] if s['error'] and s['hint'] and s['log']]))\n"
    )
    assert "code DUMP-08 True 1" in shown

    assert old_instance.sql(CRON) == [(True,)]
    again = old_instance.backup()
    assert again.state == "success"
    # what is stored belongs to a backup since, which has its run
    lost = old_instance.sql(
        "SELECT c.key FROM backup_copy c LEFT JOIN backup_backup b"
        " ON b.id = c.backup_id AND b.sha256 = c.sha256 AND b.state = c.state"
        " AND b.job_id = c.job_id WHERE b.id IS NULL"
    )
    assert lost == []
    required = old_instance.sql(
        "SELECT is_nullable FROM information_schema.columns"
        " WHERE table_name = 'backup_copy' AND column_name = 'backup_id'"
    )
    assert required == [("NO",)]
    assert_leaves_cleanly(old_instance)
