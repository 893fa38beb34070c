"""Who calls by RPC, with and without the password, and what the audit trail says."""

import json
import shutil
import time
from datetime import timedelta

from odoo import fields, http
from odoo.fields import Command
from odoo.tests import HttpCase, new_test_user

from ..engine.errors.people import PasswordNeeded
from .common import BackupCase


class AuditCase(BackupCase, HttpCase):
    """The manager “boss”, logged in, who has not entered his password again; a plan
    with something to lose."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = new_test_user(cls.env, "boss", "dfr_backup.group_manager")
        cls.other = cls.env["backup.storage"].create(
            {"name": "Second", "local_path": str(cls.root / "second")}
        )
        cls.plan.write(
            {
                "storage_ids": [Command.link(cls.other.id)],
                "encryption": "passphrase",
                "retention": "year",
            }
        )
        cls.copy = cls.env["backup.copy"].create(
            {"storage_id": cls.storage.id, "key": "db-1.zip", "protected": True}
        )

    def setUp(self):
        super().setUp()
        self.audit = self.env["backup.audit"]
        self.before = self.audit.search([])
        shutil.rmtree(self.root / "third", ignore_errors=True)
        self.become(self.manager)

    def become(self, user):
        """Log in; the password is asked for again."""
        self.user = user
        self.authenticate(user.login, user.login)
        self.enter_password(at=0)

    def enter_password(self, at=None):
        """Note in the session when the password was entered, as Odoo's dialog does."""
        self.session["identity-check-last"] = time.time() if at is None else at
        http.root.session_store.save(self.session)

    def call(self, records, method, *args, **context):
        """Call a method as the web client does; return the answer."""
        return self.call_model(records, method, records.ids, *args, **context)

    def call_model(self, model, method, *args, **context):
        params = {
            "model": model._name,
            "method": method,
            "args": args,
            "kwargs": {"context": context},
        }
        answer = self.url_open(
            f"/web/dataset/call_kw/{model._name}/{method}",
            data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
            headers={"Content-Type": "application/json"},
        ).json()
        self.env.invalidate_all()
        return answer

    def call_from_outside(self, records, method, *args):
        """Call a method with an API key, which has no session."""
        key = self.env["res.users.apikeys"].with_user(self.user)
        expiry = fields.Datetime.now() + timedelta(hours=1)
        made = key._generate("rpc", "test", expiry)
        database = self.env.cr.dbname
        call = [database, self.user.id, made, records._name, method]
        params = {
            "service": "object",
            "method": "execute_kw",
            "args": [*call, [records.ids, *args]],
        }
        answer = self.url_open(
            "/jsonrpc",
            data=json.dumps({"jsonrpc": "2.0", "params": params}),
            headers={"Content-Type": "application/json"},
        ).json()
        self.env.invalidate_all()
        return answer

    def noted(self):
        lines = self.audit.search([]) - self.before
        return lines.sorted("id")

    def assertAsked(self, answer):
        """The call was refused, or answered with Odoo's dialog, for want of the
        password."""
        self.assertIn(PasswordNeeded.code, self.wanted(answer), answer)

    def wanted(self, answer):
        if "error" in answer:
            return answer["error"]["data"]["message"]
        result = answer.get("result")
        if isinstance(result, dict) and "messages" in result:  # of an import
            return " ".join(found["message"] for found in result["messages"])
        asked = isinstance(result, dict) and result.get("res_model")
        dialog = asked == "res.users.identitycheck"
        return PasswordNeeded.code if dialog else ""
