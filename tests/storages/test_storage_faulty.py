"""The faulty storage of the tests: without faults it keeps the contract, with them
verify tells."""

import hashlib
import os
import time

import pytest
from faulty import Fault, FaultyStorage
from storage_contract import StorageContract

from dfr_backup.engine.errors import PermanentError, RetryableError
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage


@pytest.fixture
def local(tmp_path):
    folder = tmp_path / "backups"
    storage = LocalStorage(folder, LocalRules([folder]))
    storage.prepare()
    return storage


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom(100_000))
    return path


class TestFaultyStorage(StorageContract):
    @pytest.fixture
    def storage(self, local):
        return FaultyStorage(local)


@pytest.mark.parametrize("kind, stored", [("before", False), ("after", True)])
def test_before_and_after(local, source, kind, stored):
    storage = FaultyStorage(local, Fault("put", kind, nth=2))
    storage.put(source, "a", Progress())
    with pytest.raises(RetryableError):
        storage.put(source, "b", Progress())
    assert (local.stat("b") is not None) == stored
    storage.put(source, "b", Progress())


@pytest.mark.parametrize(
    "kind, method", [("corrupt", "put"), ("lie", "put"), ("corrupt", "open")]
)
def test_verify_notices(local, source, kind, method):
    storage = FaultyStorage(local, Fault(method, kind))
    storage.put(source, "a", Progress())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(PermanentError):
        storage.verify("a", 100_000, digest, Progress())


def test_slow(local):
    started = time.monotonic()
    list(FaultyStorage(local, Fault("list", "slow")).list())
    assert time.monotonic() - started >= 0.2
