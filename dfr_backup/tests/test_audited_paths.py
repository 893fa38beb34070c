"""Whatever can cost backups takes the password and leaves one line, whichever way it is
called."""

from datetime import timedelta
from unittest.mock import patch

from odoo import fields
from odoo.fields import Command
from odoo.tests import new_test_user, tagged

from ..engine.encryption.files import generate_key
from .audited import AuditCase


@tagged("post_install", "-at_install")
class TestAuditedPaths(AuditCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.admin = new_test_user(cls.env, "chief", "base.group_system")
        storages = cls.env["backup.storage"]
        cls.spare, cls.shelved = storages.create(
            [{"name": n, "local_path": str(cls.root / n)} for n in ("spare", "shelved")]
        )
        cls.shelved.active = False
        fresh = {"storage_ids": [Command.set(cls.spare.ids)]}
        cls.fresh, cls.retired = cls.env["backup.plan"].create(
            [{"name": name, **fresh} for name in ("fresh", "retired")]
        )
        cls.retired.active = False
        cls.bucket = storages.create(
            {
                "name": "Bucket",
                "provider": "s3",
                "s3_bucket": "b",
                "s3_access_key": "k",
                "s3_secret_key": "s",
                "s3_lock_mode": "COMPLIANCE",
                "s3_lock_days": 14,
            }
        )
        cls.bucket.place_id = "some id"

    def changes(self):
        """Return (record, values, action) for each change of a field that takes the
        password."""
        off = {f"include_{part}": False for part in ("database", "filestore", "addons")}
        unpacked = self.storage.copy({"local_path": str(self.root / "free")})
        return [
            (self.storage, {"local_path": str(self.root / "third")}, "address"),
            (self.storage, {"own_retention": True}, "rules"),
            (unpacked, {"active": False}, "active"),
            (self.shelved, {"active": True}, "active"),
            (self.bucket, {"s3_lock_days": 1}, "lock"),
            (self.bucket, {"s3_lock_mode": "GOVERNANCE"}, "lock"),
            (self.bucket, {"s3_lock_mode": False}, "lock"),
            (self.bucket, {"rules_confirmed": True}, "lifecycle"),
            (self.plan, {"storage_ids": [[3, self.other.id]]}, "storages"),
            (self.plan, {"encryption": "none"}, "encryption"),
            (self.plan, {"retention": "month"}, "retention"),
            (self.plan, {"retention": "custom", "keep_daily": 1}, "retention"),
            *((self.plan, {name: value}, "contents") for name, value in off.items()),
            (self.plan, {"frequency": "manual"}, "schedule"),
            (self.plan, {"active": False}, "active"),
            (self.retired, {"active": True}, "active"),
        ]

    def paths(self, record, values):
        """Return {name: call} for each way to make a change by RPC."""
        found = {
            "write": lambda: self.call(record, "write", values),
            "web_save": lambda: self.call(record, "web_save", values, {}),
            "web_save_multi": lambda: self.call(record, "web_save_multi", [values], {}),
            "load": lambda: self.load(record, values),
            "API key": lambda: self.call_from_outside(record, "write", values),
        }
        setups = self.env["backup.setup"]
        asked = [name for name in values if name in setups._fields]
        if record._name == "backup.plan" and asked == [*values]:
            found["set-up"] = lambda: self.set_up(record, values)
        if record._name == "backup.storage":
            below = {"storage_ids": [[1, record.id, values]]}
            found["relation"] = lambda: self.call(self.plan, "write", below)
        if "active" in values:
            name = "action_unarchive" if values["active"] else "action_archive"
            found[name] = lambda: self.call(record, name)
            found["toggle_active"] = lambda: self.call(record, "toggle_active")
        return found

    def load(self, record, values):
        """Import a CSV file with the ID of a record that is there."""
        row = {".id": str(record.id)}
        for name, value in values.items():
            if name == "storage_ids":
                kept = record.storage_ids - record.storage_ids.browse(value[0][1])
                row[f"{name}/.id"] = ",".join(map(str, kept.ids))
            else:
                boolean = record._fields[name].type == "boolean"
                row[name] = str(int(value) if boolean else value or "")
        rows = [[*row.values()]]
        return self.call_model(record, "load", [*row], rows, active_test=False)

    def set_up(self, plan, values):
        setup = self.env["backup.setup"].with_user(self.user)
        setup = setup.create({"plan_id": plan.id})
        answer = self.call(setup, "write", values)
        if "encryption" in values and "error" not in answer:  # when the page is left
            self.call(setup, "write", {"page": "safety", "alone": True})
            return self.call(setup, "action_next")
        return answer

    def test_changes(self):
        for record, values, action in self.changes():
            for path, change in self.paths(record, values).items():
                with self.subTest(path, model=record._name, values=values):
                    self.takes_the_password(change, action, record, path)

    def takes_the_password(self, change, action, record, path=""):
        """Without it the change is refused and nothing is noted; with it, there is
        one line."""
        savepoint = self.env.cr.savepoint()
        try:
            self.enter_password(at=0)
            self.assertAsked(change())
            self.assertFalse(self.noted())
            if path == "API key":
                return
            self.enter_password()
            answer = change()
            self.assertFalse(self.wanted(answer), answer)
            line = self.noted()
            self.assertEqual(line.mapped("action"), [action])
            self.assertEqual((line.user_id, line.login), (self.user, self.user.login))
            self.assertEqual((line.res_model, line.res_id), (record._name, record.id))
            self.assertNotEqual(line.old_value, line.new_value)
        finally:
            savepoint.close(rollback=True)
            self.env.invalidate_all(flush=False)

    def test_what_protects_more_is_free(self):
        self.plan.write({"include_addons": False, "frequency": "manual"})
        self.bucket.rules_confirmed = True
        self.before = self.audit.search([])
        for record, values in (
            (self.bucket, {"s3_lock_days": 30}),
            (self.bucket, {"rules_confirmed": False}),
            (self.plan, {"include_addons": True}),
            (self.plan, {"frequency": "weekly"}),
            (self.plan, {"active": True, "include_database": True}),
        ):
            with self.subTest(values=values):
                self.assertTrue(self.call(record, "write", values)["result"])
        self.assertFalse(self.noted())

    def far(self, **values):
        """Return a storage outside of this server that no plan has used."""
        settings = {"sftp_host": "far.example", "sftp_user": "keeper", **values}
        return self.env["backup.storage"].create(
            {"name": "Far", "provider": "sftp", "sftp_password": "secret", **settings}
        )

    def test_where_backups_go(self):
        """Who adds a storage of his own gets the whole database, as by a download."""
        far = self.far()
        values = {"storage_ids": [[4, far.id]]}
        for path, change in self.paths(self.plan, values).items():
            if path != "load":
                with self.subTest(path):
                    self.takes_the_password(change, "destination", self.plan, path)
        row = [str(self.plan.id), ",".join(map(str, (self.plan.storage_ids | far).ids))]
        names = [".id", "storage_ids/.id"]
        self.takes_the_password(
            lambda: self.call_model(self.plan, "load", names, [row]),
            "destination",
            self.plan,
        )
        self.enter_password(at=0)
        both = self.plan + self.fresh
        self.assertAsked(self.call(both, "write", values))

    def assert_creating_asks(self, create, action):
        """Without the password nothing is created; with it, the ``action`` is noted."""
        self.enter_password(at=0)
        self.assertAsked(create())
        self.assertFalse(self.noted())
        savepoint = self.env.cr.savepoint()
        self.enter_password()
        self.assertFalse(self.wanted(create()))
        self.assertEqual(self.noted().mapped("action"), [action])
        savepoint.close(rollback=True)
        self.env.invalidate_all(flush=False)

    def test_where_a_new_plan_sends_backups(self):
        values = {"name": "mine", "storage_ids": [[6, 0, self.far().ids]]}
        rows = [[values["name"], str(values["storage_ids"][0][2][0])]]
        plans = self.plan.browse()
        for create in (
            lambda: self.call_model(plans, "create", [values]),
            lambda: self.call_model(plans, "create", [{**values, "active": False}]),
            lambda: self.call_model(plans, "web_save", [], values, {}),
            lambda: self.call_model(plans, "load", ["name", "storage_ids/.id"], rows),
        ):
            self.assert_creating_asks(create, "destination")

    def test_new_storages_are_not_confirmed_unasked(self):
        values = {"name": "new", "provider": "sftp", "sftp_host": "far.example"}
        values |= {"sftp_user": "keeper", "sftp_password": "p", "rules_confirmed": True}
        rows = [[str(value) for value in values.values()]]
        storages = self.bucket.browse()
        for create in (
            lambda: self.call_model(storages, "create", [values]),
            lambda: self.call_model(storages, "web_save", [], values, {}),
            lambda: self.call_model(storages, "load", [*values], rows),
        ):
            self.assert_creating_asks(create, "lifecycle")

    def test_where_backups_go_already_is_free(self):
        far = self.far()
        self.retired.storage_ids |= far
        self.before = self.audit.search([])
        link = {"storage_ids": [[4, far.id], [4, self.spare.id]]}
        self.assertTrue(self.call(self.plan, "write", link)["result"])
        created = {"name": "third", "storage_ids": [[6, 0, far.ids]]}
        self.assertTrue(self.call_model(self.plan, "create", [created])["result"])
        self.assertFalse(self.noted())

    def test_the_address_of_a_storage_that_a_plan_sends_to(self):
        """Also before its first backup: the next ones go to the new address."""
        far = self.far()
        self.assertTrue(self.call(far, "write", {"sftp_host": "b.example"})["result"])
        self.fresh.storage_ids |= far
        self.before = self.audit.search([])
        self.takes_the_password(
            lambda: self.call(far, "write", {"sftp_host": "c.example"}), "address", far
        )

    def test_the_set_up_asks(self):
        far = self.far()
        setup = self.env["backup.setup"].with_user(self.user)
        setup = setup.create({"plan_id": self.fresh.id})
        tried = patch.object(type(far), "_must_answer", lambda storage: False)
        works = patch.object(type(far), "_test", lambda storage: (None, None))
        with tried, works:
            self.takes_the_password(
                lambda: self.call(far, "action_use_in_setup", backup_setup=setup.id),
                "destination",
                self.fresh,
            )

    def store(self):
        """Let each plan have a backup that can be lost."""
        for number, plan in enumerate(self.plan + self.fresh):
            values = {"key": f"stored-{number}.zip", "state": "verified"}
            self.copy.create(
                {**values, "plan_id": plan.id, "storage_id": self.storage.id}
            )

    def test_the_first_keys(self):
        """Who may choose them keeps the owner out of all later backups."""
        key = generate_key().public
        recipients = {"encryption": "recipients", "age_recipients": key}
        first = {"age_passphrase": "a long enough passphrase"}
        self.assertTrue(self.call(self.fresh, "write", recipients)["result"])
        self.fresh.write({"encryption": "none", "age_recipients": False})
        self.store()
        self.before = self.audit.search([])
        for values in (recipients, {"encryption": "passphrase", **first}):
            for path, change in self.paths(self.fresh, values).items():
                with self.subTest(path, values=values):
                    self.takes_the_password(change, "keys", self.fresh, path)
        wizard = self.env["backup.key.wizard"].with_user(self.user)
        about = {"plan_id": self.fresh.id, "public_key": key, "kept_elsewhere": True}
        wizard = wizard.create(about)
        self.takes_the_password(
            lambda: self.call(wizard, "action_use"), "keys", self.fresh
        )

    def test_a_rarer_schedule(self):
        self.assertTrue(
            self.call(self.plan, "write", {"frequency": "weekly"})["result"]
        )
        self.plan.frequency = "daily"
        self.store()
        self.before = self.audit.search([])
        later = fields.Datetime.to_string(fields.Datetime.now() + timedelta(days=30))
        rarer = [{"frequency": "weekly"}, {"frequency": "monthly"}]
        for values in (*rarer, {"paused_until": later}):
            for path, change in self.paths(self.plan, values).items():
                with self.subTest(path, values=values):
                    self.takes_the_password(change, "schedule", self.plan, path)
        self.assertTrue(
            self.call(self.plan, "write", {"frequency": "hourly"})["result"]
        )
        self.assertFalse(self.noted())

    def test_who_silences_a_plan_is_written_down(self):
        self.plan.write(
            {
                "alert_emails": "it@dfr.org, boss@dfr.org",
                "drill_every": "7",
                "ping_url": "https://hc.example/ping",
            }
        )
        for values in (
            {"promise_hours": 1000},
            {"promise_hours": 0},
            {"verify_every": "0"},
            {"drill_every": "30"},
            {"alert_failure": False},
            {"alert_group_ids": [[5]]},
            {"attention_user_ids": [[5]]},
            {"alert_emails": "boss@dfr.org"},
            {"ping_url": "https://hc.example/another"},
        ):
            with self.subTest(values=values):
                self.before = self.audit.search([])
                self.assertTrue(self.call(self.plan, "write", values)["result"])
                line = self.noted()
                self.assertEqual(line.mapped("action"), ["alerts"])
                self.assertEqual((line.user_id, line.res_id), (self.user, self.plan.id))
                self.assertNotIn("hc.example", line.old_value + line.new_value)
        self.before = self.audit.search([])
        more = {"promise_hours": 1, "verify_every": "1", "alert_emails": "boss@dfr.org"}
        self.assertTrue(self.call(self.plan, "write", more)["result"])
        self.assertFalse(self.noted())

    def test_deleting_a_record(self):
        unused = self.spare.copy({"local_path": str(self.root / "unused")})
        for record in (self.fresh, unused):
            for path, caller in (("", self.call), ("API key", self.call_from_outside)):
                with self.subTest(path, model=record._name):
                    self.takes_the_password(
                        lambda caller=caller, one=record: caller(one, "unlink"),
                        "removed",
                        record,
                        path,
                    )

    def test_several_at_once(self):
        """Each of them gets its line."""
        both = self.plan + self.fresh
        values = {"frequency": "manual"}
        self.assertAsked(self.call(both, "write", values))
        self.assertFalse(self.noted())
        self.enter_password()
        self.assertTrue(self.call(both, "write", values)["result"])
        self.assertEqual(self.noted().mapped("res_id"), both.ids)

    def test_a_field_that_is_put_in_order(self):
        """The web client lets every whole number be a sequence."""
        self.plan.retention = "custom"
        for name in ("keep_daily", "keep_minimum"):
            answer = self.call(self.plan, "web_resequence", {}, name, 1)
            self.assertAsked(answer)

    def test_records_below(self):
        """The commands of a relation change nothing that its own model would not
        let be changed."""
        job = self.run_now()
        copy, run = {"key": "x.zip"}, {"name": "x", "uuid": "x", "database_uuid": "x"}
        forged = [
            (self.storage, "copy_ids", [1, self.copy.id, {"protected": False}]),
            (self.storage, "copy_ids", [2, self.copy.id]),
            (self.storage, "copy_ids", [3, self.copy.id]),
            (self.storage, "copy_ids", [5]),
            (self.storage, "copy_ids", [0, 0, copy]),
            (self.other, "copy_ids", [4, self.copy.id]),
            (self.plan, "job_ids", [1, job.id, {"state": "success"}]),
            (self.plan, "job_ids", [0, 0, run]),
            (self.fresh, "job_ids", [4, job.id]),
        ]
        self.enter_password()
        for record, name, command in forged:
            with self.subTest(name, command=command):
                answer = self.call(record, "write", {name: [command]})
                self.assertIn("AccessError", answer["error"]["data"]["name"])
        self.assertEqual(self.copy.storage_id, self.storage)
        self.assertTrue(self.copy.protected)
        self.assertEqual((job.plan_id, job.state), (self.plan, "pending"))

    # === SETTINGS === #

    def test_settings(self):
        self.become(self.admin)
        for path, change in self.settings_paths().items():
            with self.subTest(path):
                self.enter_password(at=0)
                savepoint = self.env.cr.savepoint()
                self.assertAsked(change())
                self.assertFalse(self.noted())
                if path != "API key":
                    self.enter_password()
                    self.assertFalse(self.wanted(change()))
                    line = self.noted()
                    self.assertEqual(line.action, "settings")
                    self.assertEqual(line.user_id, self.admin)
                    self.assertEqual((line.old_value, line.new_value), ("True", ""))
                savepoint.close(rollback=True)
                self.env.invalidate_all(flush=False)

    def settings_paths(self):
        params = self.env["ir.config_parameter"]
        name = "dfr_backup.backup_before_upgrade"
        params.set_param(name, "True")
        self.before = self.audit.search([])
        found = params.search([("key", "=", name)])
        return {
            "settings": self.execute_settings,
            "set_param": lambda: self.call_model(params, "set_param", name, False),
            "rename": lambda: self.call(found, "write", {"key": "another"}),
            "unlink": lambda: self.call(found, "unlink"),
            "load": lambda: self.call_model(
                found, "load", [".id", "key"], [[str(found.id), "another"]]
            ),
            "API key": lambda: self.call_from_outside(found, "unlink"),
        }

    def execute_settings(self):
        settings = self.env["res.config.settings"].with_user(self.admin)
        settings = settings.create({"dfr_backup_before_upgrade": False})
        return self.call(settings, "execute")

    def test_the_settings_of_others_are_free(self):
        self.become(self.admin)
        params = self.env["ir.config_parameter"]
        for key in ("another.one", "dfr_backup.setup"):
            answer = self.call_model(params, "set_param", key, "x")
            self.assertFalse(self.wanted(answer), answer)
        self.assertFalse(self.noted())

    def test_tokens_of_monitors(self):
        self.become(self.admin)
        settings = self.env["res.config.settings"].with_user(self.admin).create({})
        self.env["backup.monitor"].sudo()._switch_off("health")
        self.before = self.audit.search([])
        buttons = [f"action_dfr_backup_monitor_{name}" for name in ("on", "on", "off")]
        values = []
        for button in buttons:
            self.enter_password(at=0)
            known = self.noted()
            self.assertAsked(self.call(settings, button, monitor="health"))
            self.assertFalse(self.noted() - known)
            self.enter_password()
            answer = self.call(settings, button, monitor="health")
            line = self.noted() - known
            self.assertEqual((line.action, line.user_id), ("monitor", self.admin))
            values.append((line.old_value, line.new_value))
            self.tells_no_token(answer["result"], line)
        (first, second), (third, fourth), (fifth, sixth) = values
        self.assertFalse(first or sixth)
        self.assertEqual((second, fourth), (third, fifth))
        self.assertNotEqual(second, fourth)

    def tells_no_token(self, action, line):
        token = (action.get("context") or {}).get("default_token")
        if token:
            said = f"{line.old_value} {line.new_value}"
            self.assertNotIn(token[:6], said)
            [stored] = self.env["ir.config_parameter"].search(
                [("key", "=", "dfr_backup.health_token")]
            )
            self.assertNotIn(stored.value, said)

    def test_a_token_of_ones_own_takes_the_password(self):
        """Its hash is a parameter, which an administrator can write."""
        self.become(self.admin)
        params = self.env["ir.config_parameter"]
        for name in ("dfr_backup.health_token", "dfr_backup.metrics_token"):
            values = {"key": name, "value": "0" * 64}
            self.env["backup.monitor"].sudo()._switch_off(name.split(".")[1][:-6])
            self.assertAsked(self.call_model(params, "create", [values]))
            self.assertAsked(self.call_model(params, "set_param", name, "0" * 64))
            row = [[name, "0" * 64]]
            self.assertAsked(self.call_model(params, "load", ["key", "value"], row))

    # === BUTTONS === #

    def test_repairing_the_filestore(self):
        issue = self.env["backup.filestore.issue"].create(
            {
                "attachment": 1,
                "name": "invoice.pdf",
                "store_fname": "aa/bb",
                "kind": "missing",
                "first_seen": "2026-01-01",
            }
        )
        wizards = self.env["backup.repair.wizard"].with_user(self.manager)
        wizard = wizards.create({"issue_ids": issue.ids})
        for caller in (self.call, self.call_from_outside):
            self.assertAsked(caller(wizard, "action_repair"))
        repairs = [("kind", "=", "repair")]
        self.assertFalse(self.env["backup.job"].search_count(repairs))
        self.enter_password()
        self.call(wizard, "action_repair")
        line = self.noted()
        job = self.env["backup.job"].search(repairs)
        self.assertEqual((line.action, line.res_id), ("repair", job.id))
        self.assertIn(issue.name, line.new_value)
