"""Every public method, record, secret and address of the addon, tried by everybody."""

import inspect
import json
import time
from unittest.mock import patch

from odoo import http
from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import config

from ..engine.errors.people import IdentityNotConfirmed, PasswordNeeded
from ..models.copy.downloading import SCOPE as DOWNLOAD_SCOPE
from ..models.grants import grant
from ..wizards.backup_import_wizard import UPLOAD_SCOPE
from .archives import store_archive
from .common import BackupCase
from .rights import ADDRESSES, METHODS, RECORDS, ROLES

MODULE = "odoo.addons.dfr_backup."
ASKING = {IdentityNotConfirmed.code, PasswordNeeded.code}
# of the ORM: RECORDS says who may, and the others give away nothing that is stored
OF_RECORDS = {"create", "write", "unlink", "default_get"}
PRIVATE = {"init"}  # Odoo calls it, and refuses it to everybody else
OPERATIONS = ("read", "write", "create", "unlink")
ARGUMENTS = {
    **{name: [""] for name in METHODS if name.endswith(".get_empty_list_help")},
    "backup.import.wizard.start_upload": ["a.zip", 5, 0],
    "backup.overview.dismiss_advice": ["drill"],
    "backup.overview.dismiss_run": [0],
}
GROUPS = {
    "portal": "base.group_portal",
    "employee": "base.group_user",
    "viewer": "dfr_backup.group_viewer",
    "manager": "dfr_backup.group_manager",
    "system": "base.group_system",
}
# what those who may would really do to this server
NOT_CALLED = {
    "backup.job.action_go_on",
    "ir.module.module.button_immediate_uninstall",
    "ir.module.module.button_immediate_upgrade",
}
SECRET = "S3CR3T"
ORDER = [*ROLES]


def may(role, least):
    return least is not None and ORDER.index(role) >= ORDER.index(least)


