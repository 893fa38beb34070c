"""Who may do what: the one table.

``test_rights`` holds the addon to it, by RPC and HTTP, and ``docs/security.rst`` is
written from it (``make docs``). Plain Python: it is read without Odoo, too.
"""

from typing import NamedTuple

# from the least to the most: who is further on may do all that those before may
ROLES = {
    "public": "No login",
    "portal": "Portal user",
    "employee": "Employee",
    "viewer": "Backup / Viewer",
    "manager": "Backup / Manager",
    "system": "Settings",
}


class Right(NamedTuple):
    """The least role that may do it, and what is asked of that one: "" nothing,
    "password" the password within ten minutes, "opened" that this form was opened
    with the password in this session; "in the way": only where a storage, a restore or
    its own identity meets what is another's (PLACE-01, RESTORE-19, IDENTITY-04 and
    -08)."""

    role: str
    asks: str = ""


VIEWER, MANAGER, SYSTEM = Right("viewer"), Right("manager"), Right("system")
PASSWORD = Right("manager", "password")
OPENED = Right("manager", "opened")
# Odoo asks every model for it; those who may not read its records learn nothing by it
HELP = Right("portal")

METHODS = {
    "backup.audit.action_confirm_password": Right("portal", "password"),
    "backup.audit.get_empty_list_help": HELP,
    "backup.backup.action_ask_delete": MANAGER,
    "backup.backup.action_browse": PASSWORD,
    "backup.backup.action_download": PASSWORD,
    "backup.backup.action_download_complete": PASSWORD,
    "backup.backup.action_drill": MANAGER,
    "backup.backup.action_protect": MANAGER,
    "backup.backup.action_restore": MANAGER,
    "backup.backup.action_staging": MANAGER,
    "backup.backup.action_unprotect": PASSWORD,
    "backup.backup.action_verify": MANAGER,
    "backup.backup.get_empty_list_help": HELP,
    "backup.browse.action_search": OPENED,
    "backup.browse.action_view_tables": MANAGER,
    "backup.browse.file.action_download": PASSWORD,
    "backup.compare.action_compare": OPENED,
    "backup.confirm.wizard.action_confirm": PASSWORD,
    "backup.copy.action_ask_delete": MANAGER,
    "backup.copy.action_browse": PASSWORD,
    "backup.copy.action_compare": PASSWORD,
    "backup.copy.action_delete": PASSWORD,
    "backup.copy.action_distrust": Right("system", "password"),
    "backup.copy.action_download": PASSWORD,
    "backup.copy.action_download_complete": PASSWORD,
    "backup.copy.action_drill": MANAGER,
    "backup.copy.action_import": PASSWORD,
    "backup.copy.action_protect": MANAGER,
    "backup.copy.action_restore": MANAGER,
    "backup.copy.action_staging": MANAGER,
    "backup.copy.action_trust": Right("system", "password"),
    "backup.copy.action_unprotect": PASSWORD,
    "backup.copy.action_verify": MANAGER,
    "backup.copy.get_empty_list_help": HELP,
    "backup.filestore.issue.action_open_record": MANAGER,
    "backup.filestore.issue.action_repair": MANAGER,
    "backup.filestore.issue.action_repair_all": MANAGER,
    "backup.filestore.issue.get_empty_list_help": HELP,
    "backup.import.wizard.action_import": OPENED,
    "backup.import.wizard.finish_upload": OPENED,
    "backup.import.wizard.start_upload": OPENED,
    "backup.job.action_cancel": MANAGER,
    "backup.job.action_give_up_lost": PASSWORD,
    "backup.job.action_go_on": SYSTEM,
    "backup.job.action_open_storage": VIEWER,
    "backup.job.action_restore_imported": MANAGER,
    "backup.job.action_retry": MANAGER,
    "backup.job.action_run_now": MANAGER,
    "backup.job.get_empty_list_help": HELP,
    "backup.key.wizard.action_use": MANAGER,
    "backup.monitor.token.action_done": SYSTEM,
    "backup.overview.dismiss_advice": MANAGER,
    "backup.overview.dismiss_run": MANAGER,
    "backup.overview.get_overview": VIEWER,
    "backup.overview.get_status": VIEWER,
    "backup.overview.restore_advice": MANAGER,
    "backup.overview.switch_scheduler_on": MANAGER,
    "backup.plan.action_drill": MANAGER,
    "backup.plan.action_end_snooze": MANAGER,
    "backup.plan.action_recovery_kit": VIEWER,
    "backup.plan.action_resume": MANAGER,
    "backup.plan.action_run_now": MANAGER,
    "backup.plan.action_skip_next": MANAGER,
    "backup.plan.action_staging": MANAGER,
    "backup.plan.action_test_chat": MANAGER,
    "backup.plan.action_test_mail": MANAGER,
    "backup.plan.action_view_backups": VIEWER,
    "backup.plan.action_view_changes": MANAGER,
    "backup.plan.action_view_jobs": VIEWER,
    "backup.plan.action_view_storages": VIEWER,
    "backup.plan.get_empty_list_help": HELP,
    "backup.prune.wizard.action_give_up_lost": PASSWORD,
    "backup.prune.wizard.action_prune": MANAGER,
    "backup.repair.wizard.action_repair": PASSWORD,
    "backup.restore.wizard.action_make": PASSWORD,
    "backup.restore.wizard.action_restore": PASSWORD,
    "backup.restore.wizard.action_use_whole": MANAGER,
    "backup.server.action_check": SYSTEM,
    "backup.server.action_view_changes": SYSTEM,
    "backup.server.get_empty_list_help": HELP,
    "backup.setup.action_back": MANAGER,
    "backup.setup.action_finish": MANAGER,
    "backup.setup.action_generate_key": MANAGER,
    "backup.setup.action_next": MANAGER,
    "backup.setup.action_open": MANAGER,
    "backup.setup.action_recovery_kit": MANAGER,
    "backup.setup.action_start": MANAGER,
    "backup.setup.action_test_mail": MANAGER,
    "backup.staging.action_ask_delete": MANAGER,
    "backup.staging.action_delete": PASSWORD,
    "backup.staging.action_forget": MANAGER,
    "backup.staging.action_look": MANAGER,
    "backup.staging.action_open": VIEWER,
    "backup.staging.action_refresh": MANAGER,
    "backup.staging.action_view_changes": MANAGER,
    "backup.staging.get_empty_list_help": HELP,
    "backup.staging.wizard.action_make": PASSWORD,
    "backup.staging.wizard.action_restore": PASSWORD,
    "backup.staging.wizard.action_use_whole": MANAGER,
    "backup.storage.action_ask_prune": MANAGER,
    "backup.storage.action_fetch_host_key": MANAGER,
    "backup.storage.action_give_up_lost": PASSWORD,
    "backup.storage.action_say_original": Right("system", "password"),
    "backup.storage.action_prune": MANAGER,
    "backup.storage.action_rewrite": MANAGER,
    "backup.storage.action_scan": MANAGER,
    "backup.storage.action_take_over": PASSWORD,
    "backup.storage.action_test": MANAGER,
    "backup.storage.action_trust_host_key": MANAGER,
    "backup.storage.action_use_in_setup": MANAGER,
    "backup.storage.action_use_location": PASSWORD,
    "backup.storage.action_view_changes": MANAGER,
    "backup.storage.action_view_copies": VIEWER,
    "backup.storage.copy_data": VIEWER,
    "backup.storage.get_empty_list_help": HELP,
    "backup.storage.kind.action_choose": MANAGER,
    "ir.http.session_info": Right("portal"),
    "ir.module.module.button_immediate_uninstall": SYSTEM,
    "ir.module.module.button_immediate_upgrade": SYSTEM,
    "res.config.settings.action_dfr_backup_monitor_off": Right("system", "password"),
    "res.config.settings.action_dfr_backup_monitor_on": Right("system", "password"),
}

