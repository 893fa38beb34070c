"""The state of a run goes to JSON and back, and what is unknown is not believed."""

import json
from dataclasses import fields

import pytest

from dfr_backup.engine.errors.runs import UnknownState
from dfr_backup.runs.state import CHECKS, VERSION, RunState

FULL = RunState(
    incremental=True,
    snapshot_at="2026-01-31T02:00:00+00:00",
    pg_dump="pg_dump 15.4",
    rows={"res_users": 3},
    table_bytes={"res_users": 8192},
    attachments={"files": 2, "bytes": 10, "elsewhere": {}},
    addons=[{"name": "a"}],
    packed={"files": 2, "bytes": 10, "sha256": "ab"},
    keys="ab",
    saved=4096,
    manifest={"a": 1},
    uploaded={"name": "a.zip", "modified": "2026-01-31T02:00:00+00:00"},
    begun=["a.zip"],
    to_accept=[{"code": "space", "text": "No room"}],
    restored=16384,
    not_trusted={"1": ["a.zip"]},
    issues=[7],
    own={"of another addon": True},
)


def through_json(state):
    return json.loads(json.dumps(state.to_json()))


def test_every_field_has_its_check():
    assert {one.name for one in fields(RunState)} == CHECKS.keys()


def test_state_goes_to_json_and_back():
    assert RunState.from_json(through_json(FULL)) == FULL
    assert through_json(FULL)["version"] == VERSION


@pytest.mark.parametrize("data", [None, False, {}, {"version": VERSION}])
def test_a_run_that_has_done_nothing_has_no_state(data):
    assert RunState.from_json(data) == RunState()


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},  # of the release before there were versions
        {"version": VERSION + 1},
        {"saved": "many"},
        {"saved": True},
        {"attachments": {"files": 2}},
        {"attachments": [1]},
        {"issues": [7, "8"]},
        {"incremental": 1},
        {"packed": {"files": 2}},
        {"of a later release": 1},
    ],
    ids=str,
)
def test_another_version_or_shape_is_unknown(change):
    data = {**through_json(FULL), **change}
    with pytest.raises(UnknownState):
        RunState.from_json({k: v for k, v in data.items() if v is not None})


@pytest.mark.parametrize("data", ["a", [1], 7], ids=str)
def test_what_is_no_object_is_unknown(data):
    with pytest.raises(UnknownState):
        RunState.from_json(data)
    assert RunState.read(data) == RunState()


def test_what_can_be_read_of_another_version_is_read():
    data = through_json(FULL)
    del data["version"]
    assert RunState.read(data) == FULL
    found = RunState.read({**data, "saved": "many", "later": 1})
    assert (found.saved, found.manifest) == (0, FULL.manifest)


def test_a_run_that_begins_again_keeps_what_it_was_asked_for():
    again = FULL.begun_again()
    assert (again.saved, again.manifest, again.snapshot_at) == (0, None, None)
    assert (again.uploaded, again.issues) == (FULL.uploaded, FULL.issues)
    assert (again.restored, again.not_trusted) == (FULL.restored, FULL.not_trusted)
