"""Storages that cut, stall, refuse, alter and lie, under whole runs: S3 and SFTP."""

import time

import pytest
from far import LARGE, add_bucket
from faulty_server import scripted_server
from instances import made_instance
from lab import Fault, Lab
from s3_servers import moto
from sftp_servers import plain_sshd
from tcp_proxy import Proxy, Rule

BUCKET, HOST = "Bucket", "Host"
short = pytest.mark.short
SFTP = """
storage = env["backup.storage"].create({{
    "name": "Host", "provider": "sftp", "sftp_host": "127.0.0.1", "sftp_port": {port},
    "sftp_user": {user!r}, "sftp_directory": {directory!r} + "/odoo",
    "sftp_private_key": {private_key!r}, "timeout": 5, "retry_minutes": 1}})
storage.action_fetch_host_key()
storage.action_trust_host_key()
storage.action_test()
env["backup.plan"].search([]).write({{"storage_ids": [(4, storage.id)]}})
result = storage.last_test_error
"""


class Far:
    """A lab, the proxy before its far storage, and what that storage holds."""

    def __init__(self, lab, proxy, names):
        self.lab = lab
        self.proxy = proxy
        self.names = names


@pytest.fixture(scope="module")
def s3(template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with (
        moto(folder) as server,
        Proxy(int(server.url.rpartition(":")[2])) as proxy,
        made_instance(template, tmp_path_factory.mktemp("s3"), "net_s3") as instance,
        Lab(instance) as lab,
    ):
        lab.driver.do(LARGE)
        add_bucket(lab, server.url, f"http://127.0.0.1:{proxy.port}")
        yield Far(lab, proxy, BUCKET)


@pytest.fixture(scope="module")
def sftp(template, tmp_path_factory):
    with (
        plain_sshd(None) as server,
        Proxy(server.port) as proxy,
        made_instance(
            template, tmp_path_factory.mktemp("sftp"), "net_sftp"
        ) as instance,
        Lab(instance) as lab,
    ):
        code = SFTP.format(
            port=proxy.port,
            user=server.user,
            directory=str(server.data),
            private_key=server.private_key,
        )
        error = lab.driver.do(code)
        assert not error, error
        lab.sftp_folder = server.data / "odoo"
        yield Far(lab, proxy, HOST)


RULES = {
    "cut once": Rule("cut", 3 << 20, times=1),
    "cut three times": Rule("cut", 2 << 20, times=3),
    "silence once": Rule("hold", 3 << 20, times=1),
    "a bit is flipped": Rule("flip", 3 << 20, times=1),
    "cut while it is read back": Rule("cut", 3 << 20, "down", times=1),
}


@pytest.mark.parametrize("kind", ["s3", "sftp"])
@pytest.mark.parametrize("name", RULES)
def test_network(request, cell, kind, name):
    far = request.getfixturevalue(kind)
    rule = RULES[name]
    far.proxy.rule = Rule(rule.kind, rule.after, rule.direction, rule.times)
    try:
        outcome = far.lab.run()
        done = far.proxy.rule.done
    finally:
        far.proxy.rule = None
    cell(f"{kind}: {name}", "upload, verify", outcome)
    assert done, "nothing passed that could be disturbed"
    if rule.kind == "flip" and kind == "s3":  # this server compares no checksum: we do
        assert outcome.state == "partial"
        assert outcome.steps["verify"] == "failure"
    else:
        assert outcome.state == "success", outcome.errors
    far.lab.check(outcome, restore=False)


DRILL_FROM_AFAR = """
copy = env["backup.copy"].search([("state", "=", "verified"),
    ("storage_id.provider", "!=", "local")], limit=1)
result = copy._request_drill("manual").id
"""


@pytest.mark.parametrize("kind", ["s3", "sftp"])
@pytest.mark.parametrize("what", ["cut", "hold", "flip"])
def test_network_of_a_drill(request, cell, kind, what):
    """What comes broken is fetched again, or found out before anything is made of
    it."""
    far = request.getfixturevalue(kind)
    first = far.lab.run()
    assert first.state == "success", first.errors
    far.proxy.rule = Rule(what, 3 << 20, "down", 1)
    try:
        outcome = far.lab.run(code=DRILL_FROM_AFAR)
        done = far.proxy.rule.done
    finally:
        far.proxy.rule = None
    cell(f"{kind}: {what}", "fetch", outcome)
    assert done, "nothing passed that could be disturbed"
    assert outcome.state == "success" or (
        what == "flip" and outcome.steps["fetch"] == "failure"
    )
    far.lab.check(outcome)


@pytest.mark.parametrize("kind", ["s3", pytest.param("sftp", marks=short)])
def test_refused_for_a_while(request, cell, kind, tmp_path):
    far = request.getfixturevalue(kind)
    fault = Fault(tmp_path, "wait", "step.compress.end")
    number = far.lab.start(fault=fault)
    fault.await_it()
    far.proxy.refuse = True
    fault.go_on()
    time.sleep(12)
    far.proxy.refuse = False
    outcome = far.lab.settle(number)
    cell(f"{kind}: connection refused", "upload", outcome)
    assert outcome.state == "success", outcome.errors
    assert any({"attempt", "seconds"} <= v.keys() for v in outcome.noted["upload"])
    far.lab.check(outcome, restore=False)


@pytest.fixture(scope="module")
def scripted(template, tmp_path_factory):
    with (
        scripted_server() as server,
        made_instance(template, tmp_path_factory.mktemp("scr"), "scripted") as instance,
        Lab(instance) as lab,
    ):
        add_bucket(lab, server.url)
        yield lab, server


ACTS = {
    "500 twice": (
        "PUT .*zip",
        {"code": "InternalError", "status": 500, "times": 2},
        "success",
    ),
    "SlowDown": ("PUT .*", {"code": "SlowDown", "status": 503, "times": 3}, "success"),
    "stored, then 500": (
        "PUT .*zip",
        {"code": "InternalError", "status": 500, "times": 1, "stored": True},
        "success",
    ),
    "200 and nothing": ("PUT .*zip", {"lie": True}, "partial"),
    "altered": ("PUT .*zip", {"alter": True}, "partial"),
    "no right": ("PUT .*zip", {"code": "AccessDenied", "status": 403}, "partial"),
    "manifest lost": ("PUT .*json", {"lie": True}, "partial"),
    "stall": ("PUT .*zip", {"stall": 7, "times": 1}, "success"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=short) if n == "200 and nothing" else n for n in ACTS],
)
def test_server(scripted, cell, name):
    lab, server = scripted
    pattern, what, wanted = ACTS[name]
    server.act(pattern, **what)
    try:
        outcome = lab.run()
    finally:
        server.acts.clear()
    cell(f"s3: {name}", "upload, verify", outcome)
    assert outcome.state == wanted, (outcome.state, outcome.errors)
    stored = lab.sql(
        "SELECT c.key, c.sha256, c.state FROM backup_copy c JOIN backup_storage s"
        " ON s.id = c.storage_id WHERE s.provider = 's3' AND c.job_id = %s",
        outcome.number,
    )
    assert wanted == "success" or not any(state == "verified" for *_x, state in stored)
    lab.sql("UPDATE backup_job SET kept_until = now() - interval '1 hour'"
            " WHERE kept_until IS NOT NULL")  # fmt: skip
    lab.bucket_content = server.objects
