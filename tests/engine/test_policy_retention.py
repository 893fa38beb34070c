import dataclasses
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfr_backup.engine.errors.other import ClockBehind, ClocksDisagree, PolicyUnusable
from dfr_backup.engine.policy.expiry import expires_at
from dfr_backup.engine.policy.retention import (
    PRESETS,
    Copy,
    EqualCopies,
    NaiveTime,
    Policy,
    Reason,
    plan_retention,
)
from dfr_backup.engine.policy.schedule import Schedule, next_time

UTC = timezone.utc
ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
]
NOTHING = {
    "hourly": 0,
    "daily": 0,
    "weekly": 0,
    "monthly": 0,
    "within_days": 0,
    "minimum": 1,
}


def utc(*args):
    return datetime(*args, tzinfo=UTC)


NOW = utc(2026, 11, 24, 12)
LAST_NIGHT = utc(2026, 11, 24, 2)


def only(**rules):
    return Policy(**(NOTHING | rules))


def daily_copies(count, newest=LAST_NIGHT, **values):
    return [
        Copy(f"c{n}", newest - timedelta(days=n), **({"verified": True} | values))
        for n in range(count)
    ]


def kept(decision):
    return {v.identifier: v.reasons for v in decision.verdicts if v.keep}


def rules_of(decision, identifier):
    return [reason.rule for reason in kept(decision)[identifier]]


# --- examples
# ---------------------------------------------------------------------------------


def test_like_odoo_sh():
    decision = plan_retention(daily_copies(120), Policy(), "UTC", NOW)
    days = {int(identifier[1:]) for identifier in kept(decision)}
    # 7 days, the Sundays 22, 15 and 8 November, the last days of October and September
    assert days == {0, 1, 2, 3, 4, 5, 6, 9, 16, 24, 55}
    assert Reason("monthly", "2026-10") in kept(decision)["c24"]
    assert Reason("weekly", "2026-W46") in kept(decision)["c9"]
    assert decision.deletions[0] == "c119"
    assert {v.reasons for v in decision.verdicts if not v.keep} == {
        (Reason("surplus"),)
    }


def test_days_without_a_backup_do_not_count():
    old = [Copy(f"o{n}", utc(2020, 1, 1 + n), True) for n in range(5)]
    decision = plan_retention(daily_copies(3) + old, only(daily=5), "UTC", NOW)
    assert set(kept(decision)) == {"c0", "c1", "c2", "o4", "o3"}


@pytest.mark.parametrize(
    "zone, expected", [("UTC", {"b"}), ("Europe/Paris", {"a", "b"})]
)
def test_a_day_is_one_of_the_plan_s_time_zone(zone, expected):
    copies = [
        Copy("a", utc(2026, 7, 1, 21, 59), True),
        Copy("b", utc(2026, 7, 1, 22, 1), True),
    ]
    assert set(kept(plan_retention(copies, only(daily=5), zone, NOW))) == expected


def test_the_hour_that_comes_twice_is_two_hours():
    copies = [Copy(str(hour), utc(2026, 10, 25, hour), True) for hour in (0, 1)]
    assert len(kept(plan_retention(copies, only(hourly=5), "Europe/Paris", NOW))) == 2


def test_one_run_under_a_wrong_clock_does_not_void_the_floor():
    late = NOW + timedelta(days=3650)
    copies = [*daily_copies(3), Copy("late", late, True)]
    decision = plan_retention(
        copies, only(daily=1, within_days=2, minimum=2), "UTC", late
    )
    assert set(kept(decision)) == {"late", "c0", "c1", "c2"}


def test_unverified_copies_do_not_push_out_verified_ones():
    fakes = [Copy(f"f{n}", utc(2026, 11, 24, 3 + n % 8, n), False) for n in range(60)]
    decision = plan_retention(
        daily_copies(9) + fakes, only(daily=7, minimum=2), "UTC", NOW
    )
    assert {i for i in kept(decision) if i.startswith("c")} == {
        f"c{n}" for n in range(7)
    }


def test_a_storage_scanned_anew_keeps_its_history():
    unverified = daily_copies(60, newest=utc(2026, 11, 22, 2), verified=False)
    fresh = [
        Copy("n1", utc(2026, 11, 24, 2), True),
        Copy("n2", utc(2026, 11, 23, 2), True),
    ]
    decision = plan_retention(fresh + unverified, only(daily=7), "UTC", NOW)
    assert set(kept(decision)) == {"n1", "n2", "c0", "c1", "c2", "c3", "c4"}
    one = plan_retention(fresh[:1] + unverified, only(daily=1, minimum=2), "UTC", NOW)
    assert not one.deletions


