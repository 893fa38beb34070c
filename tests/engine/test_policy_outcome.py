"""The status table of docs/runs.rst, line by line."""

import pytest

from dfr_backup.engine.policy.outcome import (
    StepOutcome,
    checked_state,
    overall_state,
    whole_state,
)

OK, BAD, SKIP, WARN = "success", "failure", "skipped", "warning"

# database, files, compress, [verify of each storage] -> state of the run
TABLE = [
    (OK, OK, OK, [OK], "success"),
    (OK, OK, OK, [OK, OK], "success"),
    (WARN, WARN, WARN, [WARN], "success"),
    (BAD, OK, OK, [OK], "partial"),
    (OK, BAD, OK, [OK], "partial"),
    (BAD, OK, OK, [OK, BAD], "partial"),
    (OK, OK, OK, [OK, BAD], "partial"),
    (OK, OK, OK, [SKIP, OK], "partial"),
    (BAD, BAD, SKIP, [SKIP], "failure"),
    (SKIP, SKIP, SKIP, [SKIP], "failure"),
    (OK, OK, BAD, [SKIP], "failure"),
    (OK, OK, OK, [BAD], "failure"),
    (OK, OK, OK, [SKIP], "failure"),
    (OK, OK, OK, [BAD, SKIP], "failure"),
    (None, OK, OK, [OK], "success"),  # the plan leaves the database out
    (None, BAD, SKIP, [SKIP], "failure"),
    (OK, None, OK, [OK], "success"),  # the plan leaves the files out
    (OK, OK, OK, [], "failure"),  # no storage at all
]


@pytest.mark.parametrize("database, files, compress, verify, expected", TABLE)
@pytest.mark.parametrize("cleanup", [OK, WARN, BAD])
def test_table(database, files, compress, verify, expected, cleanup):
    steps = [StepOutcome("initialize", OK), StepOutcome("compress", compress)]
    steps += [StepOutcome("dump_database", database)] if database else []
    steps += [StepOutcome("archive_files", files)] if files else []
    for number, state in enumerate(verify):
        steps.append(StepOutcome("upload", OK, f"s{number}"))
        steps.append(StepOutcome("verify", state, f"s{number}"))
    steps.append(StepOutcome("cleanup", cleanup))
    assert overall_state(steps) == expected


@pytest.mark.parametrize("state_of", [overall_state, checked_state, whole_state])
def test_a_run_that_has_done_nothing_is_no_success(state_of):
    assert state_of([]) == "failure"
