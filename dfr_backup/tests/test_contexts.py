"""What the context of a call may not do: whoever calls by RPC chooses it."""

import ast
import json
from pathlib import Path
from unittest.mock import patch

from odoo.exceptions import AccessError
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import config

from .. import runner
from .common import BackupCase

ADDON = Path(__file__).parents[1]
# every key that the addon's code reads, and what whoever chooses it can do with it
HARMLESS = {
    "backup_calendar": "what a backup is called in the calendar",
    "backup_setup": "shows a set-up form, which only its own user may read",
    "browser_tz": "proposes the time zone of a new plan",
    "dfr_backup_no_backup": "only Settings may upgrade, and may switch this off",
    "monitor": "only Settings may open the addresses of monitors",
    "own_storages": "shows fewer storages than whoever chooses it may read",
    "storage_kind": "proposes the name of a new storage",
    "tz": "the time zone in which a moment is written",
}
# forms of one user, in which what he has typed and what a default says are the same
FORMS = {
    "backup.confirm.wizard",
    "backup.key.wizard",
    "backup.monitor.token",
    "backup.prune.wizard",
    "backup.repair.wizard",
    "backup.restore.wizard",
    "backup.setup",
    "backup.staging.wizard",
}
# made by the code of such a form or of a button alone, below a record that cleans
BELOW = {
    "backup.browse.addon",
    "backup.browse.file",
    "backup.browse.table",
    "backup.compare.line",
}
A_VALUE = {
    "boolean": True,
    "char": "forged",
    "date": "2031-01-01",
    "datetime": "2031-01-01 00:00:00",
    "float": 77.0,
    "integer": 77,
    "json": {"forged": 1},
    "text": "forged",
}


def keys_read(tree):
    """Return the names that a source reads of a context, or the source itself where
    that is no text."""
    found = set()
    for node in ast.walk(tree):
        of = getattr(node, "value", None) or getattr(
            getattr(node, "func", None), "value", None
        )
        if not isinstance(of, ast.Attribute) or of.attr != "context":
            continue
        if isinstance(node, ast.Call) and node.func.attr == "get":
            found.add(node.args[0])
        if isinstance(node, ast.Subscript):
            found.add(node.slice)
    return {
        key.value if isinstance(key, ast.Constant) else ast.unparse(key)
        for key in found
    }


