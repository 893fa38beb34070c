"""A host that is lost is noticed within two minutes, and by itself first."""

import contextlib
import os

import pytest

from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.keepalive import (
    CLIENT,
    DIRECT,
    LOCAL,
    SERVER,
    in_words,
)

NOTICED = 120  # seconds, at most
NAMES = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")


@pytest.fixture
def session():
    if "PGHOST" not in os.environ:
        pytest.skip('no PostgreSQL: eval "$(make -s env)"')
    with contextlib.closing(Connection("postgres").connect()) as made:
        yield made


def shown(session, name):
    with session.cursor() as cr:
        cr.execute(f"SHOW {name}")
        return cr.fetchone()[0]


def test_who_holds_the_lock_notices_before_the_server_lets_go():
    assert CLIENT.timeout + CLIENT.idle <= SERVER.timeout
    latest = CLIENT.idle + CLIENT.interval * CLIENT.count
    assert latest + CLIENT.idle <= SERVER.idle + SERVER.interval * SERVER.count


def test_both_ends_of_a_session_are_told(session):
    idle, interval, count = (int(shown(session, name)) for name in NAMES)
    assert idle + interval * count <= NOTICED
    assert int(shown(session, "tcp_user_timeout")) == SERVER.timeout * 1000
    told = session.info.dsn_parameters
    idle, interval, count = (int(told[name.removeprefix("tcp_")]) for name in NAMES)
    assert idle + interval * count <= NOTICED
    assert int(told["tcp_user_timeout"]) <= NOTICED * 1000


def test_it_outlives_a_rollback_and_begins_no_transaction(session):
    assert not session.autocommit
    session.rollback()
    assert shown(session, "tcp_keepalives_idle") == str(SERVER.idle)


def test_it_is_told_in_words(session):
    said = in_words(session)
    is_local = os.environ["PGHOST"].startswith("/")
    assert said.template == (LOCAL if is_local else DIRECT)
