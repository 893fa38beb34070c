"""The servers of sftp_servers.py for tests: started once, emptied for each test."""

import os

import pytest
from sftp_servers import a_user, empty, plain_sshd, root_sshd


@pytest.fixture(scope="session")
def user():
    """Who runs the plain sshd and logs in: a user made for it when we are root, else
    we."""
    if os.geteuid():
        yield None
        return
    with a_user() as made:
        yield made


@pytest.fixture(scope="session")
def plain(user):
    with plain_sshd(user, kinds=("ed25519", "ecdsa", "rsa")) as server:
        yield server


@pytest.fixture(scope="session")
def chrooted(user):
    if user is None:
        pytest.skip("only root can let other users log in with a password")
    with root_sshd(user) as server:
        yield server


@pytest.fixture
def server(plain):
    """The plain sshd, with an empty folder."""
    empty(plain.data)
    return plain
