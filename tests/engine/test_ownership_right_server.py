"""Two servers on one database: whose attachment files are they?"""

import contextlib
import hashlib

import psycopg2
import pytest

from dfr_backup.engine.errors.identity import OtherServer
from dfr_backup.engine.ownership.right_server import (
    NEWEST,
    judge,
    newest_files,
    objection,
)


def name_of(number):
    digest = hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:2]}/{digest}"


NAMES = [name_of(number) for number in range(NEWEST)]  # the newest first


@pytest.fixture
def server(tmp_path):
    """Return a function that makes the filestore of a server, with these files."""

    def make(names, name="production"):
        for store_fname in names:
            file = tmp_path / name / store_fname
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path / name

    return make


def test_who_has_all_may(server):
    assert judge(NAMES, server(NAMES)) is None


def test_without_any_each_may(server):
    assert judge([], server([])) is None


@pytest.mark.parametrize("there", [0, 1, NEWEST // 2])
def test_who_lacks_most_may_not(server, there):
    refused = judge(NAMES, server(NAMES[:there]))
    assert isinstance(refused, OtherServer)
    values = refused.message.values
    assert (values["found"], values["named"]) == (there, NEWEST)


def test_a_copy_of_last_night_lacks_what_was_written_since(server):
    assert isinstance(judge(NAMES, server(NAMES[1:])), OtherServer)


@pytest.mark.parametrize("lost", [1, 5, NEWEST // 2 - 1])
def test_lost_files_stop_no_backup(server, lost):
    assert judge(NAMES, server(NAMES[: NEWEST - lost])) is None


@pytest.mark.parametrize("share", range(0, NEWEST + 1, 10))
def test_of_two_that_share_nothing_one_at_most_may(server, share):
    production = judge(NAMES, server(NAMES[:share], "production"))
    staging = judge(NAMES, server(NAMES[share:], "staging"))
    assert production or staging


def test_what_is_collected_this_moment_is_no_longer_named(server):
    """Odoo deletes attachments and collects their files between our answer and our
    look: the second answer names them no more."""
    filestore = server(NAMES[30:])
    answers = iter([NAMES, NAMES[30:]])
    assert objection(lambda: next(answers), filestore) is None


def test_what_is_missing_twice_is_not_here(server):
    asked = []
    assert objection(lambda: asked.append(1) or NAMES, server([]))
    assert len(asked) == 2


def test_what_may_not_be_looked_at_is_not_here(server):
    filestore = server([])
    filestore.mkdir()
    (filestore / "00").symlink_to(filestore / "00")  # an endless one
    assert judge(["00/" + "0" * 40], filestore)


def test_the_newest_of_a_database(source):
    """What an addon keeps elsewhere is in no server's filestore; the same file twice
    is one file."""
    elsewhere = ["s3://bucket/1", "azure/x", "../../etc/passwd", None]
    with contextlib.closing(psycopg2.connect(dbname=source)) as session:
        with session, session.cursor() as cr:
            cr.execute("DELETE FROM ir_attachment")
            for number, name in enumerate([*reversed(NAMES), NAMES[0], *elsewhere]):
                cr.execute(
                    "INSERT INTO ir_attachment (id, store_fname) VALUES (%s, %s)",
                    [number + 1, name],
                )
        with session.cursor() as cr:
            assert newest_files(cr) == NAMES[: NEWEST - 1]