# read, write, create, delete; None: nobody, also by RPC
RECORDS = {
    "backup.audit": ("manager", None, None, None),
    "backup.backup": ("viewer", None, None, None),
    "backup.browse": ("manager", "manager", None, None),
    "backup.browse.addon": ("manager", None, None, None),
    "backup.browse.file": ("manager", None, None, None),
    "backup.browse.table": ("manager", None, None, None),
    "backup.compare": ("manager", "manager", None, None),
    "backup.compare.line": ("manager", None, None, None),
    "backup.confirm.wizard": ("manager", "manager", "manager", None),
    "backup.copy": ("viewer", None, None, None),
    "backup.filestore.issue": ("viewer", None, None, None),
    "backup.import.wizard": ("manager", "manager", "manager", None),
    "backup.job": ("viewer", None, None, "manager"),
    "backup.key.wizard": ("manager", "manager", "manager", None),
    "backup.monitor.token": ("system", "system", "system", None),
    "backup.plan": ("viewer", "manager", "manager", "manager"),
    "backup.prune.wizard": ("manager", "manager", "manager", None),
    "backup.repair.wizard": ("manager", "manager", "manager", None),
    "backup.restore.wizard": ("manager", "manager", "manager", None),
    "backup.server": ("system", "system", "system", "system"),
    "backup.setup": ("manager", "manager", "manager", None),
    "backup.staging": ("viewer", "manager", None, None),
    "backup.staging.wizard": ("manager", "manager", "manager", None),
    "backup.step": ("viewer", None, None, None),
    "backup.storage": ("viewer", "manager", "manager", "manager"),
    "backup.storage.kind": ("manager", None, None, None),
    "backup.trust": ("viewer", None, None, None),
}

