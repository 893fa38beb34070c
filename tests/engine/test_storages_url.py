"""Addresses on the command line."""

import pytest

from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.errors.command_line import (
    AddressUnclear,
    SftpAddressIncomplete,
    UnknownScheme,
)
from dfr_backup.engine.storages.url import storage_at

ENVIRON = {
    "DFR_BACKUP_SFTP_PASSWORD": "x",
    "DFR_BACKUP_SFTP_HOST_KEY": "ssh-ed25519 AAAA",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}


@pytest.mark.parametrize(
    "address, place, key",
    [
        ("s3://bucket/a/b/x.zip", "s3://bucket/a/b/", "x.zip"),
        ("s3://bucket/what?/no#1/x.zip", "s3://bucket/what?/no#1/", "x.zip"),
        ("s3://bucket/a%20b/", "s3://bucket/a b/", ""),
        ("/tmp/what?/", "/tmp/what?/", ""),
    ],
)
def test_where_an_address_leads(address, place, key):
    storage, found = storage_at(address, ENVIRON)
    assert storage.location("") == place
    assert found == key


def test_a_folder_has_no_key():
    storage, key = storage_at("s3://bucket/a/b#", ENVIRON, folder=True)
    assert (storage.location(""), key) == ("s3://bucket/a/b#/", "")


@pytest.mark.parametrize(
    "address",
    [
        "sftp://u@host:abc/x.zip",
        "sftp://u@host:70000/x.zip",
        "s3://[bucket/x.zip",
        "ftp://h/x.zip",
    ],
)
def test_what_is_no_address_is_refused_in_words(address):
    with pytest.raises(PermanentError) as caught:
        storage_at(address, ENVIRON)
    assert caught.value.code in (AddressUnclear.code, UnknownScheme.code)
    assert "sftp://" in caught.value.hint.values["examples"]


def test_a_password_has_no_place_in_an_address():
    with pytest.raises(SftpAddressIncomplete) as caught:
        storage_at("sftp://u:secret@host/x.zip", ENVIRON)
    assert "secret" not in str(caught.value.in_full)
