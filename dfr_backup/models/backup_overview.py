"""What the overview shows, in one answer: plans, their last runs, storages, what
runs now."""

from odoo import api, models

from .backup_step import OPEN_STATES
from .copy.states import PRESENT_STATES
from .plan.in_words import contents_in_words, schedule_in_words

STRIP = 30  # runs of a plan that the overview shows
TONES = ("success", "warning", "danger")  # from good to bad


class BackupOverview(models.AbstractModel):
    _name = "backup.overview"
    _description = "Backup Overview"

    @api.model
    def get_overview(self):
        """Return everything that the page shows, for whoever may see the backups.

        Dates are in UTC, sizes in bytes, durations in seconds; texts are in the user's
        language. The number of queries depends on the number of plans, not on that of
        runs.
        """
        self.env["backup.plan"].check_access("read")
        mismatch = self.env["backup.version"]._mismatch()
        if mismatch:
            return self.env["backup.version"].sudo()._overview(mismatch)
        manager = self.env.user.has_group("dfr_backup.group_manager")
        page = self.sudo()
        plans = self.env["backup.plan"].sudo().search([("active", "=", True)])
        lasts = {plan: page._last_ended(plan) for plan in plans}
        cards = [page._card(plan, last) for plan, last in lasts.items()]
        problems = page._problems(lasts)
        advice = page._advice(plans, cards)
        return {
            "manager": manager,
            "setup": page._setup_state(),
            "verdict": page._verdict(cards, problems, advice),
            "plans": cards,
            "storages": page._storages(),
            "problems": problems,
            "advice": advice,
            "running": page._running(),
        }

    @api.model
    def get_status(self):
        """Return what a manager has to know at any moment: the run that goes on, and
        what is wrong. Cheap: the web client asks again and again."""
        self.env["backup.plan"].check_access("read")
        mismatch = self.env["backup.version"]._mismatch()
        if mismatch:
            alarm = self.env["backup.version"].sudo()._as_problem(mismatch)
            return {"running": False, "alarms": [alarm]}
        page = self.sudo()
        plans = self.env["backup.plan"].sudo().search([("active", "=", True)])
        problems = [
            problem
            for plan in plans
            for problem in page._plan_problems(plan, page._last_ended(plan))
        ]
        problems = page._scheduler_problems() + problems + page._loose_problems()
        alarms = [problem for problem in problems if problem["tone"] == "danger"]
        running = page._running()
        return {"running": running[0] if running else False, "alarms": alarms}

    # === CARDS === #

    def _card(self, plan, last):
        """Return what the card of one plan shows. ``last`` is the last of its runs
        that ended."""
        runs = self.env["backup.job"].search(plan._backups(), limit=STRIP)
        good = self._last_good(plan)
        state, tone, label = self._plan_state(plan, last, good)
        return {
            "id": plan.id,
            "name": plan.name,
            "schedule": schedule_in_words(plan),
            "contents": contents_in_words(plan),
            "storages": plan.storage_ids.mapped("name"),
            "next_run": plan.next_run,
            "state": state,
            "tone": tone,
            "label": label,
            "good": good,
            "proof": plan.last_proven,
            "proof_seconds": plan.last_proven_seconds,
            "runs": [self._run(job) for job in reversed(runs)],
        }

    def _run(self, job):
        states = dict(job._fields["state"]._description_selection(self.env))
        return {
            "id": job.id,
            "name": job.name,
            "state": job.state,
            "label": states[job.state],
            "date": job.date_start or job.create_date,
            "duration": job.duration,
            "size": job.archive_size,
        }

    def _last_ended(self, plan, kind="backup"):
        """Return the last run of ``plan`` that was not stopped by somebody; maybe
        empty."""
        mine = [("plan_id", "=", plan.id), ("kind", "=", kind)]
        ended = ("state", "not in", (*OPEN_STATES, "cancelled"))
        return self.env["backup.job"].search([*mine, ended], limit=1)

    def _last_good(self, plan):
        """Return the newest backup that is complete, verified and still there, or
        False."""
        copies = self.env["backup.copy"]
        countable = copies._countable()
        newest = copies.search([("plan_id", "=", plan.id), *countable], limit=1)
        if not newest:
            return False
        there = copies.search(
            [("key", "=", newest.key), *copies._countable(PRESENT_STATES)]
        )
        return {
            "job_id": newest.job_id.id,
            "date": newest.date,
            "size": newest.size,
            "verified_at": newest.verified_at,
            "storages": there.storage_id.mapped("name"),
            "missing": (plan.storage_ids - there.storage_id).mapped("name"),
        }

    def _plan_state(self, plan, last, good):
        """Return the state of a plan: a key, a tone and the words."""
        if plan.is_overdue:
            return "overdue", "danger", self.env._("Overdue")
        if not last:
            return "never", "warning", self.env._("No backup yet")
        if last.state == "failure":
            return "failure", "danger", self.env._("The last run failed")
        if not good:
            return "gone", "danger", self.env._("No good backup is left")
        if last.state == "partial":
            return "partial", "warning", self.env._("The last run was partial")
        return "good", "success", self.env._("Backed up")

    def _running(self):
        """Return the runs that are open, the one that goes on first."""
        jobs = self.env["backup.job"].search(
            [("state", "in", OPEN_STATES)], limit=STRIP
        )
        return [
            {
                **job._live_values(),
                "name": job.name,
                "label": job._kind_in_words(self.env),
                "step": job.current_step,
            }
            for job in jobs.sorted(lambda job: (job.state != "running", job.id))
        ]

    # === STORAGES === #

    def _storages(self):
        storages = self.env["backup.storage"].search([("active", "=", True)])
        providers = dict(storages._fields["provider"]._description_selection(self.env))
        used = self.env["backup.plan"].search([("active", "=", True)]).storage_ids
        return [
            {
                "id": storage.id,
                "name": storage.name,
                "provider": providers[storage.provider],
                "off_site": storage._is_off_site(),
                "count": storage.copy_count,
                "size": storage.copy_size,
                "free": storage.free_space,
                "tested": storage.last_test,
                "used": storage in used,
                **self._health(storage),
            }
            for storage in storages
        ]

    def _health(self, storage):
        if storage.is_foreign:
            return {"tone": "danger", "label": self.env._("Read-only")}
        if storage.last_test_error:
            return {"tone": "danger", "label": self.env._("Test failed")}
        if storage.copy_count or storage.last_test:
            return {"tone": "success", "label": self.env._("Works")}
        return {"tone": "warning", "label": self.env._("Never tested")}

    # === VERDICT === #

    def _verdict(self, cards, problems, advice):
        """Return the answer to “Am I safe?”: a state, its tone and title, and the
        newest good backup."""
        goods = [card["good"] for card in cards if card["good"]]
        newest = max(goods, key=lambda good: good["date"], default=False)
        tones = [card["tone"] for card in cards] + [
            problem["tone"] for problem in problems
        ]
        worst = max(tones, key=TONES.index, default="danger")
        alone = any(item["key"] == "off_site" and item["open"] for item in advice)
        if not cards:
            state = "no_plan"
            title = self.env._("Nothing is backed up: there is no plan")
        elif not newest and worst == "danger":
            state, title = "no_good", self.env._("There is no good backup")
        elif not newest:
            state, title = "none_yet", self.env._("There is no backup yet")
        elif worst == "danger":
            state = "alarm"
            title = self.env._("There is a good backup, and something is wrong")
        elif worst == "warning":
            state, title = "gap", self.env._("Your data is backed up, with a gap")
        elif alone:
            state, worst = "here_only", "warning"
            title = self.env._("Your data is backed up, on this server only")
        else:
            state, title = "good", self.env._("Your data is backed up")
        return {"state": state, "tone": worst, "title": title, "good": newest}