@pytest.mark.parametrize(
    "now, storage_now, error",
    [
        (NOW - timedelta(days=1), None, ClockBehind),
        (NOW, NOW + timedelta(seconds=301), ClocksDisagree),
        (NOW, NOW - timedelta(days=3650), ClocksDisagree),
    ],
)
def test_wrong_clocks_delete_nothing(now, storage_now, error):
    decision = plan_retention(daily_copies(90), Policy(), "UTC", now, storage_now)
    assert not decision.deletions
    assert isinstance(decision.error, error)
    assert decision.refused.values["now"] == now.strftime("%Y-%m-%d %H:%M UTC")
    assert decision.hint
    assert kept(decision)["c89"] == (Reason("refused"),)


def test_small_differences_of_clocks_are_no_obstacle():
    copies = daily_copies(90)
    now = copies[0].taken_at - timedelta(seconds=20)
    assert plan_retention(
        copies, Policy(), "UTC", now, now + timedelta(minutes=5)
    ).deletions


@pytest.mark.parametrize(
    "policy",
    [
        only(),
        only(daily=3, minimum=0),
        only(daily=-1),
        only(daily=10**9),
        only(daily=1.5),
        only(daily=None),
        only(daily=True),
    ],
)
def test_a_policy_that_cannot_be_used_deletes_nothing(policy):
    assert policy.problems()
    decision = plan_retention(daily_copies(50), policy, "UTC", NOW)
    assert isinstance(decision.error, PolicyUnusable)
    assert str(policy.problems()[0]) in str(decision.refused)
    assert not decision.deletions


def test_what_is_wrong_with_a_policy_is_named():
    (problem,) = only(hourly=-1).problems()
    assert problem.values == {"rule": "hourly", "largest": 10_000}


def test_every_preset_can_be_used():
    assert not any(policy.problems() for policy in PRESETS.values())


def test_what_is_no_history_is_an_error():
    with pytest.raises(EqualCopies):
        plan_retention([Copy("a", NOW, True)] * 2, Policy(), "UTC", NOW)
    naive = Copy("a", NOW.replace(tzinfo=None), True)
    with pytest.raises(NaiveTime):
        plan_retention([naive], Policy(), "UTC", NOW)


# --- an oracle, written from restic's documentation and not from the code
# ---------------------


def bucket(rule, moment, zone):
    local = moment.astimezone(ZoneInfo(zone))
    year, month, day = local.year, local.month, local.day
    return {
        "hourly": (year, month, day, local.hour, local.utcoffset()),
        "daily": (year, month, day),
        "weekly": local.isocalendar()[:2],
        "monthly": (year, month),
        "yearly": (year,),
    }[rule]


def oracle(history, policy, zone):
    """The identifiers of a history (verified, ours, not running) that the rules
    want."""
    wanted = set()
    for rule in ("hourly", "daily", "weekly", "monthly", "yearly"):
        newest = {}
        for copy in history:
            key = bucket(rule, copy.taken_at, zone)
            best = newest.get(key)
            if best is None or (copy.taken_at, copy.identifier) > (
                best.taken_at,
                best.identifier,
            ):
                newest[key] = copy
        ranked = sorted(newest.values(), key=lambda c: (c.taken_at, c.identifier))
        count = getattr(policy, rule)
        wanted |= {
            c.identifier for c in ranked[len(ranked) - min(count, len(ranked)) :]
        }
    by_age = sorted(history, key=lambda c: (c.taken_at, c.identifier))
    count = policy.keep_last
    return wanted | {
        c.identifier for c in by_age[len(by_age) - min(count, len(by_age)) :]
    }


# --- random histories
# -------------------------------------------------------------------------

SHIFTS = [timedelta(hours=1), timedelta(days=1), timedelta(days=3650)]


def random_policy(rng):
    counts = {
        field.name: rng.choice((0, 0, 1, 2, 3, 7))
        for field in dataclasses.fields(Policy)
    }
    return Policy(**counts)


def random_history(rng):
    """Return copies in no order, some of them from under a wrong clock, and the true
    time."""
    moment = rng.choice(
        (utc(2026, 3, 28, 20), utc(2026, 10, 24, 20), utc(2025, 12, 30))
    )
    step = rng.choice((timedelta(minutes=40), timedelta(hours=7), timedelta(days=1)))
    copies = []
    for number in range(rng.randrange(0, 26)):
        moment += step * rng.choice((1, 1, 1, 1, 0, 3, 40))
        lie = (
            rng.choice(SHIFTS) * rng.choice((1, -1))
            if rng.random() < 0.04
            else timedelta()
        )
        copies.append(
            Copy(
                f"{number:02}",
                moment + lie,
                verified=rng.random() < 0.8,
                protected=rng.random() < 0.1,
                ours=rng.random() < 0.9,
                running=rng.random() < 0.05,
            )
        )
    rng.shuffle(copies)
    return copies, moment + timedelta(minutes=rng.randrange(0, 300))


