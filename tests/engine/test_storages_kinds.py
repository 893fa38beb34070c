"""What all kinds of storage have in common stands once, and the registry is open."""

import threading
import time
from dataclasses import replace

import pytest

from dfr_backup.engine.concurrency.worker_pool import WaitingPool
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.cancel import CancelCheck
from dfr_backup.engine.storages.kind import StorageKind
from dfr_backup.engine.storages.local.storage import LocalStorage
from dfr_backup.engine.storages.rate_limit import RateLimit
from dfr_backup.engine.storages.registry import Kind, kind_of, kinds, register

FINAL = [
    name
    for name in dir(StorageKind)
    if getattr(getattr(StorageKind, name), "__final__", False)
]


def test_what_stands_once():
    contract = {"put", "put_bytes", "create", "peek", "stat", "list", "open", "delete"}
    contract |= {"probe", "require", "prepare", "check", "discard_partial", "verify"}
    contract |= {"free_space", "local_path", "download_url", "reporting_to", "may_list"}
    contract |= {"with_retries", "subfolders", "subfolder"}
    assert contract <= set(FINAL)


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_no_kind_does_over_again_what_stands_once(kind):
    own = [n for n in FINAL if getattr(kind.engine, n) is not getattr(StorageKind, n)]
    assert not own, own


def test_a_kind_with_secrets_names_where_they_are_sent():
    with pytest.raises(TypeError):
        Kind("leaky", LocalStorage, folder=("path",), secrets=("password",))


@pytest.mark.parametrize("name", ["", "two_words", "Capital", "3d"])
def test_the_name_of_a_kind_begins_the_names_of_its_fields(name):
    with pytest.raises(TypeError):
        Kind(name, LocalStorage)


def test_no_kind_takes_the_name_or_the_scheme_of_another():
    class Other(LocalStorage):
        pass

    before = kinds()
    for kind in (Kind("s3", Other), Kind("other", Other, scheme="sftp")):
        with pytest.raises(TypeError):
            register(kind)
    register(replace(kind_of("local")))  # a module may be loaded twice
    assert kinds() == before


def test_names_of_fields():
    kind = kind_of("sftp")
    assert kind.fields("host", "folder")[:2] == ("sftp_host", "sftp_port")
    assert kind.field("") == ""


# -- bandwidth


def test_threads_share_one_limit():
    rate = RateLimit(1000)
    started = time.monotonic()
    threads = [
        threading.Thread(target=rate.spend, args=(100, time.sleep)) for _n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started > 0.35


def test_what_the_pause_raises_ends_the_transfer():
    def pause(_seconds):
        raise Cancelled()

    with pytest.raises(Cancelled):
        RateLimit(1).spend(1000, pause)


def test_without_a_limit_nobody_waits():
    def pause(_seconds):
        raise AssertionError("nobody waits")

    RateLimit(0).spend(1 << 40, pause)


# -- cancel


def cancelled():
    progress = Progress()

    def tick():
        raise Cancelled()

    progress.tick = tick
    return progress


def test_only_the_thread_that_reports_is_asked():
    cancel, others = CancelCheck(), []

    def elsewhere():
        cancel()
        others.append(cancel.is_heard)

    with cancel.by(cancelled().tick):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert cancel.is_heard
        with pytest.raises(Cancelled):
            cancel()
        with cancel.by(None):
            cancel()
    cancel()
    assert others == [False]


def test_a_cancel_does_not_wait_for_a_server_that_is_silent():
    silence, started = threading.Event(), time.monotonic()
    pool = WaitingPool(cancelled().tick)
    with pytest.raises(Cancelled):
        pool.call(lambda: silence.wait(120))
    assert not pool.stop(0.01)
    silence.set()
    assert time.monotonic() - started < 60
    assert pool.stop(60)


def test_waiting_pool_has_some_tasks_under_way_and_yields_what_is_ready():
    under_way, most, lock = set(), [], threading.Lock()

    def work(task):
        with lock:
            under_way.add(task)
            most.append(len(under_way))
        time.sleep(0.01)
        with lock:
            under_way.discard(task)
        return task * 2

    pool = WaitingPool(lambda: None)
    assert sorted(pool.map(work, range(20), 3)) == [2 * task for task in range(20)]
    assert max(most) <= 3


def test_waiting_pool_raises_and_begins_nothing_more():
    begun = []

    def work(task):
        begun.append(task)
        raise ValueError(task)

    with pytest.raises(ValueError, match="0"):
        list(WaitingPool(lambda: None).map(work, range(100), 1))
    assert begun == [0]


def test_waiting_pool_keeps_the_results_of_one_call_apart_from_the_next():
    """A part that is still under way when another one has failed, such as those of an
    upload that the server has forgotten, is no answer to what is asked next."""
    release = threading.Event()

    def work(task):
        if task == 0:
            raise ValueError(task)
        release.wait(60)
        return task

    pool = WaitingPool(lambda: None)
    with pytest.raises(ValueError, match="0"):
        list(pool.map(work, range(4), 4))
    release.set()

    def asked_next():
        time.sleep(0.5)  # what was under way is done before it
        return "asked next"

    assert pool.call(asked_next) == "asked next"
    assert pool.stop(60)