class RightsCase(BackupCase, HttpCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.users = {
            role: new_test_user(cls.env, f"backup-{role}", group)
            for role, group in GROUPS.items()
        }
        exporting = cls.env.ref("base.group_allow_export")  # it is asked for apart
        for role in ("viewer", "manager"):
            cls.users[role].group_ids += exporting
        store_archive(cls.root / "disk", "db-1.zip", [("a", "b", 1, b"x")])
        cls.job = cls.env["backup.job"].browse(cls.plan.action_run_now()["res_id"])
        cls.copy = cls.env["backup.copy"].create(
            {
                "storage_id": cls.storage.id,
                "plan_id": cls.plan.id,
                "job_id": cls.job.id,
                "key": "db-1.zip",
                "date": "2026-10-12 02:00:00",
                "contents": "database, filestore",
                "size": (cls.root / "disk" / "db-1.zip").stat().st_size,
            }
        )
        cls.issue = cls.env["backup.filestore.issue"].create(
            {
                "attachment": 1,
                "store_fname": "aa/bb",
                "kind": "missing",
                "first_seen": "2026-01-01",
                "last_seen": "2026-01-01",
            }
        )
        cls.env["backup.audit"]._note("delete", cls.copy)
        watched = {"dfr_backup_watch_hosts": "127.0.0.1:9"}
        cls.startClassPatcher(patch.dict(config._file_options, watched))
        cls.env["backup.server"].create({"name": "x", "url": "http://127.0.0.1:9"})
        trust = {"sha256": "0" * 64, "key": "db-1.zip", "user_id": cls.env.uid}
        cls.env["backup.trust"].create(trust)
        cls.env["backup.staging"].create({"database": "x"})

    def become(self, role):
        self.role = role
        if role == "public":
            self.authenticate(None, None)
        else:
            self.authenticate(f"backup-{role}", f"backup-{role}")
            self.enter_password(at=0)

    def enter_password(self, at=None):
        self.session["identity-check-last"] = time.time() if at is None else at
        http.root.session_store.save(self.session)

    # === THE RECORDS THAT ARE TRIED === #

    def record_of(self, model):
        """Return a record of ``model``; a form is one of the user who tries."""
        known = {
            "backup.backup": self.copy.backup_id,
            "backup.copy": self.copy,
            "backup.filestore.issue": self.issue,
            "backup.job": self.job,
            "backup.plan": self.plan,
            "backup.step": self.job.step_ids[:1],
            "backup.storage": self.storage,
        }
        if model in known:
            return known[model]
        records = self.env[model]
        if records._abstract:
            return records
        if not records._transient:
            return records.search([], limit=1)
        user = self.users.get(self.role, self.env.user)
        made = records.with_user(user).sudo().create(self.values_of(model, user))
        self.env.flush_all()
        return made

    def values_of(self, model, user):
        copy, copy_ids = {"copy_id": self.copy.id}, self.copy.ids
        if model.startswith(("backup.browse.", "backup.compare.")):
            owner = model.rpartition(".")[0]
            values = self.values_of(owner, user)
            made = self.env[owner].with_user(user).sudo().create(values)
            more = {"backup.compare.line": {"kind": "table", "name": "a"}}
            link = f"{owner.rpartition('.')[2]}_id"
            return {link: made.id, **more.get(model, {})}
        return {
            "backup.browse": copy,
            "backup.compare": {"before_id": self.copy.id, "after_id": self.copy.id},
            "backup.confirm.wizard": {"operation": "delete", "copy_ids": copy_ids},
            "backup.import.wizard": {"storage_id": self.storage.id},
            "backup.key.wizard": {"plan_id": self.plan.id},
            "backup.prune.wizard": {"storage_id": self.storage.id},
            "backup.repair.wizard": {"issue_ids": self.issue.ids},
            "backup.restore.wizard": {**copy, "database": "new"},
            "backup.setup": {"plan_id": self.plan.id},
            "backup.staging.wizard": {**copy, "database": "new"},
        }.get(model, {})

    # === TRYING === #

    def call(self, model, method, *args, **context):
        """Call a method by RPC and take back what it did; return the answer."""
        params = {
            "model": model,
            "method": method,
            "args": args,
            "kwargs": {"context": context},
        }
        savepoint = self.env.cr.savepoint()
        answer = self.url_open(
            f"/web/dataset/call_kw/{model}/{method}",
            data=json.dumps({"jsonrpc": "2.0", "method": "call", "params": params}),
            headers={"Content-Type": "application/json"},
        ).json()
        savepoint.close(rollback=True)
        self.env.invalidate_all(flush=False)
        return answer

    def outcome(self, answer):
        """Return what came of a call: "allowed", "asked" or "refused"."""
        error = answer.get("error")
        if not error:
            result = answer.get("result")
            checked = isinstance(result, dict) and result.get("res_model")
            return "asked" if checked == "res.users.identitycheck" else "allowed"
        data = error["data"]
        if (data.get("context") or {}).get("error_code") in ASKING:
            return "asked"
        refusals = ("AccessError", "AccessDenied", "SessionExpiredException")
        return "refused" if data["name"].endswith(refusals) else "allowed"


@tagged("post_install", "-at_install")
class TestRights(RightsCase):
    # === METHODS === #

    def public_methods(self):
        """Return the public methods that this addon defines, as {name: is_model}."""
        found = {}
        for name, model in self.env.registry.models.items():
            for base in model.mro():
                if not base.__module__.startswith(MODULE):
                    continue
                for method, function in vars(base).items():
                    if method.startswith("_") or not inspect.isfunction(function):
                        continue
                    passed_over = method in OF_RECORDS | PRIVATE
                    if not passed_over and not name.endswith(".mixin"):
                        is_model = getattr(getattr(model, method), "_api_model", False)
                        found[f"{name}.{method}"] = is_model
        return found

    def test_every_public_method_is_in_the_table(self):
        self.assertEqual(set(self.public_methods()), set(METHODS))

    def test_methods(self):
        of_model = self.public_methods()
        for role in ROLES:
            self.become(role)
            for name, right in METHODS.items():
                if may(role, right.role) and name in NOT_CALLED:
                    continue
                with self.subTest(name, role=role):
                    answer = self.try_method(name, of_model[name])
                    expected = {"asked" if right.asks else "allowed"}
                    if not may(role, right.role):
                        # Odoo asks before it looks who that is
                        asked = right.asks == "password" and role != "public"
                        expected = {"refused", *(["asked"] if asked else [])}
                    self.assertIn(self.outcome(answer), expected, answer)

    def try_method(self, name, is_model):
        model, _dot, method = name.rpartition(".")
        args = ARGUMENTS.get(name, [])
        if not is_model:
            args = [self.record_of(model).ids, *args]
        context = {"monitor": "health"} if "monitor" in method else {}
        return self.call(model, method, *args, **context)

    def test_methods_after_the_password(self):
        of_model = self.public_methods()
        for role in GROUPS:
            self.become(role)
            self.enter_password()
            for name, right in METHODS.items():
                if not right.asks:
                    continue
                expected = "asked" if right.asks == "opened" else "allowed"
                if not may(role, right.role):
                    expected = "refused"
                with self.subTest(name, role=role):
                    answer = self.try_method(name, of_model[name])
                    self.assertEqual(self.outcome(answer), expected, answer)

    # === RECORDS === #

    def test_every_model_is_in_the_table(self):
        names = self.env["ir.model"].search([("model", "=like", "backup.%")])
        models = {n for n in names.mapped("model") if not self.env[n]._abstract}
        self.assertEqual(models, set(RECORDS))

    def test_records(self):
        for role in ROLES:
            self.become(role)
            for model, rights in RECORDS.items():
                for operation, least in zip(OPERATIONS, rights, strict=True):
                    with self.subTest(model, role=role, operation=operation):
                        answer = self.try_record(model, operation)
                        # the password may be asked of those alone who may
                        allowed = {"allowed", "asked"}
                        expected = allowed if may(role, least) else {"refused"}
                        self.assertIn(self.outcome(answer), expected, answer)

    def try_record(self, model, operation):
        if operation == "create":
            return self.call(model, "create", {})
        more = {"read": [["display_name"]], "write": [{}]}.get(operation, [])
        return self.call(model, operation, self.record_of(model).ids, *more)

    # === SECRETS === #

    def secrets(self):
        """Return {model: names of its secrets}."""
        found = {}
        for name, model in self.env.registry.models.items():
            if "sealed_secrets" in model._fields and not model._abstract:
                found[name] = self.env[name]._secret_names()
        return found

    def test_a_secret_is_never_told(self):
        secrets = self.secrets()
        self.assertTrue({"backup.storage", "backup.plan"} <= set(secrets))
        for role in ROLES:
            self.become(role)
            for model, names in secrets.items():
                record = self.record_of(model)
                self.encrypt(record, names)
                with self.subTest(model, role=role):
                    self.keeps(record, names)
                tried = [*names, "sealed_secrets"] if role == "manager" else []
                for name in tried:
                    with self.subTest(model, role=role, name=name):
                        self.keeps_from_who_guesses(record, name)

    def encrypt(self, record, names):
        sealed = {name: record._encrypted(name, SECRET) for name in names}
        record.sudo().sealed_secrets = sealed
        self.env.flush_all()
        self.told = [SECRET, *(token[:40] for token in sealed.values())]

    def tell(self, record, method, *args):
        """Call a method, and see that its answer holds no secret."""
        answer = self.call(record._name, method, *args)
        for told in self.told:
            self.assertNotIn(told, json.dumps(answer), method)
        return answer

    def keeps(self, record, names):
        mine = [("id", "in", record.ids)]
        for wanted in (names, ["sealed_secrets"]):
            as_read = {name: {} for name in wanted}
            self.tell(record, "read", record.ids, wanted)
            self.tell(record, "search_read", mine, wanted)
            if self.role not in ("viewer", "manager"):
                continue
            self.tell(record, "export_data", record.ids, wanted)
            self.tell(record, "web_read", record.ids, as_read)
            self.tell(record, "web_search_read", mine, as_read)
        self.tell(record, "read", record.ids)
        self.tell(record, "copy_data", record.ids)
        write = {"sealed_secrets": {names[0]: "forged"}}
        for method, args in (("write", [record.ids, write]), ("create", [write])):
            self.assertEqual(
                self.outcome(self.tell(record, method, *args)), "refused", method
            )

    def keeps_from_who_guesses(self, record, name):
        """A right guess must tell no more than a wrong one, and no order anything."""
        self.tell(record, "search_read", [], ["id"], 0, None, name)
        self.tell(record, "formatted_read_group", [], [name], ["__count"])
        self.tell(record, "formatted_read_group", [], [], [f"{name}:array_agg"])
        for operator in ("=", "ilike", "=like", ">"):
            found = []
            for guess in (SECRET, "something else"):
                domain = [(name, operator, guess)]
                answer = self.call(record._name, "search_read", domain, ["id"])
                error = answer.get("error")
                found.append(error["data"]["name"] if error else answer["result"])
            self.assertEqual(*found, operator)

    # === ADDRESSES === #

    def test_every_address_is_in_the_table(self):
        rules = self.env["ir.http"].routing_map().iter_rules()
        found = {
            rule.rule.partition("/<")[0]
            for rule in rules
            if rule.endpoint.func.__module__.startswith(MODULE)
        }
        self.assertEqual(found, set(ADDRESSES))

    def addresses(self, user):
        """Return an address of each kind that opens for ``user``."""
        copy = self.copy.with_user(user)
        wizard = self.env["backup.import.wizard"].with_user(user).sudo()
        wizard = wizard.create({"storage_id": self.storage.id}).with_user(user)
        self.env.flush_all()
        numbers = {
            "/dfr_backup/download": (copy, DOWNLOAD_SCOPE),
            "/dfr_backup/upload": (wizard, UPLOAD_SCOPE),
        }
        tokens = {
            path: f"{path}/{record.id}/{grant(record, scope, 60)}"
            for path, (record, scope) in numbers.items()
        }
        return {
            **tokens,
            "/dfr_backup/attachment": f"/dfr_backup/attachment/1/{'0' * 40}",
            "/dfr_backup/recovery_kit": f"/dfr_backup/recovery_kit/{self.plan.id}",
        }

    def open(self, path):
        """Return the status of an address."""
        data = b"x" if "/upload/" in path else None
        answer = self.url_open(path, data=data, allow_redirects=False)
        return answer.status_code

    def test_addresses(self):
        of_manager = self.addresses(self.users["manager"])
        for role in ROLES:
            self.become(role)
            for path, address in of_manager.items():
                with self.subTest(path, role=role):
                    status = self.open(address)
                    if path.endswith("recovery_kit"):
                        good = may(role, ADDRESSES[path].role)
                    else:  # another manager has no use for it
                        good = role == "manager" and path.endswith("download")
                    self.assertEqual(status == 200, good, status)
                    if role == "public":
                        self.assertEqual(status, 303)

    def test_addresses_of_monitors_take_their_token(self):
        monitors = self.env["backup.monitor"]
        for monitor in ("health", "metrics"):
            path = f"/dfr_backup/{monitor}"
            monitors.sudo()._switch_off(monitor)
            for role in ROLES:
                self.become(role)
                self.assertEqual(self.open(path), 404)
            token = monitors.sudo()._new_token(monitor)
            for role in ROLES:
                self.become(role)
                self.assertEqual(self.open(path), 401)
                self.assertEqual(self.open(f"{path}?token=x{token}"), 401)
                self.assertIn(self.open(f"{path}?token={token}"), (200, 503))
