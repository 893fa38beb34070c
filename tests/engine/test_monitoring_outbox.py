"""Alerts of one server: gathered for a while, then one mail."""

import os
import threading

import pytest

from dfr_backup.engine.monitoring.outbox import GATHER, MOST, Alert, Outbox

NOW = 1_800_000_000.0


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "alerts")


def alert(database="shop"):
    return Alert(database, "Backup failed", "The disk is full.", "https://x/odoo/1")


def test_what_comes_within_a_quarter_of_an_hour_is_one_mail(outbox):
    assert outbox.due() is None
    for number in range(5):
        outbox.put(alert(f"db{number}"), NOW + number * 3 * 60)
    sent = []
    assert outbox.deliver(sent.append, NOW + GATHER - 1) == 0
    assert outbox.due() == NOW + GATHER
    assert outbox.deliver(sent.append, NOW + GATHER) == 5
    ((*alerts,),) = sent
    assert [one.database for one in alerts] == ["db0", "db1", "db2", "db3", "db4"]
    assert alerts[0] == alert("db0")
    assert outbox.deliver(sent.append, NOW + GATHER) == 0
    assert outbox.due() is None


def test_what_cannot_be_sent_is_kept(outbox):
    outbox.put(alert(), NOW)

    def send(_alerts):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        outbox.deliver(send, NOW + GATHER)
    assert outbox.deliver(lambda _alerts: None, NOW + GATHER) == 1


def test_one_process_sends(outbox):
    outbox.put(alert(), NOW)
    second = []

    def send(_alerts):
        other = threading.Thread(
            target=lambda: second.append(outbox.deliver(print, NOW + GATHER))
        )
        other.start()
        other.join()

    assert outbox.deliver(send, NOW + GATHER) == 1
    assert second == [0]


def test_a_clock_that_was_ahead_keeps_nothing(outbox):
    outbox.put(alert(), NOW + 1e8)
    assert outbox.deliver(lambda _alerts: None, NOW) == 1


def test_nobody_else_reads_them(outbox, tmp_path):
    outbox.put(alert(), NOW)
    outbox.deliver(lambda _alerts: None, NOW)
    folder = tmp_path / "alerts"
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {0o600}


def test_a_file_that_is_no_alert_hurts_nobody(outbox, tmp_path):
    outbox.put(alert(), NOW)
    for name, text in (("000000000001-x.alert", "{"), ("000000000002-y.alert", "[]")):
        (tmp_path / "alerts" / name).write_text(text)
    (tmp_path / "alerts" / "other.alert").write_text("")
    sent = []
    assert outbox.deliver(sent.append, NOW + GATHER) == 1
    assert sent == [[alert()]]


def test_the_folder_does_not_grow_for_ever(outbox, tmp_path):
    outbox.put(alert(), NOW)
    for number in range(MOST):
        (tmp_path / "alerts" / f"{number}-x.alert").touch()
    outbox.put(alert(), NOW)
    assert len(os.listdir(tmp_path / "alerts")) == MOST + 1
