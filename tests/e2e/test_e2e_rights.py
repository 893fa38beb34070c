"""Two databases of one server: what those who administer the one get of the other."""

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


class Person:
    """Somebody with a login in a database, whose password is the same."""

    def __init__(self, instance, login):
        self.instance = instance
        self.names = {"login": login, "password": login}

    def rpc(self, *args, **kwargs):
        return self.instance.rpc(*args, **self.names, **kwargs)


def manager_of(instance):
    """Return a new manager of a database, who may not change its settings."""
    group = "dfr_backup.group_manager"
    instance.shell(
        f"""env["res.users"].create({{
            "name": "Boss", "login": "boss", "password": "boss",
            "group_ids": [(4, env.ref("{group}").id)]}})
env.cr.commit()"""
    )
    return Person(instance, "boss")


class Browser:
    """A browser in which somebody has just entered his password."""

    def __init__(self, person):
        instance = person.instance
        self.url = instance.url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self._post("/web/session/authenticate", db=instance.database, **person.names)
        asked = self.call("backup.audit", "action_confirm_password", [])
        check = [asked["res_id"]]
        password = {"password": person.names["password"]}
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


@pytest.mark.release
@pytest.mark.parametrize("role", ["manager", "settings"])
def test_another_database_of_the_server(instance, another, role):
    """Neither by its storages, nor by the identity that its administrator writes, nor
    by a password does somebody read, overwrite or delete what the first has stored. The
    only name that he learns is that of the owner of the directory."""
    admin = Person(another, "admin")
    person = manager_of(another) if role == "manager" else admin
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
                made = person.rpc("backup.storage", "create", values, context=context)
                person.rpc("backup.storage", "action_test", [made])
                storages.append(made)
        [storage] = storages
        fields = ["last_test_error_code", "last_test_error"]
        [row] = person.rpc("backup.storage", "read", [storage], fields)
        assert row["last_test_error_code"] == "PLACE-01"
        assert f"“{instance.database}”" in row["last_test_error"]

        def perform(model, method, ids):
            job = person.rpc(model, method, ids)["res_id"]
            return another.await_job(job)

        assert perform("backup.storage", "action_scan", [storage]) == "failure"
        here = [("storage_id", "=", storage)]
        assert person.rpc("backup.copy", "search", here) == []

        # the identity of the first, as its administrator may write it
        [(uuid,)] = instance.sql(
            "SELECT value FROM ir_config_parameter WHERE key = 'database.uuid'"
        )
        write = ("ir.config_parameter", "set_param", "database.uuid", uuid)
        if person is not admin:
            with pytest.raises(RpcError) as refused:
                person.rpc(*write)
            assert refused.value.name == "AccessError"
        admin.rpc(*write)
        assert perform("backup.storage", "action_scan", [storage]) == "failure"
        assert person.rpc("backup.copy", "search", here) == []
        plans = person.rpc("backup.plan", "search", [])
        own = {"storage_ids": [[6, 0, [storage]]]}
        with pytest.raises(RpcError) as refused:  # it takes the password
            person.rpc("backup.plan", "write", plans, own)
        assert refused.value.code == "OTHER-31"
        plan = person.rpc("backup.plan", "create", {"name": "P", **KEEP_ONE, **own})
        perform("backup.plan", "action_run_now", [plan])

        # a password opens what is there, where the first one's backups have no record
        browser = Browser(person)
        [(copy,)] = instance.sql("SELECT max(id) FROM backup_copy")
        assert person.rpc("backup.copy", "search_count", [("id", "=", copy)]) == 0
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
        other = {"name": "Other", "login": "other", "password": "only-there-1"}
        admin.rpc("res.users", "create", other)
        with pytest.raises(RpcError):
            instance.rpc(
                "backup.copy", "search", [], login="other", password="only-there-1"
            )
    after = content(instance.storage)
    assert {name: after.get(name) for name in stored} == stored
