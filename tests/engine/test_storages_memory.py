"""The kind of storage of the test addon keeps the contract, as every kind."""

import importlib.util
from pathlib import Path

import pytest
from storage_contract import StorageContract

from dfr_backup.engine.storages.base import TransferLimits

ADDON = Path(__file__).resolve().parents[1] / "addons/dfr_backup_memory"


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """Its module as Odoo has it, but for the name that our package has there."""
    source = (ADDON / "memory_storage.py").read_text()
    path = tmp_path_factory.mktemp("addon") / "memory_storage.py"
    path.write_text(source.replace("odoo.addons.dfr_backup", "dfr_backup"))
    spec = importlib.util.spec_from_file_location("memory_storage", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestMemory(StorageContract):
    @pytest.fixture
    def storage(self, memory):
        memory.FOLDERS.clear()
        return memory.MemoryStorage("shelf", TransferLimits())