# with the token that each of them takes; without it nobody gets anything
ADDRESSES = {
    "/dfr_backup/attachment": Right("manager", "token"),
    "/dfr_backup/download": Right("manager", "token"),
    "/dfr_backup/health": Right("public", "token"),
    "/dfr_backup/metrics": Right("public", "token"),
    "/dfr_backup/recovery_kit": Right("manager"),
    "/dfr_backup/upload": Right("manager", "token"),
}

# what somebody may want, and the method or record that decides it for the roles above;
# None: nobody may
ACTS = {
    "see the history": RECORDS["backup.copy"][0],
    "look into a backup": METHODS["backup.copy.action_browse"],
    "download": METHODS["backup.copy.action_download"],
    "restore": METHODS["backup.restore.wizard.action_restore"],
    "delete": METHODS["backup.copy.action_delete"],
    "overwrite": None,
    "learn a secret": None,
    "learn the name of another database": Right("viewer", "in the way"),
}
NO = "no"
NOTICED = "yes, and it is noticed"
CLEAR = "yes, unless encrypted"
MET = "one that is in the way"

# those who are no users of this database: what comes of each act, and the test that
# shows it
OUTSIDE = {
    "Backup / Manager of another database of this server": (
        (*(NO,) * 7, MET),
        "tests/e2e/test_e2e_rights.py::test_another_database_of_the_server",
    ),
    "*Settings* of another database of this server": (
        (*(NO,) * 7, MET),
        "tests/e2e/test_e2e_rights.py::test_another_database_of_the_server",
    ),
    "Who may write into the storage": (
        ("what is stored", CLEAR, CLEAR, NO, NOTICED, NOTICED, NO, "of what is stored"),
        "tests/engine/test_restore_steps.py::"
        "test_another_archive_in_its_place_is_found_before_anything_is_done",
    ),
    "Who has the token of the health endpoint": (
        ("names and states of plans", *(NO,) * 6, MET),
        "dfr_backup/tests/test_rights.py::test_addresses_of_monitors_take_their_token",
    ),
}
