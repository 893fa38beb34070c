import pytest

from dfr_backup.engine.errors import Cancelled, PermanentError, RetryableError
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.retry import AGAIN, GIVING_UP, RetryPolicy, with_retries

QUICK = RetryPolicy(patience=0.2, first=0.01, longest=0.04)


class Busy(RetryableError):
    template = "%(who)s is busy."


class Operation:
    """Fails so often with ``error``, having done so many bytes each time, then
    returns."""

    def __init__(self, progress, errors, done=()):
        self.progress = progress
        self.errors = list(errors)
        self.done = list(done)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.done:
            self.progress.advance(self.done.pop(0))
        if self.errors:
            raise self.errors.pop(0)
        return "result"


def test_first_success_is_returned_and_nothing_logged():
    progress = Progress()
    assert with_retries(Operation(progress, []), progress, QUICK) == "result"
    assert progress.lines == []


def test_retryable_errors_are_counted_and_explained():
    progress = Progress()
    operation = Operation(progress, [Busy(who=1), Busy(who=2)])
    assert with_retries(operation, progress, QUICK) == "result"
    told = [line.values for line in progress.lines]
    assert [values["attempt"] for values in told] == [1, 2]
    assert [values["problem"].values["who"] for values in told] == [1, 2]
    assert {line.template for line in progress.lines} == {AGAIN}


def test_bytes_of_a_failed_attempt_are_not_counted_twice():
    progress = Progress()
    operation = Operation(progress, [RetryableError()], done=[70, 100])
    with_retries(operation, progress, QUICK)
    assert progress.done == 100


def test_permanent_error_is_not_tried_again():
    progress = Progress()
    operation = Operation(progress, [PermanentError(), None])
    with pytest.raises(PermanentError):
        with_retries(operation, progress, QUICK)
    assert operation.calls == 1


def test_patience_ends():
    progress = Progress()
    operation = Operation(progress, [RetryableError()] * 1000)
    with pytest.raises(RetryableError):
        with_retries(operation, progress, QUICK)
    assert 3 < operation.calls < 50
    assert progress.lines[-1].template is GIVING_UP


def test_progress_renews_the_patience():
    progress = Progress()
    operation = Operation(progress, [RetryableError()] * 30, done=range(1, 40))
    assert with_retries(operation, progress, RetryPolicy(0.05, 0.01, 0.04)) == "result"


def test_cancel_while_waiting():
    def report(_progress):
        raise Cancelled()

    progress = Progress(report)
    progress._next_report = 0
    with pytest.raises(Cancelled):
        with_retries(
            Operation(progress, [RetryableError()]),
            progress,
            RetryPolicy(900, 600, 600),
        )


def test_nothing_moves_from_a_failure_to_the_next_byte():
    progress, seen = Progress(), []
    operation = Operation(progress, [Busy(who=1), Busy(who=2)])

    def looked_at():
        seen.append(progress.retrying)
        operation()
        if operation.calls > 2:
            progress.advance(1)
            seen.append(progress.retrying)

    with_retries(looked_at, progress, QUICK)
    assert seen == [False, True, True, False]
    with_retries(Operation(progress, [Busy(who=3)]), progress, QUICK)
    assert not progress.retrying


def test_each_line_is_taken_once():
    progress = Progress()
    progress.log("one")
    progress.log("two")
    assert progress.take_lines() == ["one", "two"]
    assert progress.take_lines() == []
    progress.warn("three")
    assert len(progress.take_lines()) == 1
    assert len(progress.lines) == 3
