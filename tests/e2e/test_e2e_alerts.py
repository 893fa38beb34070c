"""Alerts as they arrive: a real mail server, real monitors, a real client and
scraper."""

import contextlib
import email
import email.policy
import json
import socket
import subprocess
import time

import pytest
from aiosmtpd.controller import Controller
from conftest import clone_of, free_port, message_values
from monitor import Monitor
from prometheus_client.parser import text_string_to_metric_families
from waits import until


class Mailbox:
    """What a mail server on loopback has received."""

    def __init__(self):
        self.messages = []
        self._server = Controller(self, hostname="127.0.0.1", port=free_port())
        self.port = self._server.port

    async def handle_DATA(self, server, session, envelope):
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append(parsed)
        return "250 OK"

    def wait_for(self, count):
        until(lambda: len(self.messages) >= count)
        return list(self.messages)

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_error):
        self._server.stop()


@contextlib.contextmanager
def tarpit():
    """A server that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def use_mail_server(instance, port):
    """Let the server send its mails there, and give the administrator an address."""
    instance.write_conf(
        smtp_server="127.0.0.1", smtp_port=port, email_from="odoo@example.com"
    )
    instance.sql(
        "UPDATE res_partner SET email = 'boss@example.com'"
        " WHERE id = (SELECT partner_id FROM res_users WHERE login = 'admin')"
    )


def noted(instance, *expected):
    """Return the log of the last step if each of the ``expected`` values stands in
    it."""
    ((log, values),) = instance.sql(
        "SELECT log, log_values FROM backup_step ORDER BY sequence DESC LIMIT 1"
    )
    found = [some for line in values or [] for some in message_values(line)]
    there = all(
        any(some.items() >= wanted.items() for some in found) for wanted in expected
    )
    return log if there else None


def last_noted(instance, *expected):
    """Return the log of the last step, as soon as each of the ``expected`` values
    stands in it."""
    return until(lambda: noted(instance, *expected))


def told(message, instance):
    """Return what a mail about the plan says, as plain text and as HTML."""
    ((plan,),) = instance.sql("SELECT name FROM backup_plan")
    for name in (plan, instance.database):
        assert name in message["Subject"]
    return [message.get_body((kind,)).get_content() for kind in ("plain", "html")]


def break_dump(instance):
    instance.superuser("CREATE TABLE secret_table (id int)")


def mend_dump(instance):
    instance.superuser("DROP TABLE secret_table")


def test_failure_and_recovery_arrive_by_mail(instance):
    break_dump(instance)
    with Mailbox() as mailbox:
        use_mail_server(instance, mailbox.port)
        run = instance.backup()
        assert run.state == "partial"
        (message,) = mailbox.wait_for(1)
        ((number,),) = instance.sql("SELECT id FROM backup_job")
        assert instance.sql("SELECT alarm_kinds FROM backup_plan") == [(["backup"],)]
        assert message["To"] == "boss@example.com"
        assert "odoo@example.com" in message["From"]
        for text in told(message, instance):
            for value in ("[DUMP-08]", "secret_table", "GRANT SELECT"):
                assert value in text
            assert f"/odoo/backup-runs/{number}" in text
        assert instance.leftovers() == []
        assert instance.sql("SELECT count(*) FROM mail_activity WHERE active") == [(1,)]
        mend_dump(instance)
        assert instance.backup().state == "success"
        _failed, recovered = mailbox.wait_for(2)
        for text in told(recovered, instance):
            assert f"/odoo/backup-runs/{number + 1}" in text
            assert "DUMP-08" not in text
        assert instance.sql("SELECT alarm_kinds FROM backup_plan") == [(None,)]
        assert instance.backup().state == "success"
        assert instance.leftovers() == []
        assert len(mailbox.messages) == 2
    assert instance.sql("SELECT count(*) FROM mail_activity WHERE active") == [(0,)]


def test_a_dead_mail_server_is_noted_and_the_mail_stays(instance):
    break_dump(instance)
    use_mail_server(instance, free_port())
    run = instance.backup()
    assert run.state == "partial"
    last_noted(instance, {"recipient": "boss@example.com"})
    assert instance.leftovers() == []
    assert instance.sql("SELECT state FROM mail_mail") == [("outgoing",)]


@pytest.mark.release
def test_nobody_waits_for_a_mute_mail_server_or_monitor(instance):
    break_dump(instance)
    monitor = {"service": "Webhook", "host": "127.0.0.1"}
    with tarpit() as port:
        use_mail_server(instance, port)
        instance.shell(
            "env['backup.plan'].search([]).webhook_url = "
            f"'http://127.0.0.1:{port}/t0ken'\n"
            "env.cr.commit()"
        )
        run = instance.backup()
        assert run.state == "partial"
        ((started, ended),) = instance.sql(
            "SELECT date_start, date_end FROM backup_job"
        )
        # one patience of ten seconds before the run, none of forty before it is shown
        # as ended
        assert (ended - started).total_seconds() < 45
        assert not noted(instance, monitor)
    last_noted(instance, {"recipient": "boss@example.com"}, monitor)


@pytest.mark.release
def test_monitors_hear_how_a_run_goes(instance):
    with Monitor() as monitor:
        instance.shell(
            "env['backup.plan'].search([]).write({"
            f"'ping_url': '{monitor.url}/hc-t0ken',"
            f"'push_url': '{monitor.url}/kuma?status=up&msg=OK&ping=',"
            f"'webhook_url': '{monitor.url}/hook'}})\n"
            "env.cr.commit()"
        )
        run = instance.backup()
        heard = monitor.wait_for(5)
        ((uuid,),) = instance.sql("SELECT uuid FROM backup_job")
        paths = [(method, path.split("?")[0]) for method, path, _body in heard]
        assert sorted(paths[:2]) == [("POST", "/hc-t0ken/start"), ("POST", "/hook")]
        assert sorted(paths[2:]) == [
            ("GET", "/kuma"),
            ("POST", "/hc-t0ken"),
            ("POST", "/hook"),
        ]
        bodies = {path: body for _method, path, body in heard}
        assert f"/hc-t0ken?rid={uuid}" in bodies
        summary = json.loads(bodies["/hook"])
        assert (summary["event"], summary["uuid"]) == ("success", uuid)
        assert summary["size"] == run.archive.stat().st_size
        assert {step["state"] for step in summary["steps"]} == {"success"}
        break_dump(instance)
        instance.backup()
        assert any(
            path.startswith("/hc-t0ken/fail?rid=")
            for _m, path, _b in monitor.wait_for(10)
        )
    logs = "".join(
        p.read_text() for p in (instance.data / "dfr_backup/log").glob("*.log")
    )
    assert logs
    assert "t0ken" not in logs
    assert "t0ken" not in str(
        instance.sql("SELECT sealed_secrets::text FROM backup_plan")
    )


@pytest.mark.release
def test_a_monitor_that_fails_is_noted(instance):
    with Monitor(status=404) as monitor:
        instance.shell(
            "env['backup.plan'].search([]).ping_url = "
            f"'{monitor.url}/t0ken'\nenv.cr.commit()"
        )
        assert instance.backup().state == "success"
        answer = {"service": "Healthchecks", "host": "127.0.0.1", "status": 404}
        assert "t0ken" not in last_noted(instance, answer)


def test_overdue_is_noticed_by_the_servers_own_cron(instance):
    instance.sql(
        "UPDATE backup_plan SET promised_since = now() AT TIME ZONE 'UTC' - interval "
        "'31 hours',"
        " next_run = now() AT TIME ZONE 'UTC' + interval '9 hours'"
    )
    instance.sql(
        "UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' - interval '1 minute'"
        " FROM ir_model_data d WHERE d.res_id = ir_cron.id AND d.name = "
        "'ir_cron_supervise'"
    )
    with Mailbox() as mailbox:
        use_mail_server(instance, mailbox.port)
        with instance.serve():
            instance.until_cron(lambda: mailbox.messages)
            (message,) = mailbox.messages
        ((plan, noticed),) = instance.sql(
            "SELECT id, overdue_told_at IS NOT NULL FROM backup_plan"
        )
        assert noticed
        for text in told(message, instance):
            assert f"/odoo/backup-plans/{plan}" in text
    assert instance.sql("SELECT count(*) FROM mail_activity WHERE active") == [(1,)]


def curl(*arguments):
    """Return status, headers and body of an answer."""
    done = subprocess.run(
        ["curl", "-s", "-i", "--max-time", "30", *arguments],
        capture_output=True,
        check=True,
    )
    head, _blank, body = done.stdout.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = {
        name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
    }
    return int(status.split()[1]), headers, body


def token(instance, monitor):
    """Make a token, as the button in the settings does, which asks for a password."""
    code = f"print(env['backup.monitor']._new_token({monitor!r}))\nenv.cr.commit()"
    return instance.shell(code).split()[-1]


def bearer(token):
    return ["-H", f"Authorization: Bearer {token}"]


def test_health_and_metrics(instance):
    assert instance.backup().state == "success"
    health, metrics = token(instance, "health"), token(instance, "metrics")
    with instance.serve():
        status, headers, body = curl(
            *bearer(health), f"{instance.url}/dfr_backup/health"
        )
        assert (status, json.loads(body)["status"]) == (200, "ok")
        assert headers["content-type"] == "application/json; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers

        status, headers, body = curl(
            *bearer(metrics), f"{instance.url}/dfr_backup/metrics"
        )
        assert status == 200
        assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }
        assert (
            abs(samples["dfr_backup_last_successful_timestamp_seconds"] - time.time())
            < 600
        )
        assert (samples["dfr_backup_last_status"], samples["dfr_backup_overdue"]) == (
            1,
            0,
        )
        assert samples["dfr_backup_storage_copies"] == 1

        for wrong in (
            bearer(metrics),
            bearer(""),
            bearer("é"),
            [],
            ["-u", f"x:{health}"],
        ):
            status, headers, body = curl(*wrong, f"{instance.url}/dfr_backup/health")
            assert (status, "plan" in body) == (401, False)
            assert headers["www-authenticate"].startswith("Bearer")

        instance.sql(
            "UPDATE backup_plan SET promised_since = promised_since - interval '9 days'"
        )
        instance.sql("UPDATE backup_job SET date_end = date_end - interval '9 days'")
        status, _headers, body = curl(
            f"{instance.url}/dfr_backup/health?token={health}"
        )
        assert (status, json.loads(body)["status"]) == (503, "overdue")


@pytest.mark.release
def test_health_of_one_of_several_databases(instance, template, tmp_path_factory):
    url = f"{instance.url}/dfr_backup/health"
    name = f"{instance.database}-two"
    with clone_of(template, name, tmp_path_factory.mktemp("two")) as second:
        both = (instance, second)
        tokens = {one: token(one, "health") for one in both}
        instance.write_conf(db_name=f"{instance.database},{name}")
        with instance.serve():
            for one in both:
                named = ["-H", f"X-Odoo-Database: {one.database}"]
                assert_about(one, *bearer(tokens[one]), *named, url)
                (other,) = {*both} - {one}
                assert curl(*bearer(tokens[other]), *named, url)[0] == 401
            # nobody can know which database is meant
            assert curl(*bearer(tokens[instance]), url)[0] == 404
            unknown = ["-H", f"X-Odoo-Database: {template.database}"]
            assert curl(*bearer(tokens[instance]), *unknown, url)[0] == 404
        instance.write_conf(db_name=None, dbfilter="^%d$")
        with instance.serve():
            for one in both:
                for host in (f"{one.database}.example.com", f"www.{one.database}.lan"):
                    assert_about(one, *bearer(tokens[one]), "-H", f"Host: {host}", url)


def assert_about(instance, *request):
    status, _headers, body = curl(*request)
    assert status in (200, 503)  # the second has the identity of the first
    assert json.loads(body)["database"] == instance.database
