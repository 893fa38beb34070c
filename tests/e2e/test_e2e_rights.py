"""Two databases of one server: what an administrator of the one gets of the other."""

import contextlib
import hashlib
import http.cookiejar
import json
import shutil
import urllib.error
import urllib.request

import pytest
from conftest import Instance, RpcError, drop_database
from test_e2e_identity import when_alone

# another customer of this server: nothing of the first one is his
ANOTHER = """
    UPDATE ir_config_parameter SET value = 'another' WHERE key = 'database.uuid';
    UPDATE ir_config_parameter SET value = 'no secret of the first'
     WHERE key = 'database.secret';
    DELETE FROM backup_copy; DELETE FROM backup_backup; DELETE FROM backup_step;
    DELETE FROM backup_job;
    UPDATE backup_storage SET owner_uuid = 'another', place_id = NULL,
           local_path = local_path || '-another';
"""
TOKEN = """
    INSERT INTO ir_config_parameter (key, value)
    VALUES ('dfr_backup.health_token', %s)
"""
KEEP_ONE = {
    "include_filestore": False,
    "retention": "custom",
    "keep_last": 1,
    "keep_minimum": 1,
    **{f"keep_{each}": 0 for each in ("hourly", "daily", "weekly", "monthly")},
    "keep_yearly": 0,
    "keep_within_days": 0,
}


class Browser:
    """A browser in which the administrator of a database has just entered his
    password."""

    def __init__(self, instance):
        self.url = instance.url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        person = {"login": "admin", "password": "admin"}
        self._post("/web/session/authenticate", db=instance.database, **person)
        asked = self.call("backup.audit", "action_confirm_password", [])
        check = [asked["res_id"]]
        password = {"password": "admin"}
        self.call("res.users.identitycheck", "run_check", check, context=password)

    def call(self, model, method, *args, **kwargs):
        about = {"model": model, "method": method, "args": args, "kwargs": kwargs}
        return self._post(f"/web/dataset/call_kw/{model}/{method}", **about)

    def _post(self, path, **params):
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps({"jsonrpc": "2.0", "params": params}).encode(),
            {"Content-Type": "application/json"},
        )
        with self._opener.open(request, timeout=60) as response:
            answer = json.load(response)
        if "error" in answer:
            raise RpcError(answer["error"]["data"])
        return answer.get("result")


def status(instance, path):
    """Return the status of an address of a database, for whoever has no session."""
    named = {"X-Odoo-Database": instance.database}
    request = urllib.request.Request(f"{instance.url}/dfr_backup/{path}", headers=named)
    try:
        return urllib.request.urlopen(request, timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def another(instance, tmp_path):
    """A second database of the same server, of somebody else."""
    name = f"{instance.database}_two"
    assert instance.backup().state == "success"
    when_alone(f'CREATE DATABASE "{name}" TEMPLATE "{instance.database}"')
    two = Instance(name, tmp_path)
    two.data = instance.data
    shutil.copytree(instance.filestore, two.filestore)
    two.options["http_port"] = instance.options["http_port"]
    two.sql(ANOTHER)
    instance.write_conf(db_name=f"{instance.database},{name}")
    yield two
    drop_database(name)


def test_another_database_of_the_server(instance, another):
    """Neither by its storages, nor by the identity that its administrator writes, nor
    by his password does he read, overwrite or delete what the first has stored."""
    for one, token in ((instance, b"one"), (another, b"two")):
        one.sql(TOKEN, hashlib.sha256(token).hexdigest())
    stored = content(instance.storage)
    mine = str(instance.storage)
    with instance.serve("--workers", "2"):
        # a storage at the directory of the other, and what it says of the owner
        storages = []
        for context in ({}, {"default_former_uuids": ["x"]}, {"default_place_id": "x"}):
            values = {"name": "Mine", "local_path": mine}
            with contextlib.suppress(RpcError):  # it has one there by then: PLACE-05
                made = another.rpc("backup.storage", "create", values, context=context)
                another.rpc("backup.storage", "action_test", [made])
                storages.append(made)
        [storage] = storages
        fields = ["last_test_error_code"]
        [row] = another.rpc("backup.storage", "read", [storage], fields)
        assert row["last_test_error_code"] == "PLACE-01"

        def perform(model, method, ids):
            job = another.rpc(model, method, ids)["res_id"]
            return another.await_job(job)

        assert perform("backup.storage", "action_scan", [storage]) == "failure"
        here = [("storage_id", "=", storage)]
        assert another.rpc("backup.copy", "search", here) == []

        # the identity of the first, as its administrator may write it
        [(uuid,)] = instance.sql(
            "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
        )
        another.rpc("ir.config_parameter", "set_param", "database.uuid", uuid)
        assert perform("backup.storage", "action_scan", [storage]) == "failure"
        assert another.rpc("backup.copy", "search", here) == []
        plans = another.rpc("backup.plan", "search", [])
        own = {"storage_ids": [[6, 0, [storage]]]}
        with pytest.raises(RpcError) as refused:  # it takes the password
            another.rpc("backup.plan", "write", plans, own)
        assert refused.value.code == "OTHER-31"
        plan = another.rpc("backup.plan", "create", {"name": "P", **KEEP_ONE, **own})
        perform("backup.plan", "action_run_now", [plan])

        # his password opens what is his, and the first one's backups have no record
        # there
        browser = Browser(another)
        [(copy,)] = instance.sql("SELECT max(id) FROM backup_copy")
        assert another.rpc("backup.copy", "search_count", [("id", "=", copy)]) == 0
        acts = ["browse", "download", "verify", "drill", "delete", "unprotect"]
        for act in acts:
            with pytest.raises(RpcError):
                browser.call("backup.copy", f"action_{act}", [copy])
        form = {"copy_id": copy, "database": f"{another.database}_new"}
        for model in ("backup.restore.wizard", "backup.staging.wizard"):
            with pytest.raises(RpcError):
                browser.call(model, "create", form)
        told = [status(one, "health?token=two") for one in (instance, another)]
        assert told[0] == 401
        assert told[1] in (200, 503)

        # who he is there is nobody here
        person = {"name": "Boss", "login": "boss", "password": "only-there-1"}
        another.rpc("res.users", "create", person)
        with pytest.raises(RpcError):
            instance.rpc(
                "backup.copy", "search", [], login="boss", password="only-there-1"
            )
    after = content(instance.storage)
    assert {name: after.get(name) for name in stored} == stored