def check_invariants(copies, policy, zone, now, storage_now):
    decision = plan_retention(copies, policy, zone, now, storage_now)
    deleted = set(decision.deletions)
    usable = [c for c in copies if c.ours and not c.running]
    verified = sorted(
        (c for c in usable if c.verified),
        key=lambda c: (c.taken_at, c.identifier),
        reverse=True,
    )
    # I4: one verdict each, with its reason; the same again from another order
    assert {v.identifier for v in decision.verdicts} == {c.identifier for c in copies}
    assert all(v.reasons for v in decision.verdicts)
    assert plan_retention(copies[::-1], policy, zone, now, storage_now) == decision
    # I7 and T2
    tolerance = timedelta(minutes=5)
    wrong_clock = (storage_now is not None and abs(now - storage_now) > tolerance) or (
        verified and verified[0].taken_at > now + tolerance
    )
    assert bool(decision.refused) == bool(wrong_clock or policy.problems())
    if decision.refused:
        assert not deleted
        return decision
    # I1
    assert not deleted & {c.identifier for c in verified[: policy.minimum]}
    # I2
    newest = max(usable, key=lambda c: (c.taken_at, c.identifier), default=None)
    safe = {c.identifier for c in copies if c.protected or c.running or not c.ours}
    assert not deleted & (safe | ({newest.identifier} if newest else set()))
    if len(verified) >= policy.minimum:
        since = verified[policy.minimum - 1].taken_at - timedelta(
            days=policy.within_days
        )
        assert not deleted & {c.identifier for c in usable if c.taken_at > since}
    # I3: verified copies fare as if there were no others, and as the oracle says
    wanted = oracle(verified, policy, zone)
    for copy in verified:
        floor = {r.rule for r in kept(decision).get(copy.identifier, ())} & {
            "minimum",
            "within",
            "protected",
        }
        assert (copy.identifier not in deleted) == bool(
            copy.identifier in wanted or floor
        )
    return decision


def test_invariants_in_ten_thousand_random_histories():
    rng = random.Random(20261124)
    refused = deleting = 0
    for _ in range(10_000):
        copies, now = random_history(rng)
        zone = rng.choice(ZONES)
        lie = (
            rng.choice(SHIFTS) * rng.choice((1, -1))
            if rng.random() < 0.1
            else timedelta()
        )
        storage_now = rng.choice((None, now))
        decision = check_invariants(
            copies, random_policy(rng), zone, now + lie, storage_now
        )
        refused += bool(decision.refused)
        deleting += bool(decision.deletions)
    assert refused > 1000
    assert deleting > 3000


