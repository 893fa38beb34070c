import pytest

from dfr_backup.engine.policy.eta import StepTime, seconds_left


def test_nothing_left_takes_no_time():
    assert seconds_left([]) == 0


def test_steps_that_wait_take_as_long_as_the_last_time():
    assert seconds_left([StepTime(expected=40), StepTime(expected=2)]) == 42


def test_one_unknown_step_makes_the_whole_unknown():
    assert seconds_left([StepTime(expected=40), StepTime()]) is None


def test_a_running_step_is_judged_by_its_own_speed():
    # 25 of 100 bytes in 10 s: 30 s are left, whatever the last run took
    step = StepTime(expected=500, elapsed=10, done=25, total=100)
    assert seconds_left([step]) == pytest.approx(30)


@pytest.mark.parametrize(
    "step",
    [
        StepTime(
            expected=60, elapsed=2, done=50, total=100
        ),  # too early to know the speed
        StepTime(expected=60, elapsed=20, done=1, total=100),  # too little is done
        StepTime(expected=60, elapsed=20, done=10, total=0),  # the total is not known
    ],
)
def test_before_the_speed_is_known_the_last_run_speaks(step):
    assert seconds_left([step]) == 60 - step.elapsed


def test_time_left_is_never_negative():
    assert seconds_left([StepTime(expected=10, elapsed=300)]) == 0
    assert seconds_left([StepTime(elapsed=30, done=120, total=100)]) == 0
