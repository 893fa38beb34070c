"""What needs no server; the dump itself is tested end to end, with a real one."""

import pytest

from dfr_backup.engine import postgres
from dfr_backup.engine.errors import PermanentError, RetryableError


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with no PostgreSQL programs; return a function that installs one."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(postgres, "DEBIAN_TOOLS", str(tmp_path / "debian/*/bin"))
    monkeypatch.setattr(postgres, "RED_HAT_TOOLS", str(tmp_path / "redhat-*/bin"))

    def install(folder, version, mode=0o755):
        program = tmp_path / folder / "pg_dump"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(mode)
        return program

    return install


def test_same_major_version_is_best(machine):
    machine("path", "16.1")
    wanted = machine("debian/15/bin", "15.4")
    machine("debian/17/bin", "17.0")
    tool = postgres.find_client_tool("pg_dump", 15)
    assert (tool.path, tool.version) == (wanted, (15, 4))


def test_next_newer_version_is_second_best(machine):
    machine("debian/18/bin", "18.0")
    wanted = machine("debian/17/bin", "17.0")
    machine("debian/14/bin", "14.0")
    assert postgres.find_client_tool("pg_dump", 16).path == wanted


def test_pg_path_comes_first(machine, tmp_path):
    wanted = machine("mine", "15.2 (Debian 15.2-1)")
    machine("path", "15.4")
    assert (
        postgres.find_client_tool("pg_dump", 15, str(tmp_path / "mine")).path == wanted
    )


def test_older_ones_are_refused_with_the_package_to_install(machine):
    machine("debian/13/bin", "13.9")
    with pytest.raises(PermanentError) as caught:
        postgres.find_client_tool("pg_dump", 15)
    assert "older than the database server (PostgreSQL 15)" in caught.value.message
    assert "postgresql-client-15" in caught.value.hint


def test_none_at_all(machine):
    machine("path", "15.1", mode=0o644)
    with pytest.raises(PermanentError) as caught:
        postgres.find_client_tool("pg_dump", 15)
    assert "not installed" in caught.value.message
    assert "postgresql-client-15" in caught.value.hint


def test_password_is_in_the_environment_and_nowhere_else():
    params = {"host": "h", "port": 5, "user": "u", "password": "s3cret"}
    connection = postgres.Connection("db=x", params, "app")
    env = connection.environ()
    assert (env["PGPASSWORD"], env["PGDATABASE"], env["PGAPPNAME"]) == (
        "s3cret",
        "db=x",
        "app",
    )
    assert "s3cret" not in repr(connection)


def test_no_server_is_retryable(tmp_path):
    connection = postgres.Connection("x", {"host": str(tmp_path)})
    with pytest.raises(RetryableError, match="cannot be reached"):
        connection.connect()


@pytest.mark.parametrize(
    ("status", "stderr", "kind", "words"),
    [
        (
            1,
            "pg_dump: error: permission denied for table a_b",
            PermanentError,
            "may not read a_b",
        ),
        (
            1,
            "ERROR:  canceling statement due to lock timeout",
            RetryableError,
            "locked",
        ),
        (1, "pg_dump: error: server closed the connection", RetryableError, "lost"),
        (-9, "", RetryableError, "signal 9"),
        (1, "pg_dump: error: invalid page in block", PermanentError, "invalid page"),
        (4, "", PermanentError, "exit status 4"),
    ],
)
def test_every_failure_says_what_to_do(status, stderr, kind, words):
    error = postgres.dump_error(status, stderr, "odoo")
    assert type(error) is kind
    assert words in error.message
    assert error.hint
    assert stderr in error.log