@tagged("post_install", "-at_install")
class TestContexts(BackupCase, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.manager.email = "boss@example.com"

    def call(self, records, method, *args, **context):
        """Call a method as a web client does, with a context of one's own."""
        return self.call_model(records._name, method, records.ids, *args, **context)

    def call_model(self, model, method, *args, **context):
        params = {
            "model": model,
            "method": method,
            "args": args,
            "kwargs": {"context": context},
        }
        answer = self.url_open(
            f"/web/dataset/call_kw/{model}/{method}",
            data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
            headers={"Content-Type": "application/json"},
        ).json()
        self.env.invalidate_all()
        return answer

    def test_nobody_is_the_runner_who_says_so(self):
        """The runner commits what it writes: of a call that is refused nothing may be
        in the database."""
        self.authenticate("boss", "boss")
        paths = [str(self.root / "b"), "/etc/b"]
        values = [{"name": path, "local_path": path} for path in paths]
        for said in (True, 1, "runner", {"runner": True}):
            with self.subTest(said):
                claim = {runner.CONTEXT_KEY: said}
                answer = self.call_model("backup.storage", "create", values, **claim)
                self.assertIn("error", answer)
                storages = self.env["backup.storage"]
                self.assertFalse(storages.search([("local_path", "=", paths[0])]))

    def test_a_mail_takes_nothing_along_that_a_context_names(self):
        secret = self.env["ir.attachment"].create(
            {"name": "salaries", "raw": b"secret", "res_model": "res.users"}
        )
        self.plan.alert_user_ids = self.manager
        self.authenticate("boss", "boss")
        mails = self.env["mail.mail"]
        before = mails.search([])
        with patch.object(type(mails), "send"):
            self.call(
                self.plan,
                "action_test_mail",
                default_attachment_ids=[[4, secret.id]],
                default_email_cc="boss@example.com",
            )
        made = mails.search([]) - before
        self.assertEqual(made.email_to, self.manager.email)
        self.assertFalse(made.attachment_ids)
        self.assertFalse(made.email_cc)

    def test_every_key_that_is_read_is_known(self):
        found = set()
        for folder in ("models", "wizards", "controllers"):
            for path in (ADDON / folder).rglob("*.py"):
                found |= keys_read(ast.parse(path.read_text()))
        self.assertEqual(found, set(HARMLESS))

    # === DEFAULTS === #

    def models(self):
        """Return the models of the addon that have a table."""
        own = self.env["ir.model"].search([("model", "=like", "backup.%")])
        models = [self.env[name] for name in own.mapped("model")]
        return [model for model in models if not model._abstract]

    def protected(self, model):
        """Return the stored fields that no user may fill, with a forged value each."""
        mixins = type(model).mro()
        if any(one.__name__ == "backup.record.mixin" for one in mixins):
            names = [n for n, f in model._fields.items() if f.store and not f.compute]
        elif any(one.__name__ == "backup.readonly.mixin" for one in mixins):
            names = sorted(model._own_fields())
        else:
            return {}
        automatic = {"id", "create_uid", "create_date", "write_uid", "write_date"}
        return {name: self.forged(model, name) for name in {*names} - automatic}

    def forged(self, model, name):
        field = model._fields[name]
        if field.type == "selection":
            return [value for value, _label in field._description_selection(self.env)][
                -1
            ]
        if field.type == "many2one":
            return self.env[field.comodel_name].sudo().search([], limit=1).id
        if field.type in ("one2many", "many2many"):
            return []
        return A_VALUE[field.type]

    def required(self, model):
        """Return the least with which a record can be made."""
        copy = {"storage_id": self.storage.id, "key": "a.zip"}
        return {
            "backup.audit": {"action": "delete", "res_model": "backup.copy"},
            "backup.browse": {"copy_id": self.copy.id},
            "backup.compare": {"before_id": self.copy.id, "after_id": self.copy.id},
            "backup.backup": {"name": "a.zip"},
            "backup.copy": copy,
            "backup.filestore.issue": {
                "attachment": 1,
                "store_fname": "aa/bb",
                "kind": "missing",
                "first_seen": "2026-01-01",
                "last_seen": "2026-01-01",
            },
            "backup.import.wizard": {"storage_id": self.storage.id},
            "backup.job": {"name": "B1", "uuid": "1", "database_uuid": "2"},
            "backup.plan": {"name": "Mine", "storage_ids": self.storage.ids},
            "backup.staging": {"database": "x"},
            "backup.server": {"name": "Far", "url": "http://127.0.0.1:1"},
            "backup.step": {"job_id": self.copy.job_id.id, "kind": "upload"},
            "backup.storage": {"name": "A", "local_path": str(self.root / "a")},
            "backup.storage.kind": {"code": "a", "name": "A", "provider": "local"},
            "backup.trust": {"sha256": "0" * 64, "key": "a", "user_id": 1},
        }[model._name]

    def test_no_default_reaches_what_only_the_addon_may_know(self):
        job = self.run_now()
        values = {"storage_id": self.storage.id, "key": "b.zip", "job_id": job.id}
        self.copy = self.env["backup.copy"].create(values)
        self.startPatcher(
            patch.dict(config._file_options, {"dfr_backup_watch_hosts": "127.0.0.1:*"})
        )
        for model in self.models():
            if model._name in FORMS | BELOW:
                continue
            with self.subTest(model._name):
                self.refuses_defaults(model)

    def refuses_defaults(self, model):
        forged, given = self.protected(model), self.required(model)
        self.assertTrue(forged, "who protects it?")
        makers = model.with_user(self.manager)
        if not makers.has_access("create"):
            makers = makers.sudo()  # as a button does for him
        names = {name for name in forged if name not in given}
        honest = makers.create(dict(given)).sudo()
        expected = {name: honest[name] for name in names}
        self.empty(honest)
        defaults = {f"default_{name}": forged[name] for name in names}
        in_context = makers.with_context(**defaults)
        self.takes_none(in_context, given, names, expected)
        # every employee may choose defaults of his own, for each field
        mine = self.env["ir.default"].with_user(self.manager)
        for name in names:
            mine.set(model._name, name, forged[name], user_id=True)
        self.takes_none(makers, given, names, expected)

    def takes_none(self, makers, given, names, expected):
        made = makers.create(dict(given)).sudo()
        taken = [
            name
            for name in names
            if made[name] != expected[name] and made[name] == self.as_value(made, name)
        ]
        self.assertFalse(taken)
        self.empty(made)

    def as_value(self, record, name):
        """Return what the field would hold with the forged value."""
        field, value = record._fields[name], self.forged(record, name)
        return field.convert_to_record(field.convert_to_cache(value, record), record)

    def empty(self, record):
        """Make room for another one with the same values."""
        if record._name == "backup.job":
            self.env.cr.execute("DELETE FROM backup_job WHERE id = %s", record.ids)
        elif record._name == "backup.audit":
            return
        else:
            self.env.flush_all()
            query = f"DELETE FROM {record._table} WHERE id = %s"
            self.env.cr.execute(query, record.ids)
        self.env.invalidate_all()

    def test_what_a_context_fills_in_is_of_no_use_in_a_secret(self):
        plans = self.env["backup.plan"].with_user(self.manager)
        sealed = {"default_sealed_secrets": {"age_passphrase": "x"}}
        with self.assertRaises(AccessError):
            plans.with_context(**sealed).create({"name": "Mine"})
