"""The fault matrix: real runs of a real Odoo, disturbed; each test fills cells of a
table.

The long suite is ``make faults``; ``pytest -m short`` is the part that ``make test``
runs.
"""

import contextlib

import pytest
from instances import e2e, made_instance, made_neighbour
from lab import Lab, Neighbour
from table import Table

plain_template = e2e.plain_template
template = e2e.template
pytest_sessionfinish = e2e.pytest_sessionfinish
# whose cells there are once more, with a run of another database beside each run
AT_ONCE = {
    "test_disk",
    "test_kills",
    "test_memory",
    "test_processes",
    "test_restore_command",
}
BESIDE = "two at once"


def pytest_configure(config):
    config.addinivalue_line("markers", "short: the part that every test run has")
    config.table = Table()


def pytest_addoption(parser):
    parser.addoption("--rounds", type=int, default=30, help="rounds of the random walk")
    parser.addoption("--seed", type=int, default=None, help="of the random walk")
    parser.addoption("--table", default=None, help="write the table there, as JSON")


def pytest_generate_tests(metafunc):
    if "lab" in metafunc.fixturenames and metafunc.module.__name__ in AT_ONCE:
        ways = ["alone", BESIDE]
        metafunc.parametrize("lab", ways, indirect=True, scope="module")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What belongs to the short part belongs to it once."""
    for item in items:
        if _is_beside(item):
            item.own_markers = [m for m in item.own_markers if m.name != "short"]


def _is_beside(item):
    callspec = getattr(item, "callspec", None)
    return bool(callspec) and callspec.params.get("lab") == BESIDE


def pytest_terminal_summary(terminalreporter, config):
    if config.table.rows:
        terminalreporter.section("fault × step → outcome")
        terminalreporter.write_line(config.table.as_text())
    if config.getoption("--table"):
        config.table.save(config.getoption("--table"))


@pytest.fixture
def cell(request):
    """Call with fault, step and outcome: the test's row of the table."""

    def write(fault, step, outcome):
        if _is_beside(request.node):
            fault = f"{fault}; {BESIDE}"
        request.node.row = (fault, step, outcome)
        request.config.table.add(request.node.nodeid, fault, step, outcome)

    return write


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if "faults" not in item.nodeid:
        return
    if report.failed:
        item.config.table.fail(item.nodeid, call.excinfo)
    if report.failed or report.when == "call":
        _tell(item)


def _tell(item):
    """Show each row when it is known: the whole takes its time."""
    row = item.config.table.rows.get(item.nodeid)
    reporter = item.config.pluginmanager.get_plugin("terminalreporter")
    if row and item.config.getoption("--table"):
        reporter.ensure_newline()
        reporter.write_line("  ".join(filter(None, row)))


@pytest.fixture(scope="module")
def lab(template, tmp_path_factory, request):
    """A lab for all tests of a module."""
    name = request.module.__name__.removeprefix("test_")
    folder = tmp_path_factory.mktemp("lab")
    at_once = getattr(request, "param", None) == BESIDE
    with (
        made_instance(template, folder, name) as instance,
        contextlib.ExitStack() as stack,
    ):
        if at_once:  # or one would wait until the other has ended
            instance.write_conf(dfr_backup_max_running="2")
        made = stack.enter_context(Lab(instance))
        if at_once:
            other = made_neighbour(template, instance, folder / "beside")
            neighbour = Neighbour(stack.enter_context(other))
            made.beside = stack.enter_context(neighbour)
        yield made
