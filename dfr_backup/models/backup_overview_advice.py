"""Can the data be restored on the bad day? What that depends on, and the button for
each point."""

from datetime import timedelta

from odoo import api, fields, models

from .plan.recipients import is_reachable

DISMISSED = "dfr_backup.dismissed_advice"
SETUP_STATE = "dfr_backup.setup"  # the page of the set-up to go on with
SETUP_DONE = "done"
# the first is what all the others are for: it cannot be dismissed
ADVICE = (
    "recent",
    "setup",
    "off_site",
    "copies",
    "encryption",
    "kit",
    "verification",
    "drill",
    "proven",
    "notification",
)
PROOF_LASTS = timedelta(days=100)


class BackupOverview(models.AbstractModel):
    _inherit = "backup.overview"

    def _advice(self, plans, cards):
        """Return the points, each with what it needs to be met.

        Each has a ``key``, ``done``, ``open`` (missing, and nobody has dismissed it),
        texts, and what its ``button`` leads to: a ``page`` of the set-up of the plan
        ``plan_id`` ("": all of it), a ``call`` of a method of that plan, or an
        ``action``.
        """
        if not plans:
            return []
        dismissed = self._dismissed()
        states = {card["id"]: card["good"] for card in cards}
        recent = plans.filtered(lambda plan: states[plan.id] and not plan.is_overdue)
        found = [self._advice_recent(plans - recent)]
        found += [getattr(self, f"_advice_{key}")(plans) for key in ADVICE[1:]]
        found = [item for item in found if item]
        for item in found:
            item["dismissed"] = item["key"] in dismissed
            item["open"] = not item["done"] and not item["dismissed"]
        return found

    def _advice_recent(self, lacking):
        title = self.env._("A good backup in time")
        text = self.env._("There is none of the time that the plan promises.")
        button = self.env._("Run Backup Now")
        return self._advise(
            "recent", title, text, lacking, button, call="action_run_now"
        )

    def _advice_setup(self, plans):
        state = self._setup_state()
        if (
            not state
            and self.env["ir.config_parameter"].get_param(SETUP_STATE) != SETUP_DONE
        ):
            return None  # set up by hand
        title = self.env._("The set-up is complete")
        text = self.env._("Five short questions: where, when, who is told, how safe.")
        lacking = plans[:1] if state else plans.browse()
        button = self.env._("Set Up") if state == "new" else self.env._("Go On")
        return self._advise("setup", title, text, lacking, button, page="")

    def _advice_off_site(self, plans):
        title = self.env._("A copy in another place")
        text = self.env._(
            "Fire, theft, a broken disk or an intruder takes the backups on this "
            "server together with the data."
        )
        lacking = plans.filtered(
            lambda p: not any(s._is_off_site() for s in p.storage_ids)
        )
        return self._advise(
            "off_site", title, text, lacking, self.env._("Add a Place"), page="where"
        )

    def _advice_copies(self, plans):
        title = self.env._("Two storages")
        text = self.env._(
            "When one of them fails on the bad day, the other one has the backup."
        )
        lacking = plans.filtered(lambda plan: len(plan.storage_ids) < 2)
        return self._advise(
            "copies", title, text, lacking, self.env._("Add a Place"), page="where"
        )

    def _advice_encryption(self, plans):
        away = plans.filtered(lambda p: any(s._is_off_site() for s in p.storage_ids))
        title = self.env._("Encrypted before it leaves")
        text = self.env._(
            "Whoever can read the storage in the other place can read the whole "
            "database."
        )
        lacking = away.filtered(lambda plan: plan.encryption == "none")
        return away and self._advise(
            "encryption", title, text, lacking, self.env._("Encrypt"), page="safety"
        )

    def _advice_kit(self, plans):
        title = self.env._("The recovery kit is at hand")
        text = self.env._(
            "One page that says where the backups are and how to get the data back. It "
            "holds no secret. Keep it where you find it when the server is gone."
        )
        lacking = plans.filtered(lambda plan: not plan.kit_downloaded_at)
        action = lacking and lacking[0].action_recovery_kit()
        return self._advise(
            "kit", title, text, lacking, self.env._("Download"), action=action
        )

    def _advice_verification(self, plans):
        title = self.env._("Stored copies are read again")
        text = self.env._(
            "Disks forget. A copy that nobody reads may be gone for months."
        )
        lacking = plans.filtered(lambda plan: plan.verify_every == "0")
        return self._advise(
            "verification",
            title,
            text,
            lacking,
            self.env._("Schedule It"),
            page="safety",
        )

    def _advice_drill(self, plans):
        title = self.env._("Restore drills are scheduled")
        text = self.env._(
            "A drill restores the newest copy into a scratch database, compares it, "
            "and drops it."
        )
        lacking = plans.filtered(lambda plan: plan.drill_every == "0")
        return self._advise(
            "drill", title, text, lacking, self.env._("Schedule It"), page="safety"
        )

    def _advice_proven(self, plans):
        title = self.env._("A restore was proven")
        text = self.env._(
            "A backup is worth what its last restore was. The last months saw none."
        )
        since = fields.Datetime.now() - PROOF_LASTS
        lacking = plans.filtered(
            lambda plan: not plan.last_proven or plan.last_proven < since
        )
        return self._advise(
            "proven", title, text, lacking, self.env._("Drill Now"), call="action_drill"
        )

    def _advice_notification(self, plans):
        title = self.env._("Somebody hears of a failure")
        text = self.env._("A failure that nobody hears of is found on the bad day.")
        lacking = plans.filtered(lambda plan: not is_reachable(plan))
        trouble = (lacking[:1].alert_trouble or text).replace("\n", " ")
        return self._advise(
            "notification",
            title,
            trouble,
            lacking,
            self.env._("Choose Who"),
            page="who",
        )

    def _advise(self, key, title, text, lacking, button, **leads_to):
        """Return one point: it is met when no plan is ``lacking``."""
        return {
            "key": key,
            "done": not lacking,
            "title": title,
            "text": text,
            "plans": ", ".join(lacking.mapped("name")),
            "plan_id": lacking[:1].id,
            "button": button,
            **leads_to,
        }

    @api.model
    def _setup_state(self):
        """Return "new" before the set-up, "open" when it was left in the middle,
        else False."""
        state = self.env["ir.config_parameter"].sudo().get_param(SETUP_STATE)
        if state:
            return state != SETUP_DONE and "open"
        return not self.env["backup.job"].sudo().search_count([], limit=1) and "new"

    # === DISMISSED === #

    @api.model
    def _dismissed(self):
        names = self.env["ir.config_parameter"].sudo().get_param(DISMISSED, "")
        return set(filter(None, names.split(",")))

    @api.model
    def dismiss_advice(self, key):
        """Show one point no more, and do not count it."""
        self._dismiss(self._dismissed() | {key})

    @api.model
    def restore_advice(self):
        """Show all of the points again."""
        self._dismiss(set())

    def _dismiss(self, keys):
        self.env["backup.job"]._check_manager()
        value = ",".join(sorted(keys & set(ADVICE[1:])))
        self.env["ir.config_parameter"].sudo().set_param(DISMISSED, value)
