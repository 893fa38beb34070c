"""What the overview calls wrong, what it recommends, and the button for each."""

from odoo import api, models

DISMISSED = "dfr_backup.dismissed_advice"


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
        found = []
        overdue = plan._overdue_reason()
        if overdue:
            title = self.env._("%s: overdue", plan.name)
            found.append(self._problem("danger", title, overdue, self._open(plan), plan))
        if last.state == "failure":
            title = self.env._("%s: the last run failed", plan.name)
            found.append(self._job_problem("danger", title, last))
        if last.state == "partial":
            title = self.env._("%s: the last run was partial", plan.name)
            found.append(self._job_problem("warning", title, last))
        return found

    def _job_problem(self, tone, title, job):
        text = " ".join(filter(None, (job.error, job.hint)))
        action = {**job._action_open(), "name": job.name}
        return self._problem(tone, title, text, action, job, self.env._("Open Run"))

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
            return [self._problem("danger", title, storage.last_test_error, action, storage)]
        if not storage.last_test and not storage.copy_count:
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
        return [
            self._advice_off_site(plans),
            self._advice_encryption(plans),
            self._advice_verification(plans),
            self._advice_notification(plans),
            self._advice_drill(plans),
        ]

    def _advice_off_site(self, plans):
        lacking = plans.filtered(lambda p: not any(s._is_off_site() for s in p.storage_ids))
        return {
            "key": "off_site",
            "done": not lacking,
            "title": self.env._("A copy in another place"),
            "text": self.env._(
                "Fire, theft, a broken disk or an intruder takes the backups on this server "
                "together with the data."
            ),
            "button": self.env._("Add a Storage"),
            "action": {
                "type": "ir.actions.act_window",
                "name": self.env._("New Storage"),
                "res_model": "backup.storage",
                "views": [(False, "form")],
            },
        }

    def _advice_encryption(self, plans):
        away = plans.filtered(lambda p: any(s._is_off_site() for s in p.storage_ids))
        lacking = away.filtered(lambda plan: plan.encryption == "none")
        return away and {
            "key": "encryption",
            "done": not lacking,
            "title": self.env._("Encrypted before it leaves"),
            "text": self.env._(
                "Whoever can read the storage in the other place can read the whole database."
            ),
            "button": self.env._("Encrypt"),
            "action": self._open((lacking or away)[:1]),
        }

    def _advice_verification(self, plans):
        lacking = plans.filtered(lambda plan: plan.verify_every == "0")
        return {
            "key": "verification",
            "done": not lacking,
            "title": self.env._("Stored copies are read again"),
            "text": self.env._("Disks forget. A copy that nobody reads may be gone for months."),
            "button": self.env._("Choose How Often"),
            "action": self._open((lacking or plans)[:1]),
        }

    def _advice_notification(self, plans):
        return None

    def _advice_drill(self, plans):
        return None

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
        known = {"off_site", "encryption", "verification", "notification", "drill"}
        value = ",".join(sorted(keys & known))
        self.env["ir.config_parameter"].sudo().set_param(DISMISSED, value)
