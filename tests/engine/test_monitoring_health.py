"""What other servers say about their backups, also when they say it wrongly."""

import json

import pytest

from dfr_backup.engine.monitoring.health import (
    LONGEST_ANSWER,
    LONGEST_PROBLEM,
    Health,
    Standing,
    clean,
    heard,
    read_health,
    unheard,
)
from dfr_backup.engine.untrusted import Unusable

GOOD = {
    "ok": True,
    "status": "ok",
    "database": "shop",
    "version": "19.0.1.2.0",
    "checked_at": "2026-11-29T02:00:00Z",
    "identity_problem": None,
    "scheduler_problem": None,
    "scheduler_code": None,
    "plans": [
        {"plan": "a", "status": "ok", "reason": "", "age_seconds": 90, "size": 7},
        {"plan": "b", "status": "ok", "reason": "", "age_seconds": 60, "size": 5},
        {"plan": "c", "status": "ok", "reason": "", "age_seconds": None},
    ],
    "of a later release": {"x": [1]},
}


def answer(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def plan(**changes):
    return [{**GOOD["plans"][0], **changes}]


def test_a_good_answer():
    assert read_health(answer()) == Health(
        ok=True, status="ok", database="shop", version="19.0.1.2.0", age=60, size=5
    )


def test_an_answer_of_the_release_before_says_less():
    old = {k: v for k, v in GOOD.items() if k not in ("version", "identity_problem")}
    old["plans"] = [{k: v for k, v in GOOD["plans"][0].items() if k != "size"}]
    health = read_health(json.dumps(old).encode())
    assert (health.version, health.size, health.age) == ("", None, 90)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><title>502</title>",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"ok": true, "ok": false}',
        b" " * (LONGEST_ANSWER + 1),
        answer()[:-1],
        answer(ok="yes"),
        answer(ok=None),
        answer(status=1),
        answer(status="<b>"),
        answer(status="x" * 31),
        answer(plans=None),
        answer(plans={}),
        answer(plans=[1]),
        answer(plans=[{}] * 5001),
        answer(plans=plan(age_seconds="60")),
        answer(plans=plan(age_seconds=True)),
        answer(plans=plan(age_seconds=1e300)),
        answer(plans=plan(age_seconds=float("inf"))),
        answer(plans=plan(size=10**20)),
        answer(plans=plan(size=[])),
        answer(plans=plan(reason=5, status="failing")),
        answer(version=19.0),
        answer(scheduler_problem={"a": 1}),
    ],
)
def test_what_is_no_report_is_refused(body):
    with pytest.raises(Unusable):
        read_health(body)


@pytest.mark.parametrize(
    "status, changes, standing",
    [
        ("ok", {}, Standing("good")),
        ("ok", {"identity_problem": "a copy"}, Standing("warning")),
        ("no_plan", {"ok": False}, Standing("warning")),
        ("switched_off", {"ok": False}, Standing("warning")),
        ("paused", {"ok": False}, Standing("warning")),
        ("failing", {"ok": False}, Standing("failing")),
        ("overdue", {"ok": False}, Standing("failing", alarm="overdue")),
        ("scheduler", {"ok": False}, Standing("failing", alarm="stopped")),
        ("version", {"ok": False, "plans": []}, Standing("failing", alarm="stopped")),
        ("of_later", {"ok": False}, Standing("failing")),
        ("of_later", {"ok": True}, Standing("good")),
    ],
)
def test_how_a_server_stands_that_answers(status, changes, standing):
    assert heard(read_health(answer(status=status, **changes))) == standing


def test_an_overdue_plan_counts_behind_something_worse():
    late = plan(status="overdue", reason="late")
    health = read_health(answer(ok=False, status="scheduler", plans=late))
    assert heard(health).alarm == "overdue"
    quiet = read_health(answer(ok=False, status="switched_off", plans=late))
    assert heard(quiet) == Standing("warning")


def test_silence_is_told_when_it_lasts():
    standing, seen = heard(read_health(answer())), []
    for _number in range(4):
        standing = unheard(standing, 3)
        seen.append((standing.state, standing.failures, standing.alarm))
    assert seen == [
        ("warning", 1, ""),
        ("warning", 2, ""),
        ("silent", 3, "silent"),
        ("silent", 4, "silent"),
    ]
    assert heard(read_health(answer())) == Standing("good")


def test_a_question_that_is_lost_changes_no_alarm():
    overdue = Standing("failing", alarm="overdue")
    assert unheard(overdue, 3) == Standing("failing", 1, "overdue")
    assert unheard(unheard(overdue, 2), 2) == Standing("silent", 2, "silent")
    assert unheard(Standing(), 3) == Standing("warning", 1)
    assert unheard(Standing(), 1) == Standing("silent", 1, "silent")


def test_the_problem_is_the_first_that_stops_backups():
    plans = [
        *plan(plan="a", status="failing", reason="full"),
        *plan(plan="b", status="overdue", reason="late"),
    ]
    report = {"ok": False, "status": "overdue", "plans": plans}
    assert read_health(answer(**report)).problem == "b: late"
    report |= {"scheduler_problem": "it is off", "scheduler_code": "RUN-05"}
    health = read_health(answer(**report))
    assert (health.problem, health.code) == ("it is off", "RUN-05")


def test_texts_of_somebody_unknown_are_one_plain_line():
    evil = "a\x00\r\nb\x1b[31m\u202eevil\u2028<script>\u200b c" + "x" * 2000
    bad = plan(status="failing", reason=evil, plan="p")
    health = read_health(
        answer(
            ok=False, status="failing", plans=bad, database="d" * 500, version="1;--"
        )
    )
    assert health.problem.startswith("p: a b [31m evil <script> c")
    assert len(health.problem) == LONGEST_PROBLEM
    assert (len(health.database), health.version) == (63, "")
    code = read_health(answer(scheduler_problem="x", scheduler_code="<b>")).code
    assert code == ""
    assert clean("été, 日本 – ok", 50) == "été, 日本 – ok"
