"""Who hears how a run has ended."""

import pytest

from dfr_backup.engine.policy.alarms import (
    Alarms,
    EndedRun,
    MailWishes,
    after_run,
    has_recovered,
    is_worth_a_mail,
)

QUIET = Alarms()
LOUD = Alarms(frozenset({"backup", "drill"}), is_overdue=True)


def backup(state, **values):
    return EndedRun("backup", state, keeps_promise=True, **values)


@pytest.mark.parametrize("state", ["failure", "partial"])
def test_a_bad_run_opens_the_alarm_of_its_kind_once(state):
    after = after_run(backup(state), QUIET)
    assert after == Alarms(frozenset({"backup"}))
    assert after_run(backup(state), after) == after
    assert not has_recovered(backup(state), QUIET)


def test_a_bad_run_ends_nothing():
    assert after_run(backup("failure"), LOUD) == LOUD


def test_a_good_run_ends_what_its_kind_can_end():
    assert after_run(backup("success"), LOUD) == Alarms(frozenset({"drill"}))
    drill = EndedRun("drill", "success")
    assert after_run(drill, LOUD) == Alarms(frozenset({"backup"}), is_overdue=True)
    assert has_recovered(backup("success"), LOUD)
    assert has_recovered(drill, LOUD)


def test_a_good_run_of_a_good_plan_has_not_recovered():
    assert not has_recovered(backup("success"), QUIET)
    assert not has_recovered(EndedRun("verify", "success"), LOUD)


def test_being_overdue_alone_is_something_to_recover_from():
    overdue = Alarms(is_overdue=True)
    assert has_recovered(backup("success"), overdue)
    assert not has_recovered(EndedRun("drill", "success"), overdue)


def test_a_cancelled_run_changes_nothing():
    assert after_run(backup("cancelled"), LOUD) == LOUD
    assert not has_recovered(backup("cancelled"), LOUD)


@pytest.mark.parametrize(
    "run, recovered, wishes, expected",
    [
        (backup("failure"), False, MailWishes(failure=True), True),
        (backup("failure"), False, MailWishes(success=True), False),
        (backup("success"), False, MailWishes(failure=True, recovery=True), False),
        (backup("success"), True, MailWishes(recovery=True), True),
        (backup("success"), True, MailWishes(failure=True), False),
        (backup("success"), False, MailWishes(success=True), True),
        # one that is much smaller than before may lack something
        (backup("success", is_smaller=True), False, MailWishes(failure=True), True),
        (backup("success", is_smaller=True), False, MailWishes(), False),
        (backup("success", found_damage=True), False, MailWishes(failure=True), True),
        (backup("success", found_damage=True), False, MailWishes(), False),
        (backup("cancelled"), True, MailWishes(True, True, True), False),
    ],
)
def test_mails_are_sent_about_what_is_wanted(run, recovered, wishes, expected):
    assert is_worth_a_mail(run, recovered, wishes) is expected
