"""New code on tables that were not upgraded: said before anything reads them.

A container that pulls an image, or a git pull, brings new code without an upgrade of
the database. Whatever reads our tables fails then, and nobody would be told.
"""

import logging

from markupsafe import Markup

from odoo import api, models

from .. import odoo_config
from ..compat import members
from ..engine.errors import PermanentError
from ..engine.errors.identity import NotUpgraded
from ..engine.postgres.installed import require_version
from .engine_messages import translate
from .overview.problems import make_problem
from .plan.mails import mail_to, queue

_logger = logging.getLogger(__name__)

TOLD = "dfr_backup.version_told"
BODY = Markup("<p>%s</p><p>%s</p>")
APPS = {
    "type": "ir.actions.act_window",
    "res_model": "ir.module.module",
    "views": [(False, "kanban"), (False, "list"), (False, "form")],
    "domain": [("name", "=", "dfr_backup")],
}


class BackupVersion(models.AbstractModel):
    _name = "backup.version"
    _description = "Version of the Addon in the Database"

    @api.model
    def _mismatch(self):
        """Return the EngineError that says how code and tables differ, or None. It
        reads no table of ours."""
        try:
            require_version(self.env.cr, self.env.cr.dbname, odoo_config.CODE_VERSION)
        except PermanentError as error:
            return error
        return None

    @api.model
    def _tell(self, error):
        """Send a mail about a mismatch to everybody who looks after backups or
        settings, once for each version of the code."""
        _logger.error("%s", error.in_full)
        params = self.env["ir.config_parameter"].sudo()
        if params.get_param(TOLD) == odoo_config.CODE_VERSION:
            return
        mails = self.env["mail.mail"].sudo()
        for user in self._who_is_told():
            env = self.with_context(lang=user.lang).env
            subject = env._(
                "No backups of %(database)s: the addon has another version",
                database=env.cr.dbname,
            )
            text = [translate(env, part) for part in (error.message, error.hint)]
            values = mail_to(env, user.email_formatted, subject, BODY % tuple(text))
            mails += mails.create(values)
        params.set_param(TOLD, odoo_config.CODE_VERSION)
        queue(self.env, mails)

    @api.model
    def _who_is_told(self):
        """Return the users with a mail address who can do something about it. Who else
        a plan notifies stands in our tables, and cannot be asked."""
        groups = self.env.ref("dfr_backup.group_manager") | self.env.ref(
            "base.group_system"
        )
        return members(groups.sudo()).filtered(lambda u: u.active and u.email)

    @api.model
    def _overview(self, error):
        """Return the page of an overview that can say nothing but this."""
        return {
            "manager": self.env.user.has_group("dfr_backup.group_manager"),
            "setup": False,
            "verdict": {
                "state": "version",
                "tone": "danger",
                "title": self.env._("No backups: addon and database differ in version"),
                "good": False,
            },
            "restorable": False,
            "plans": [],
            "storages": [],
            "problems": [self._as_problem(error)],
            "advice": [],
            "running": [],
        }

    @api.model
    def _as_problem(self, error):
        """Return a mismatch as a problem of the overview. What the Apps page cannot
        mend, it does not open for."""
        upgrades = isinstance(error, NotUpgraded)
        return make_problem(
            self.env,
            "version",
            "danger",
            translate(self.env, error.message),
            translate(self.env, error.hint),
            APPS if upgrades else False,
            button=self.env._("Open Apps") if upgrades else False,
            code=error.code,
        )
