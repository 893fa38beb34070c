"""Stages with threads of their own: errors reach the caller, a cancel ends all."""

import threading
import time

import pytest

from dfr_backup.engine.concurrency.background import Task
from dfr_backup.engine.concurrency.pipeline import (
    READ_AHEAD,
    Lane,
    Pipe,
    reading_ahead,
    working_behind,
)
from dfr_backup.engine.concurrency.worker_pool import WorkerPool
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.progress import Progress


class Broken(Exception):
    pass


def pieces(count, then=None):
    for number in range(count):
        yield b"%d" % number
    if then:
        raise then


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 5
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize("count", [0, 1, READ_AHEAD, 5 * READ_AHEAD])
def test_what_is_read_ahead_is_the_same(count):
    progress = Progress()
    with reading_ahead(pieces(count), progress) as ahead:
        assert [*ahead] == [*pieces(count)]
    assert progress.done == sum(map(len, pieces(count)))


@pytest.mark.parametrize("count", [0, READ_AHEAD, READ_AHEAD + 1])
def test_an_error_of_the_reader_comes_after_what_it_has_read(count):
    with reading_ahead(pieces(count, Broken()), Progress()) as ahead:
        assert [next(ahead) for _number in range(count)] == [*pieces(count)]
        with pytest.raises(Broken):
            next(ahead)


def test_who_takes_no_more_ends_the_reader():
    def endless():
        while True:
            yield b"x"

    with reading_ahead(endless(), Progress()) as ahead:
        assert next(ahead) == b"x"


def test_a_cancel_is_heard_while_nothing_comes():
    waiting = threading.Event()

    def silent():
        waiting.wait(30)
        yield b"late"

    def cancel(_progress):
        waiting.set()
        raise Cancelled

    with pytest.raises(Cancelled), reading_ahead(silent(), Progress(cancel)) as ahead:
        next(ahead)


def test_an_error_of_what_works_behind_reaches_the_caller():
    done = []

    def work(item):
        if item == 3:
            raise Broken
        done.append(item)

    def put_all():
        with working_behind(work, "test") as put:
            for number in range(10):
                put(number)

    with pytest.raises(Broken):
        put_all()
    assert done == [0, 1, 2, *done[3:]]


def test_what_works_behind_is_done_at_the_end():
    done = []
    with working_behind(done.append, "test") as put:
        for number in range(10):
            put(number)
    assert done == [*range(10)]


def test_a_lane_keeps_the_order():
    done = []
    with Lane("test") as lane:
        for number in range(100):
            lane.submit(done.append, number)
    assert done == [*range(100)]


def test_whoever_leaves_a_pipe_lets_the_other_side_fail():
    with Pipe() as pipe:
        other = Task(lambda: [*pipe.items()], "test")
        assert pipe.put(1)
    with pytest.raises(Cancelled):
        other.result()


def test_a_full_pipe_gives_everything_when_it_ends():
    with Pipe(most=2) as pipe:
        assert pipe.put(1)
        assert pipe.put(2)
        assert not pipe.put(3)
        pipe.end()
        assert [*pipe.items()] == [1, 2]


def test_a_task_raises_what_its_work_has_raised():
    def work():
        raise Broken

    task = Task(work, "test")
    with pytest.raises(Broken):
        task.finish(lambda: None)


def test_what_a_task_returns_too_late_is_cleaned_up():
    go_on, cleaned = threading.Event(), []
    task = Task(lambda: go_on.wait(10), "test")

    def cancel():
        raise Cancelled

    with pytest.raises(Cancelled):
        task.finish(cancel)
    task.abandon(cleaned.append)
    go_on.set()
    assert task.wait(10)
    assert cleaned == [True]


def test_what_is_tried_again_is_shown_until_bytes_move():
    progress = Progress()
    progress.retry("again")
    pool = WorkerPool(progress)
    pool.report()
    assert progress.retrying
    pool.count(1)
    pool.report()
    assert not progress.retrying
