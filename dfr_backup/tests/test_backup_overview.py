import json
import logging
from datetime import timedelta
from unittest.mock import patch

import psycopg2

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from ..models.job import live
from ..models.plan.in_words import schedule_in_words
from .common import BackupCase


class OverviewCase(BackupCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["backup.storage"].search([("id", "!=", cls.storage.id)]).active = False
        cls.env["backup.copy"].search([]).sudo().state = "deleted"
        cls.viewer = new_test_user(
            cls.env, "overview-viewer", "dfr_backup.group_viewer"
        )
        cls.manager = new_test_user(
            cls.env, "overview-manager", "dfr_backup.group_manager"
        )
        cls.employee = new_test_user(cls.env, "overview-employee", "base.group_user")

    def overview(self, user=None):
        return (
            self.env["backup.overview"].with_user(user or self.manager).get_overview()
        )

    def card(self):
        (card,) = self.overview()["plans"]
        return card

    def back_up(self, days_ago=0, plan=None, **states):
        """Let a run end as its steps say, and store its archive when it was made."""
        job = self.run_now(plan)
        ended = fields.Datetime.now() - timedelta(days=days_ago)
        job.write(
            {
                "date_start": ended - timedelta(minutes=2),
                "archive_name": f"{job.uuid}.zip",
            }
        )
        job.archive_size = 5000
        self.end(job, **states)
        job.step_ids.date_start = job.date_start
        job.date_end = job.step_ids.date_end = ended
        if job.state == "success":
            self.record_copy(job)
            job.copy_ids.date = ended
        return job

    def problems(self):
        """Return kind and subject of each problem that the overview shows."""
        return [tuple(p["key"].split(":", 1)) for p in self.overview()["problems"]]

    def fill(self, count):
        """Insert runs that ended well; of their copies, retention has left some."""
        self.env.flush_all()
        self.env.cr.execute(
            """
            WITH job AS (
                INSERT INTO backup_job (
                    name, uuid, database_uuid, kind, plan_id, state, trigger,
                    date_start, date_end, duration, archive_size, encryption,
                    create_date
                )
                SELECT 'Old ' || n, 'old-' || n, 'x', 'backup', %(plan)s, 'success',
                    'schedule', now() - interval '1 hour' * (%(count)s - n), now(),
                    60, 1000, 'none', now()
                FROM generate_series(1, %(count)s) n
                RETURNING id, uuid, date_start
            )
            , backup AS (
                INSERT INTO backup_backup (name, job_id, date, size, complete, origin)
                SELECT uuid || '.zip', id, date_start, 1000, true, 'run' FROM job
                RETURNING *
            )
            INSERT INTO backup_copy (
                backup_id, job_id, plan_id, storage_id, key, date, size, state,
                complete, origin
            )
            SELECT id, job_id, %(plan)s, %(storage)s, name, date, size,
                CASE WHEN date > now() - interval '40 hours'
                    THEN 'verified' ELSE 'deleted' END, complete, origin
            FROM backup
            """,
            {"plan": self.plan.id, "storage": self.storage.id, "count": count},
        )
        self.env.invalidate_all()


@tagged("post_install", "-at_install")
class TestBackupOverview(OverviewCase):
    def test_before_the_first_backup_it_says_what_will_happen(self):
        page = self.overview()
        (card,) = page["plans"]
        self.assertEqual((card["state"], card["tone"]), ("never", "warning"))
        self.assertEqual(card["next_run"], self.plan.next_run)
        self.assertEqual(card["storages"], ["Disk"])
        self.assertEqual(card["contents"].count(", "), 2, "three kinds of content")
        self.assertTrue(card["schedule"].endswith("02:00 (Europe/Paris)"))
        self.assertEqual(
            (card["good"], card["runs"], page["problems"]), (False, [], [])
        )
        self.assertEqual(page["verdict"]["state"], "none_yet")

    def test_without_a_plan_nothing_is_backed_up(self):
        self.plan.active = False
        page = self.overview()
        self.assertEqual(page["verdict"]["tone"], "danger")
        self.assertEqual((page["plans"], page["advice"]), ([], []))

    def test_good_backup_says_when_and_where(self):
        job = self.back_up()
        card = self.card()
        self.assertEqual((card["state"], card["tone"]), ("good", "success"))
        self.assertEqual(card["good"]["job_id"], job.id)
        self.assertEqual(card["good"]["storages"], ["Disk"])
        self.assertEqual(card["good"]["missing"], [])
        self.assertEqual(card["good"]["verified_at"], job.copy_ids.verified_at)
        self.assertEqual(self.problems(), [])

    def test_what_a_scan_has_found_on_a_new_server_can_be_restored(self):
        self.assertFalse(self.overview()["restorable"])
        found = self.env["backup.copy"].create(
            {
                "storage_id": self.storage.id,
                "key": "shop.zip",
                "date": fields.Datetime.now(),
                "database_uuid": "another",
            }
        )
        page = self.overview()
        self.assertFalse(page["verdict"]["good"], "it is of none of our plans")
        self.assertTrue(page["restorable"])
        found.state = "missing"
        self.assertFalse(self.overview()["restorable"])

    def test_a_storage_of_the_plan_that_lacks_the_newest_backup_is_named(self):
        self.back_up()
        other = self.storage.copy(
            {"name": "Second", "local_path": str(self.root / "second")}
        )
        self.plan.storage_ids |= other
        self.assertEqual(self.card()["good"]["missing"], ["Second"])

    def test_failure_and_partial_show_the_reason_and_the_run(self):
        for kind, state, tone in (
            ("compress", "failure", "danger"),
            ("dump_database", "partial", "warning"),
        ):
            with self.subTest(state):
                job = self.back_up(**{kind: "failure"})
                self.assertEqual(job.state, state)
                (problem,) = self.overview()["problems"]
                self.assertEqual(problem["tone"], tone)
                self.assertIn("Broken", problem["text"])
                self.assertEqual(problem["action"]["res_id"], job.id)

    def test_last_good_backup_stays_after_a_failure(self):
        good = self.back_up(days_ago=1)
        self.back_up(compress="failure")
        card = self.card()
        self.assertEqual(card["state"], "failure")
        self.assertEqual(card["good"]["job_id"], good.id)
        self.assertEqual(self.overview()["verdict"]["state"], "alarm")

    def test_cancelled_run_does_not_hide_how_the_one_before_ended(self):
        self.back_up(compress="failure")
        self.run_now().action_cancel()
        self.assertEqual(self.card()["state"], "failure")

    def test_lost_copy_is_no_good_backup(self):
        job = self.back_up()
        job.copy_ids.state = "missing"
        self.assertEqual(self.card()["state"], "gone")
        (problem,) = self.overview()["problems"]
        self.assertEqual(problem["kind"], "copies")
        self.assertIn("1", problem["title"])

    def test_overdue_is_told_once_also_after_a_failure(self):
        self.back_up(days_ago=9)
        self.plan.promised_since = fields.Datetime.now() - timedelta(days=30)
        self.plan.invalidate_recordset()
        self.assertEqual(self.card()["state"], "overdue")
        self.assertEqual(self.problems(), [("overdue", str(self.plan))])
        job = self.back_up(compress="failure")
        self.assertEqual(self.problems(), [("failure", str(job))])

    def test_failed_drill_and_verification_are_problems(self):
        job = self.back_up()
        proven = fields.Datetime.now()
        self.plan.last_proven = proven
        self.assertEqual(self.card()["proof"], proven)
        for kind in ("drill", "verify"):
            check = job.copy(
                {"kind": kind, "uuid": kind, "state": "failure", "error": "Bad."}
            )
            (problem,) = self.overview()["problems"]
            self.assertEqual(problem["key"], f"{kind}:{check}")
            self.assertIn(self.plan.name, problem["title"])
            self.assertEqual((problem["tone"], problem["text"]), ("danger", "Bad."))
            check.state = "success"
            self.assertEqual(self.problems(), [])

    def test_storage_that_fails_or_is_read_only_is_a_problem(self):
        self.back_up()
        self.storage.write(
            {
                "last_test": fields.Datetime.now() + timedelta(seconds=1),
                "last_test_error": "The disk is full.",
            }
        )
        self.assertEqual(self.problems(), [("test", str(self.storage))])
        self.assertEqual(self.overview()["storages"][0]["state"], "test_failed")
        self.storage.owner_uuid = "another"
        self.assertEqual(self.problems(), [("foreign", str(self.storage))])

    def test_storage_is_as_it_was_when_last_used(self):
        (card,) = self.overview()["storages"]
        self.assertEqual((card["state"], card["tone"]), ("never", "warning"))
        self.storage.write(
            {
                "last_test": fields.Datetime.now() - timedelta(hours=1),
                "last_test_error": "The disk is full.",
            }
        )
        (card,) = self.overview()["storages"]
        self.assertEqual(card["state"], "test_failed")
        job = self.back_up()
        (card,) = self.overview()["storages"]
        self.assertEqual((card["state"], card["tone"]), ("used", "success"))
        self.assertEqual(card["at"], job._step("verify", self.storage).date_end)
        self.assertEqual(self.problems(), [], "it works again")
        self.back_up(upload="failure", verify="skipped")
        (card,) = self.overview()["storages"]
        self.assertEqual((card["state"], card["tone"]), ("upload_failed", "danger"))

    def test_while_the_first_backup_runs_everything_says_so(self):
        self.run_now().state = "running"
        page = self.overview()
        self.assertEqual(page["plans"][0]["state"], "first")
        verdict = page["verdict"]
        self.assertEqual((verdict["state"], verdict["tone"]), ("first", "info"))

    def test_the_headline_names_the_plan_that_lacks_something(self):
        other = self.plan.copy({"name": "Each hour"})
        for plan in (self.plan, other):
            self.back_up(plan=plan)
        self.back_up(plan=other, compress="failure")
        verdict = self.overview()["verdict"]
        self.assertEqual(verdict["state"], "alarm")
        self.assertIn(other.name, verdict["title"])
        self.assertNotIn(self.plan.name, verdict["title"])

    def test_the_headline_says_what_stands_below_it_only_once(self):
        self.back_up()
        self.back_up(compress="failure")
        self.storage.write(
            {
                "last_test": fields.Datetime.now() + timedelta(seconds=1),
                "last_test_error": "The disk is full.",
            }
        )
        page = self.overview()
        self.assertEqual(page["verdict"]["state"], "alarm")
        titles = [problem["title"].casefold() for problem in page["problems"]]
        self.assertEqual(len(titles), 2)
        self.assertNotIn(page["verdict"]["title"].casefold(), titles)
        self.assertNotIn(self.plan.name, page["verdict"]["title"], "there is no other")

    def test_a_local_plan_beside_a_complete_one_elsewhere_is_a_hint(self):
        away = self.make_away(last_test=fields.Datetime.now())
        self.plan.storage_ids |= away
        self.store_away(self.back_up(), away)
        other = self.plan.copy(
            {
                "name": "Each hour",
                "include_filestore": False,
                "storage_ids": self.storage.ids,
            }
        )
        for plan in (self.plan, other):
            self.back_up(plan=plan)
        page = self.overview()
        self.assertEqual(page["verdict"]["state"], "good")
        hints = {card["id"]: card["only_here"] for card in page["plans"]}
        self.assertEqual(hints, {self.plan.id: False, other.id: True})
        self.plan.include_filestore = False
        self.assertEqual(self.overview()["verdict"]["state"], "here_only")

    def make_away(self, **values):
        """Return a storage that is off-site."""
        bucket = {"provider": "s3", "s3_bucket": "b", "s3_region": "eu-west-1"}
        return self.env["backup.storage"].create({"name": "Away", **bucket, **values})

    def store_away(self, job, storage):
        """Let the backup of a run be in another storage, too."""
        (copy,) = job.copy_ids
        copy.copy({"storage_id": storage.id, "state": "verified"})

    def test_a_storage_that_is_ticked_has_no_copy_yet(self):
        away = self.make_away(last_test=fields.Datetime.now())
        job = self.back_up()
        self.plan.storage_ids |= away
        point = self.advice()["off_site"]
        self.assertEqual((point["done"], point["call"]), (False, "action_run_now"))
        page = self.overview()
        self.assertEqual(page["verdict"]["state"], "here_only")
        self.assertTrue(page["plans"][0]["only_here"])
        self.store_away(job, away)
        self.assertTrue(self.advice()["off_site"]["done"])
        page = self.overview()
        self.assertEqual(page["verdict"]["state"], "good")
        self.assertFalse(page["plans"][0]["only_here"])

    def test_storage_tells_how_much_it_holds(self):
        self.back_up()
        self.back_up()
        (storage,) = self.overview()["storages"]
        self.assertEqual((storage["count"], storage["size"]), (2, 10_000))
        self.assertEqual(storage["missing"], 0)
        self.plan.job_ids.copy_ids[0].state = "missing"
        (left,) = self.overview()["storages"]
        self.assertEqual((left["count"], left["missing"]), (1, 1))
        self.assertEqual(storage["tone"], "success")

    def test_running_job_is_shown_with_its_progress(self):
        job = self.run_now()
        job.state = "running"
        step = job._step("dump_database")
        job._step("initialize").state = "success"
        step.write(
            {"state": "running", "bytes_done": 40, "bytes_total": 100, "speed": 10}
        )
        (run,) = self.overview()["running"]
        self.assertEqual((run["id"], run["plan_id"]), (job.id, self.plan.id))
        self.assertEqual((run["step_id"], run["step"]), (step.id, step.display_name))
        self.assertEqual((run["bytes_done"], run["bytes_total"]), (40, 100))
        self.assertGreater(run["progress"], 0)

    def test_strip_has_the_newest_runs_in_order(self):
        self.fill(40)
        newest = self.back_up()
        runs = self.card()["runs"]
        self.assertEqual(len(runs), 30)
        self.assertEqual(runs[-1]["id"], newest.id)
        self.assertEqual((runs[-1]["duration"], runs[-1]["size"]), (120, 5000))
        self.assertEqual(runs, sorted(runs, key=lambda run: run["id"]))

    def test_weekly_and_other_schedules_in_words(self):
        wednesday = dict(self.plan._fields["weekday"].selection)["2"]
        for values, parts in (
            ({"frequency": "weekly", "weekday": "2"}, (wednesday, "02:00")),
            ({"frequency": "monthly", "monthday": 31}, ("31", "02:00")),
            ({"frequency": "hourly", "time": 0.25}, ("15",)),
            ({"frequency": "manual"}, ()),
        ):
            self.plan.write(values)
            words = schedule_in_words(self.plan)
            frequencies = dict(self.plan._fields["frequency"].selection)
            self.assertTrue(words.startswith(frequencies[values["frequency"]]))
            self.assertEqual([part for part in parts if part not in words], [])

    # === ADVICE === #

    def advice(self):
        return {item["key"]: item for item in self.overview()["advice"]}

    def test_advice_is_done_when_it_was_followed(self):
        advice = self.advice()
        self.assertTrue(advice["off_site"]["open"])
        self.assertEqual(advice["off_site"]["page"], "where")
        self.assertNotIn("encryption", advice, "nothing leaves this server")
        self.assertTrue(advice["verification"]["done"])
        self.assertEqual(self.verdict_after_a_backup(), "here_only")
        away = self.make_away()
        self.assertEqual(self.advice()["off_site"]["plan_id"], self.plan.id)
        self.plan.storage_ids |= away
        advice = self.advice()
        self.assertNotIn("page", advice["off_site"], "it waits for the next backup")
        self.assertTrue(advice["encryption"]["open"])
        self.assertIn(("untested", str(away)), self.problems())
        self.plan.verify_every = "0"
        self.assertTrue(self.advice()["verification"]["open"])

    def verdict_after_a_backup(self):
        self.back_up()
        return self.overview()["verdict"]["state"]

    def test_advice_can_be_dismissed_by_managers(self):
        page = self.env["backup.overview"]
        with self.assertRaises(AccessError):
            page.with_user(self.viewer).dismiss_advice("off_site")
        page.with_user(self.manager).dismiss_advice("off_site")
        page.with_user(self.manager).dismiss_advice("no such advice")
        self.assertTrue(self.advice()["off_site"]["dismissed"])
        self.assertFalse(self.advice()["off_site"]["open"])
        self.assertEqual(self.verdict_after_a_backup(), "good")
        page.with_user(self.manager).restore_advice()
        self.assertTrue(self.advice()["off_site"]["open"])

    # === WHO, AND HOW MUCH IT COSTS === #

    def test_viewer_sees_and_employee_does_not(self):
        self.back_up()
        page = self.overview(self.viewer)
        self.assertEqual(page["plans"][0]["state"], "good")
        self.assertFalse(page["manager"])
        for method in ("get_overview", "get_status"):
            with self.assertRaises(AccessError):
                getattr(self.env["backup.overview"].with_user(self.employee), method)()


@tagged("post_install", "-at_install")
class TestBackupLive(OverviewCase):
    def setUp(self):
        super().setUp()
        live._last_told.update(news=(), at=0.0)
        self.job = self.run_now()
        self.sent()

    def sent(self):
        """Return the messages about runs since the last call: channels and payloads."""
        self.env.cr.precommit.run()
        rows = self.env["bus.bus"].search([])
        messages = [(json.loads(row.channel), json.loads(row.message)) for row in rows]
        rows.unlink()
        return [(c, m["payload"]) for c, m in messages if m["type"] == live.MESSAGE]

    def test_message_goes_to_those_who_may_see_the_run(self):
        live.tell(self.job)
        ((channel, payload),) = self.sent()
        group = self.env.ref("dfr_backup.group_viewer")
        self.assertEqual(channel[1:], ["res.groups", group.id])
        self.assertEqual((payload["id"], payload["state"]), (self.job.id, "pending"))

    def test_message_holds_numbers_and_states_only(self):
        self.job.error = "a secret"
        live.tell(self.job)
        ((_channel, payload),) = self.sent()
        texts = {value for value in payload.values() if isinstance(value, str)}
        self.assertEqual(texts, {"backup", "pending"})

    def test_progress_is_told_once_a_second_and_a_new_step_at_once(self):
        live.tell(self.job)
        live.tell(self.job)
        self.assertEqual(len(self.sent()), 1)
        self.job.state = "running"
        live.tell(self.job)
        self.assertEqual([payload["state"] for _c, payload in self.sent()], ["running"])
        self.job.step_ids[0].state = "running"
        live.tell(self.job)
        self.assertEqual(self.sent()[0][1]["step_id"], self.job.step_ids[0].id)
        live._last_told["at"] -= live.TELL_EVERY
        live.tell(self.job)
        self.assertEqual(len(self.sent()), 1)

    def test_what_changes_a_run_is_told_after_the_commit(self):
        waiting = self.env.cr.postcommit.data.setdefault(live.POSTCOMMIT_KEY, set())
        for change in (
            lambda: self.job.write({"state": "running"}),
            lambda: self.job.step_ids[0].write({"bytes_done": 5}),
            lambda: self.job.write({"cancel_requested": True}),
        ):
            waiting.clear()
            change()
            self.assertEqual(waiting, {self.job.id})
        waiting.clear()
        self.job.step_ids[0].write({"log": "a line"})
        self.assertFalse(waiting)

    def test_a_message_that_cannot_be_sent_hurts_nobody(self):
        error = psycopg2.OperationalError("gone")
        lost = patch.object(self.env.registry, "cursor", side_effect=error)
        with lost, self.assertLogs(live._logger, logging.INFO) as logs:
            live._tell_committed(self.env.registry, {self.job.id})
        self.assertIn("gone", logs.output[0])

    def test_time_left_follows_from_the_last_good_run(self):
        self.end(self.job)
        self.job.step_ids.seconds = 10
        job = self.run_now()
        self.assertEqual(job.seconds_left, 0, "not known before it runs")
        job.state = "running"
        job.step_ids[0].state = "success"
        self.assertEqual(job.seconds_left, 10 * (len(job.step_ids) - 1))

    def test_time_left_of_a_first_run_is_not_known(self):
        self.job.state = "running"
        self.assertEqual(self.job.seconds_left, 0)

    def test_status_for_the_systray(self):
        page = self.env["backup.overview"].with_user(self.manager)
        self.assertEqual(page.get_status()["running"]["id"], self.job.id)
        self.end(self.job, compress="failure")
        status = page.get_status()
        self.assertFalse(status["running"])
        (alarm,) = status["alarms"]
        self.assertEqual((alarm["kind"], alarm["tone"]), ("failure", "danger"))
        self.end(self.run_now())
        self.assertEqual(page.get_status(), {"running": False, "alarms": []})
