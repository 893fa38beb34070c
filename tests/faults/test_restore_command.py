"""SIGKILL of ``odoo backup restore`` at each of its borders: there is no database of
that name until it is complete, and the next restore finds nothing in its way and
leaves nothing behind."""

import contextlib
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab import INJECT, Fault

INSTANTS = [
    "restore.marker.written",
    "restore.database.created",
    "restore.load.rows",
    "restore.load.indexes",
    "restore.load.foreign_keys",
    "restore.load.end",
    "restore.filestore.begin",
    "restore.filestore.end",
    "restore.finished",
    "restore.publish.before",
    "restore.publish.previous_files",
    "restore.publish.files",
    "restore.publish.after",
]
PUBLISHED = {"restore.publish.after"}
short = pytest.mark.short


@pytest.fixture(scope="module")
def archive(lab):
    outcome = lab.run()
    assert outcome.state == "success", outcome.errors
    return lab.instance.storage / outcome.archive


@pytest.fixture
def copy(lab):
    name = f"{lab.instance.database}_copy"
    yield name
    lab.drop(name)


def restore(lab, archive, copy, fault=None):
    environ = {"TMPDIR": str(lab.instance.folder / "tmp")}
    if fault:
        environ |= {
            **fault.environ,
            "PYTHONPATH": f"{INJECT}:{lab.instance.environ()['PYTHONPATH']}",
        }
    with beside(lab, archive):
        return lab.instance.odoo(
            "backup", "restore", str(archive), "--to", copy, **environ
        )


@contextlib.contextmanager
def beside(lab, archive):
    """Where two things are done at once: restore the same archive meanwhile, under
    another name."""
    if not lab.beside:
        yield
        return
    other = lab.beside.instance
    name = f"{other.database}_copy"
    with ThreadPoolExecutor(1) as pool:
        asked = ("backup", "restore", str(archive), "--to", name)
        done = pool.submit(other.odoo, *asked)
        try:
            yield
        finally:
            result = done.result()
            lab.beside.drop(name)
    assert result.returncode == 0, result.stderr


def is_there(lab, copy):
    """Tell whether Odoo would list and serve that database."""
    query = "SELECT 1 FROM pg_database WHERE datname = %s AND NOT datistemplate"
    return bool(lab.sql(query, copy))


def is_whole(lab, copy):
    tables = ("res_users", "ir_attachment", "ir_model_fields", "ir_ui_view")
    counts = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in tables)
    assert lab.instance.sql(counts, database=copy) == lab.sql(counts)
    wanted = lab.instance.sql(
        "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT NULL",
        database=copy,
    )
    folder = lab.instance.data / "filestore" / copy
    assert all((folder / name).is_file() for (name,) in wanted)


@pytest.mark.parametrize(
    "instant",
    [pytest.param(n, marks=short) if n == "restore.load.rows" else n for n in INSTANTS],
)
def test_killed(lab, archive, copy, tmp_path, cell, instant):
    fault = Fault(tmp_path, "kill", instant)
    done = restore(lab, archive, copy, fault)
    assert fault.happened, done.stderr
    assert done.returncode == -9, done.stderr
    lab._note_scratch()
    there = is_there(lab, copy)
    assert there == (instant in PUBLISHED)
    again = restore(lab, archive, copy)
    if there:
        assert again.returncode == 1
        assert "[RESTORE-19]" in again.stderr
    else:
        assert again.returncode == 0, again.stderr
    is_whole(lab, copy)
    cell(
        "kill -9 of the restore command",
        instant,
        "complete" if there else "restored by the next",
    )
    left = lab.leftovers()
    assert not left


@contextlib.contextmanager
def heard(number):
    """Let what is started here hear the signal: a shell has what is in the
    background ignore it."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_stopped(lab, archive, copy, tmp_path, cell, name):
    """Ctrl-C, what a service manager sends, and a terminal that is closed."""
    number = getattr(signal, name).value
    fault = Fault(tmp_path, "send", "restore.load.rows", argument=number)
    with heard(number):
        done = restore(lab, archive, copy, fault)
    assert fault.happened, done.stderr
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lab._note_scratch()
    assert not is_there(lab, copy)
    assert not lab.leftovers()
    cell(
        f"{name} of the restore command",
        "restore.load.rows",
        "stopped, and nothing is left",
    )
