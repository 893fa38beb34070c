"""What the overview calls wrong, what it recommends, and the button for each."""

from odoo import api, models

from .engine_text import say

DISMISSED = "dfr_backup.dismissed_advice"
ADVICE = ("off_site", "copies", "encryption", "verification", "notification", "drill")


class BackupOverview(models.AbstractModel):
    _inherit = "backup.overview"

    # === PROBLEMS === #

    def _problems(self, lasts):
        """Return what is wrong, the worst first. Each has a tone, a text and an action.

        ``lasts`` holds the last run that ended of each plan.
        """
        found = []
        for plan, last in lasts.items():
            found += self._plan_problems(plan, last)
        for storage in self.env["backup.storage"].search([("active", "=", True)]):
            found += self._storage_problems(storage)
        found += self._lost_copies()
        return sorted(found, key=lambda problem: problem["tone"] != "danger")

    def _plan_problems(self, plan, last):
        """Return what is wrong with a plan, given the last backup of it that ended."""
        return self._backup_problems(plan, last) + self._check_problems(plan)

    def _backup_problems(self, plan, last):
        """Return one problem, however many signs there are of it."""
        if last.state == "failure":
            title = self.env._("%s: the last run failed", plan.name)
            return [self._job_problem("danger", title, last)]
        if plan.is_overdue:
            title = self.env._("%s: overdue", plan.name)
            text = _sentences(plan.overdue_reason, plan.overdue_remedy)
            return [self._problem("danger", title, text, self._open(plan), plan)]
        if last.state == "partial":
            title = self.env._("%s: the last run was partial", plan.name)
            return [self._job_problem("warning", title, last)]
        return []

    def _check_problems(self, plan):
        """Return what the last looks at stored copies have found."""
        titles = {
            "verify": self.env._("%s: the last verification failed", plan.name),
            "drill": self.env._("%s: the last restore drill failed", plan.name),
        }
        lasts = [(title, self._last_ended(plan, kind)) for kind, title in titles.items()]
        return [
            self._job_problem("danger", title, job)
            for title, job in lasts
            if job.state in ("failure", "partial")
        ]

    def _job_problem(self, tone, title, job):
        text = _sentences(say(self.env, job.error), say(self.env, job.hint))
        return self._problem(tone, title, text, job._action_open(), job, self.env._("Open Run"))

    def _storage_problems(self, storage):
        name, action = storage.name, self._open(storage)
        if storage.is_foreign:
            title = self.env._("%s: read-only here", name)
            text = self.env._(
                "It belongs to the database that this one is a copy of: nothing is stored there."
            )
            return [self._problem("danger", title, text, action, storage)]
        if storage.last_test_error:
            title = self.env._("%s: the last test failed", name)
            text = say(self.env, storage.last_test_error)
            return [self._problem("danger", title, text, action, storage)]
        if storage._is_off_site() and not storage.last_test and not storage.copy_count:
            title = self.env._("%s: never tested", name)
            text = self.env._("Whether it works is not known before something was stored there.")
            return [self._problem("warning", title, text, action, storage)]
        return []

    def _lost_copies(self):
        lost = [("state", "in", ("damaged", "missing"))]
        count = self.env["backup.copy"].search_count(lost)
        if not count:
            return []
        action = self.env["ir.actions.act_window"]._for_xml_id("dfr_backup.backup_copy_action")
        title = self.env._("Stored backups that are damaged or missing: %s", count)
        text = self.env._("They were there and cannot be restored now.")
        action = {**action, "domain": lost, "context": {}}
        return [self._problem("danger", title, text, action, None, self.env._("Show Them"))]

    def _problem(self, tone, title, text, action, record=None, button=None):
        return {
            "key": f"{record}:{title}",
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

    # === ADVICE === #

    def _advice(self, plans):
        """Return the list of what a careful administrator has, with what is still missing."""
        dismissed = self._dismissed()
        found = [item for item in self._all_advice(plans) if item] if plans else []
        for item in found:
            item["dismissed"] = item["key"] in dismissed
            item["open"] = not item["done"] and not item["dismissed"]
        return found

    def _all_advice(self, plans):
        return [getattr(self, f"_advice_{key}")(plans) for key in ADVICE]

    def _advice_off_site(self, plans):
        advice = self._advise(
            "off_site",
            self.env._("A copy in another place"),
            self.env._(
                "Fire, theft, a broken disk or an intruder takes the backups on this server "
                "together with the data."
            ),
            plans.filtered(lambda p: not any(s._is_off_site() for s in p.storage_ids)),
        )
        storages = self.env["backup.storage"].search([("active", "=", True)])
        if not any(storage._is_off_site() for storage in storages):
            advice["button"] = self.env._("Add a Storage")
            advice["action"] = self._open(storages.browse())
        return advice

    def _advice_copies(self, plans):
        return self._advise(
            "copies",
            self.env._("Two storages"),
            self.env._("When one of them fails on the bad day, the other one has the backup."),
            plans.filtered(lambda plan: len(plan.storage_ids) < 2),
        )

    def _advice_encryption(self, plans):
        away = plans.filtered(lambda p: any(s._is_off_site() for s in p.storage_ids))
        return away and self._advise(
            "encryption",
            self.env._("Encrypted before it leaves"),
            self.env._(
                "Whoever can read the storage in the other place can read the whole database."
            ),
            away.filtered(lambda plan: plan.encryption == "none"),
        )

    def _advice_verification(self, plans):
        return self._advise(
            "verification",
            self.env._("Stored copies are read again"),
            self.env._("Disks forget. A copy that nobody reads may be gone for months."),
            plans.filtered(lambda plan: plan.verify_every == "0"),
        )

    def _advice_notification(self, plans):
        return self._advise(
            "notification",
            self.env._("Somebody hears of a failure"),
            self.env._("A failure that nobody hears of is found on the bad day."),
            plans.filtered(lambda plan: not (plan.alert_failure and plan.alert_addresses)),
        )

    def _advice_drill(self, plans):
        return self._advise(
            "drill",
            self.env._("A restore was proven"),
            self.env._(
                "A backup is worth what its last restore was. A drill restores the newest copy "
                "into a scratch database and compares."
            ),
            plans.filtered(lambda plan: not plan.last_proven),
        )

    def _advise(self, key, title, text, lacking):
        """Return one item of the advice: it is done when no plan is ``lacking``."""
        return {
            "key": key,
            "done": not lacking,
            "title": title,
            "text": text,
            "plans": ", ".join(lacking.mapped("name")),
            "button": self.env._("Open Plan"),
            "action": self._open(lacking[:1]),
        }

    @api.model
    def _dismissed(self):
        names = self.env["ir.config_parameter"].sudo().get_param(DISMISSED, "")
        return set(filter(None, names.split(",")))

    @api.model
    def dismiss_advice(self, key):
        """Show one item of the advice no more."""
        self._dismiss(self._dismissed() | {key})

    @api.model
    def restore_advice(self):
        """Show all of the advice again."""
        self._dismiss(set())

    def _dismiss(self, keys):
        self.env["backup.job"]._check_manager()
        value = ",".join(sorted(keys & set(ADVICE)))
        self.env["ir.config_parameter"].sudo().set_param(DISMISSED, value)


def _sentences(*texts):
    return " ".join(filter(None, texts))
