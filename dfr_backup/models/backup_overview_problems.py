"""What the overview calls wrong, and the button for each."""

from odoo import api, models

from ..engine.errors.identity import NotOriginal
from ..engine.errors.runs import ActionOff, SwitchedOff
from .engine_messages import displayed, format_error, translate


class BackupOverview(models.AbstractModel):
    _inherit = "backup.overview"

    # === PROBLEMS === #

    def _problems(self, lasts):
        """Return what is wrong, the worst first. Each has a tone, a text and an action.

        ``lasts`` holds the last run that ended of each plan.
        """
        found = self._identity_problems() + self._scheduler_problems()
        for plan, last in lasts.items():
            found += self._plan_problems(plan, last)
        for storage in self.env["backup.storage"].search([("active", "=", True)]):
            found += self._storage_problems(storage)
        found += self._loose_problems()
        found += self._lost_copies()
        found += self._unseen_copies()
        found += self._lost_files()
        return sorted(found, key=lambda problem: problem["tone"] != "danger")

    def _identity_problems(self):
        """Return why nothing is deleted and nobody pinged, and since when."""
        identities = self.env["backup.identity"]
        error = identities._objection()
        if not error:
            return []
        switched_off = isinstance(error, SwitchedOff)
        title = self.env._("Backups are added, but none is deleted")
        if switched_off:
            title = self.env._("Backups are switched off on this server")
        since = identities._since() if isinstance(error, NotOriginal) else 0
        days = self.env._("This has been so for %s days: the storage fills up.", since)
        full = self._days_until_full_in_words() if not switched_off else ""
        told = format_error(self.env, error)
        text = _sentences(told, days if since else "", full)
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_storage_action"
        )
        button = self.env._("Open Storages")
        problem = self._problem(
            "switched_off" if switched_off else "identity",
            "danger",
            title,
            text,
            action,
            button=button,
        )
        return [{**problem, "code": error.code}]

    def _days_until_full_in_words(self):
        storages = self.env["backup.storage"].search([("active", "=", True)])
        left = {
            storage: days
            for storage in storages.filtered("identity_problem")
            if (days := storage._days_until_full()) is not None
        }
        if not left:
            return ""
        first = min(left, key=left.get)
        return self.env._(
            "At the pace of the last days, “%(storage)s” is full in %(days)s days.",
            storage=first.name,
            days=left[first],
        )

    def _scheduler_problems(self):
        """Return what is wrong with the action that starts all runs. Looking heals it,
        but for one that somebody has switched off: a button does that."""
        error = self.env["backup.scheduler"]._look()
        if not error:
            return []
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_plan_action"
        )
        problem = self._problem(
            "scheduler",
            "danger",
            translate(self.env, error.message),
            translate(self.env, error.hint),
            action,
            button=self.env._("Open Plans"),
        )
        if isinstance(error, ActionOff):
            button = self.env._("Switch It On")
            problem.update(call="switch_scheduler_on", button=button)
        return [{**problem, "code": error.code}]

    @api.model
    def switch_scheduler_on(self):
        """Switch the scheduled action on again: the button of the overview."""
        self.env["backup.job"]._check_manager()
        self.env["backup.scheduler"]._switch_on()

    def _plan_problems(self, plan, last):
        """Return what is wrong with a plan, given the last backup of it that ended."""
        return self._backup_problems(plan, last) + self._check_problems(plan)

    def _backup_problems(self, plan, last):
        """Return one problem, however many signs there are of it."""
        if last.state == "failure":
            title = self.env._("%s: the last run failed", plan.name)
            return [self._job_problem("failure", "danger", title, last)]
        if plan.is_overdue:
            title = self.env._("%s: overdue", plan.name)
            text = _sentences(plan.overdue_reason, plan.overdue_remedy)
            return [
                self._problem("overdue", "danger", title, text, self._open(plan), plan)
            ]
        if last.state == "partial":
            title = self.env._("%s: the last run was partial", plan.name)
            return [self._job_problem("partial", "warning", title, last)]
        if last.size_drop:
            title = self.env._("%s: the last backup is much smaller", plan.name)
            text = _sentences(*last._shrinking_in_words(self.env))
            return [self._run_problem("size_drop", "warning", title, text, last)]
        return []

    def _check_problems(self, plan):
        """Return what the last looks at stored copies have found."""
        titles = {
            "verify": self.env._("%s: the last verification failed", plan.name),
            "drill": self.env._("%s: the last restore drill failed", plan.name),
        }
        lasts = [
            (kind, title, self._last_ended(plan, kind))
            for kind, title in titles.items()
        ]
        return [
            self._job_problem(kind, "danger", title, job)
            for kind, title, job in lasts
            if job.state in ("failure", "partial")
        ]

    def _job_problem(self, kind, tone, title, job):
        text = _sentences(displayed(job, "error"), displayed(job, "hint"))
        problem = self._run_problem(kind, tone, title, text, job)
        return {**problem, "code": job.error_code or None}

    def _run_problem(self, kind, tone, title, text, job):
        button = self.env._("Open Run")
        return self._problem(kind, tone, title, text, job._action_open(), job, button)

    def _storage_problems(self, storage):
        name, action = storage.name, self._open(storage)
        if storage.is_foreign:
            title = self.env._("%s: read-only here", name)
            text = self.env._(
                "It belongs to the database that this one is a copy of: nothing is "
                "stored there."
            )
            return [self._problem("foreign", "danger", title, text, action, storage)]
        used = self._is_used(storage)
        if storage.last_test_error:
            title = self.env._("%s: the last test failed", name)
            text = displayed(storage, "last_test_error")
            tone = "danger" if used else "warning"
            problem = self._problem("test", tone, title, text, action, storage)
            return [{**problem, "code": storage.last_test_error_code or None}]
        if used and storage.is_shared:
            title = self.env._("%s: shared with other databases", name)
            text = storage._sharing_in_words()
            return [self._problem("shared", "warning", title, text, action, storage)]
        untried = not storage.last_test and not storage.copy_count
        if used and untried and storage._is_off_site():
            title = self.env._("%s: never tested", name)
            text = self.env._(
                "Whether it works is not known before something was stored there."
            )
            return [self._problem("untested", "warning", title, text, action, storage)]
        return []

    def _is_used(self, storage):
        uses = [("storage_ids", "in", storage.ids)]
        return bool(self.env["backup.plan"].search_count(uses, limit=1))

    def _lost_copies(self):
        lost = [("state", "in", ("damaged", "missing"))]
        count = self.env["backup.copy"].search_count(lost)
        if not count:
            return []
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_copy_action"
        )
        title = self.env._("Stored backups that are damaged or missing: %s", count)
        text = self.env._("They were there and cannot be restored now.")
        action = {**action, "domain": lost, "context": {}}
        button = self.env._("Show Them")
        return [self._problem("copies", "danger", title, text, action, button=button)]

    def _unseen_copies(self):
        unseen = [("state", "=", "unknown"), ("storage_id.active", "=", True)]
        count = self.env["backup.copy"].search_count(unseen)
        if not count:
            return []
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_copy_action"
        )
        title = self.env._("Backups that nobody has looked for: %s", count)
        text = self.env._(
            "The address of their storage was changed. They do not count until a scan "
            "has found them."
        )
        action = {**action, "domain": unseen, "context": {}}
        button = self.env._("Show Them")
        return [self._problem("unseen", "warning", title, text, action, button=button)]

    def _lost_files(self):
        count = self.env["backup.filestore.issue"].search_count(
            [("state", "=", "open")]
        )
        if not count:
            return []
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dfr_backup.backup_filestore_issue_action"
        )
        title = self.env._("Attachments whose file is missing or damaged: %s", count)
        text = self.env._(
            "An older backup may still have the good file, and can put it back."
        )
        button = self.env._("Show Them")
        return [self._problem("files", "warning", title, text, action, button=button)]

    def _problem(
        self, kind, tone, title, text, action, record=None, button=None, code=False
    ):
        return {
            "key": f"{kind}:{record}",
            "kind": kind,
            "code": code,
            "call": False,
            "dismiss": False,
            "tone": tone,
            "title": title,
            "text": text or "",
            "action": action,
            "button": button or self._button(record),
        }

    def _button(self, record):
        if record._name == "backup.storage":
            return self.env._("Open Storage")
        return self.env._("Open Plan")

    @api.model
    def _open(self, record):
        return {
            "type": "ir.actions.act_window",
            "res_model": record._name,
            "res_id": record.id,
            "views": [(False, "form")],
        }


def _sentences(*texts):
    return " ".join(filter(None, texts))