moments = st.integers(0, 400 * 24 * 4).map(
    lambda quarters: utc(2025, 12, 25) + timedelta(minutes=15 * quarters)
)
histories = st.lists(
    st.tuples(moments, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    max_size=12,
).map(lambda rows: [Copy(str(n), *row) for n, row in enumerate(rows)])
policies = st.builds(Policy, *[st.integers(0, 4)] * len(dataclasses.fields(Policy)))


@settings(max_examples=300, deadline=None)
@given(histories, policies, st.sampled_from(ZONES), moments, st.none() | moments)
def test_invariants(copies, policy, zone, now, storage_now):
    check_invariants(copies, policy, zone, now, storage_now)


@settings(max_examples=200, deadline=None)
@given(histories, policies, st.sampled_from(ZONES))
def test_what_was_deleted_would_be_deleted_and_the_rest_stays(copies, policy, zone):
    """An interrupted cleanup that is done again deletes what it still had to, and no
    more."""
    now = utc(2028, 1, 1)
    deletions = plan_retention(copies, policy, zone, now).deletions
    for done in (len(deletions) // 2, len(deletions)):
        left = [c for c in copies if c.identifier not in deletions[:done]]
        assert plan_retention(left, policy, zone, now).deletions == deletions[done:]


# --- for how long
# -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rules, hours, days",
    [
        ({"keep_last": 60}, 24, 60),
        ({"keep_last": 60}, 1, 3),
        ({"keep_last": 3, "minimum": 5}, 7 * 24, 35),
        ({"hourly": 48}, 1, 2),
        ({"daily": 7, "weekly": 4}, 24, 28),
        ({"daily": 7}, 1, 7),
        ({"daily": 7}, 7 * 24, 49),
        ({"monthly": 3, "within_days": 100}, 24, 100),
        ({"yearly": 2}, 24, 732),
        ({"keep_last": 60, "daily": 5}, 0, 5),
    ],
)
def test_days_that_the_oldest_copy_stays(rules, hours, days):
    assert only(**rules).days_kept(timedelta(hours=hours)) == days


# --- expiry
# -----------------------------------------------------------------------------------


def test_expiry_of_what_never_goes_and_of_what_goes_now():
    copies = [
        *daily_copies(12),
        Copy("protected", utc(2020, 1, 1), True, protected=True),
        Copy("foreign", utc(2020, 1, 1), True, ours=False),
    ]
    found = expires_at(copies, only(daily=7), "UTC", NOW)
    assert found["protected"] is None
    assert found["foreign"] is None
    assert found["c7"] == NOW
    assert found["c6"] == utc(2026, 11, 25, 2)
    assert found["c0"] == utc(2026, 12, 1, 2)
    past = NOW - timedelta(days=9)
    assert set(expires_at(copies, only(daily=7), "UTC", past).values()) == {None}


def test_expiry_beyond_all_calendars_is_never():
    copies = [Copy(str(year), utc(year, 11, 1), True) for year in (2025, 2026)]
    found = expires_at(copies, only(yearly=10_000), "UTC", NOW)
    assert found == {"2025": None, "2026": None}


def test_expiry_of_nothing():
    assert expires_at([], Policy(), "UTC", NOW) == {}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40 * 48), st.booleans()), min_size=2, max_size=8),
    st.sampled_from([timedelta(hours=5), timedelta(days=1), timedelta(days=9)]),
    st.builds(
        Policy,
        *[st.integers(0, 3)] * 5,
        st.just(0),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    st.sampled_from(["UTC", "Europe/Paris", "Asia/Kolkata"]),
)
def test_expiry_is_what_happens_when_the_rhythm_goes_on(rows, gap, policy, zone):
    newest = utc(2026, 10, 20, 2)
    copies = [
        Copy(f"o{n}", newest - timedelta(minutes=30 * age) - 11 * gap, verified)
        for n, (age, verified) in enumerate(rows)
    ]
    copies += [Copy(f"r{n}", newest - n * gap, True) for n in range(11)]
    if policy.problems():
        return
    expected = expires_at(copies, policy, zone, newest)
    first = {}
    present = list(copies)
    for run in range(0, 4 * 31 * 5):
        now = newest + run * gap
        if run:
            present.append(Copy(f"n{run:03}", now, True))
        gone = set(plan_retention(present, policy, zone, now).deletions)
        first |= {i: now for i in gone if i in expected}
        present = [c for c in present if c.identifier not in gone]
        if len(first) == len(expected):
            break
    assert expected == first


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40 * 48), st.booleans()), max_size=5),
    st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    st.builds(
        Policy,
        *[st.integers(0, 3)] * 5,
        st.just(0),
        st.integers(0, 3),
        st.integers(1, 3),
    ),
    st.sampled_from(["UTC", "Asia/Kolkata"]),
)
def test_expiry_follows_the_schedule_from_the_first_backup_on(
    rows, frequency, policy, zone
):
    """However irregular those are that there are already."""
    schedule = Schedule(frequency, 150, 2, 31, zone)
    newest = utc(2026, 10, 20, 2, 17)
    copies = [
        Copy(f"o{n}", newest - timedelta(minutes=30 * age), verified)
        for n, (age, verified) in enumerate(rows)
    ]
    copies.append(Copy("newest", newest, True))
    if policy.problems():
        return
    expected = expires_at(copies, policy, zone, newest, schedule)
    present, first, now = list(copies), {}, newest
    for run in range(900):
        if run:
            now = next_time(schedule, now)
            present.append(Copy(f"n{run:03}", now, True))
        gone = set(plan_retention(present, policy, zone, now).deletions)
        first |= {i: now for i in gone if i in expected}
        present = [c for c in present if c.identifier not in gone]
        if len(first) == len(expected):
            break
    assert first == {i: end for i, end in expected.items() if i in first}
    assert first, "none has gone"


def test_expiry_waits_for_the_end_of_a_pause():
    schedule = Schedule("daily", 120)
    pause = NOW + timedelta(days=30)
    found = expires_at(daily_copies(3), only(keep_last=3), "UTC", NOW, schedule, pause)
    first = next_time(schedule, pause)
    assert found == {f"c{n}": first + timedelta(days=2 - n) for n in range(3)}
    over = NOW - timedelta(days=1)
    assert expires_at(
        daily_copies(3), only(keep_last=3), "UTC", NOW, schedule, over
    ) == expires_at(daily_copies(3), only(keep_last=3), "UTC", NOW, schedule)


def test_months_to_come_are_months():
    schedule = Schedule("monthly", 120, 0, 31, "UTC")
    copies = [Copy("first", utc(2026, 11, 30, 2), True)]
    found = expires_at(
        copies, only(monthly=4), "UTC", NOW + timedelta(days=7), schedule
    )
    assert found == {"first": utc(2027, 3, 31, 2)}
