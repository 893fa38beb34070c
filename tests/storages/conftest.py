"""Storages against real servers on loopback. The engine is used without Odoo here,
too."""

import os
import sys
import types
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
package = types.ModuleType("dfr_backup")
package.__path__ = [str(TESTS.parent / "dfr_backup")]
sys.modules.setdefault("dfr_backup", package)
sys.path.append(str(TESTS / "engine"))  # storage_contract


@pytest.fixture(scope="session", autouse=True)
def own_environment():
    """What this machine trusts, and who it is for AWS, must not change what a test
    shows."""
    from s3_servers import environment

    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment()):
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory):
    from s3_servers import rgw

    with rgw(tmp_path_factory.mktemp("rgw")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory):
    from s3_servers import rclone

    with rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_secure_server(tmp_path_factory):
    from s3_servers import rclone

    with rclone(tmp_path_factory.mktemp("rclone"), secure=True) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory):
    from s3_servers import moto

    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(params=["moto", "rgw"])
def locking_server(request):
    """A server that knows Object Lock."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def locking_bucket(locking_server):
    """The name of a new bucket with Object Lock."""
    from s3_servers import new_bucket

    return new_bucket(locking_server.url, ObjectLockEnabledForBucket=True)
