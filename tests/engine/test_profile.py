"""The profile of a server: read as a whole, followed, and its secrets kept."""

import os
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.profile import (
    ProfileBadValue,
    ProfileExposed,
    ProfileMalformed,
    ProfileStorageRefused,
    ProfileUnknown,
    ProfileUnreadable,
    ProfileWritable,
)
from dfr_backup.engine.profile.model import PLACES, FolderNames
from dfr_backup.engine.profile.read import ProfileFile
from dfr_backup.engine.storages.local.storage import LocalRules
from dfr_backup.engine.storages.registry import kinds

REPO = Path(__file__).resolve().parents[2]
SECRET = "correct horse battery staple"
SHOP = FolderNames.of("shop", "1a2b3c4d-0000-0000-0000-000000000000")
KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
BUCKET = f"""
[storage offsite]
kind = s3
bucket = backups
prefix = {{database}}-{{uuid8}}
access_key = odoo
secret_key = {SECRET}
"""
SERVER = SimpleNamespace(
    certificate_path=lambda pem: "/ca.pem" if pem else "",
    local_rules=lambda: LocalRules([Path("/mnt")]),
    rclone_config=lambda remote, directory: None,
)


@pytest.fixture
def write(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "profile.ini"
        path.write_text(text)
        path.chmod(mode)
        return ProfileFile(path, SERVER, [tmp_path / "run/secrets"])

    return write


def test_a_storage_of_the_profile(write):
    section = write(BUCKET).profile().section("OFFSITE")
    assert section.kind.name == "s3"
    assert section.title == "offsite"
    assert section.secret("secret_key") == SECRET
    assert section.allows("shop")
    found = section.fields(SHOP)
    assert found["s3_prefix"] == "shop-1a2b3c4d"
    assert found["s3_bucket"] == "backups"
    assert found["s3_lock_mode"] == ""  # what nobody has set is said, too
    assert found["s3_verify"] == "auto"
    assert found["timeout"] == 60


@pytest.mark.parametrize(
    "folder, base",
    [
        ("{database}-{uuid8}", ""),
        ("odoo/{database}", "odoo"),
        ("odoo/all-{database}/nightly", "odoo"),
        ("odoo/one", "odoo/one"),
    ],
)
def test_where_all_databases_have_their_folders(write, folder, base):
    text = BUCKET.replace("{database}-{uuid8}", folder) + "databases = shop\n"
    section = write(text).profile().section("OFFSITE")
    assert section.base() == base
    assert section.kind.path == "prefix"
    assert list(section.places()) == (["prefix"] if base != folder else [])


def test_all_databases_have_their_folders_at_the_root(write):
    text = "[storage far]\nkind = sftp\nhost = h\nuser = u\nhost_key = ssh-rsa AA==\n"
    section = write(f"{text}directory = /{{database}}\n").profile().section("far")
    assert section.base() == "/"


def test_a_secret_is_in_no_text(write):
    profile = write(BUCKET).profile()
    assert SECRET not in repr(profile)
    assert SECRET not in str(profile.section("OFFSITE").fields(SHOP))


def test_only_the_named_databases(write):
    text = BUCKET.replace("kind", "databases = shop, office\nkind")
    profile = write(text).profile()
    assert [one.name for one in profile.storages_for("shop")] == ["offsite"]
    assert not profile.storages_for("other")


def test_one_named_database_needs_no_folder_of_its_own(write):
    text = BUCKET.replace("{database}-{uuid8}", "odoo")
    with pytest.raises(ProfileBadValue):
        write(text).profile()
    write(text.replace("kind", "databases = shop\nkind")).profile()


def test_a_database_leads_nowhere_else():
    """Its administrator chooses the uuid."""
    for name, uuid in (("..", "../../et"), ("a/b", "a\0b"), ("", ""), (".", ".hidden")):
        filled = FolderNames.of(name, uuid).fill("x/{database}/{uuid8}/y")
        parts = filled.split("/")
        assert len(parts) == 4
        assert not {"", ".", ".."} & set(parts)
    again = FolderNames.from_json({"database": "../shop", "uuid8": "/etc"})
    assert "/" not in again.fill("{database}{uuid8}")


def test_every_kind_can_be_named(write):
    """A kind without a folder could not be kept apart by database."""
    for kind in kinds():
        assert kind.folder
        assert set(kind.defaults) <= {*kind.host, *kind.more, *kind.options}


def test_the_other_kinds(write, tmp_path):
    profile = write(
        """
        [storage disk]
        kind = local
        path = /mnt/odoo/{database}
        [storage server]
        kind = sftp
        host = backup.example.com
        user = odoo
        host_key = ssh-ed25519 AAAA
        directory = {uuid8}
        """.replace("        ", "")
    ).profile()
    assert profile.section("DISK").fields(SHOP)["local_path"] == "/mnt/odoo/shop"
    server = profile.section("SERVER").fields(SHOP)
    assert (server["sftp_port"], server["sftp_directory"]) == (22, "1a2b3c4d")


def test_the_example_is_a_profile(tmp_path):
    text = (REPO / "examples/profile.ini").read_text()
    secrets = tmp_path / "run/secrets"
    secrets.mkdir(parents=True)
    (secrets / "s3_secret_key").write_text(f"{SECRET}\n")
    path = tmp_path / "profile.ini"
    path.write_text(text.replace("/run/secrets", str(secrets)))
    profile = ProfileFile(path, SERVER, [secrets]).profile()
    assert set(profile.storages) == {"offsite", "nas"}
    assert profile.section("OFFSITE").secret("secret_key") == SECRET
    plan = profile.plan
    assert (plan.frequency, plan.minute_of_day) == ("daily", 150)
    assert (plan.timezone, plan.keep) == ("Europe/Paris", "year")
    assert plan.public_keys.startswith("age1")
    assert plan.recipients == ("backups@example.com",)
    assert profile.alerts == ("operator@example.com",)


def test_every_key_of_the_reader_is_documented():
    page = (REPO / "docs/profile.rst").read_text()
    names = {
        name
        for kind in kinds()
        if kind.engine.__module__.startswith("dfr_backup.")
        for part in (kind.host, kind.folder, kind.more, kind.options, kind.secrets)
        for name in part
    }
    for name in names:
        assert f"``{name}``" in page, name
    for place in PLACES:
        assert f"``{{{place}}}``" in page


# === FOLLOWED === #


def test_a_key_that_is_replaced_is_read(write):
    file = write(BUCKET)
    first = file.profile()
    assert file.profile() is first
    write(BUCKET.replace(SECRET, "another"))
    assert file.profile().section("OFFSITE").secret("secret_key") == "another"


def test_a_secret_in_a_file_that_is_replaced_is_read(write, tmp_path):
    key = tmp_path / "key"
    key.write_text(f"{SECRET}\n")
    key.chmod(0o600)
    file = write(BUCKET.replace(f"secret_key = {SECRET}", f"secret_key_file = {key}"))
    assert file.profile().section("OFFSITE").secret("secret_key") == SECRET
    other = tmp_path / "other"
    other.write_text("another")
    other.chmod(0o600)
    other.replace(key)
    assert file.profile().section("OFFSITE").secret("secret_key") == "another"
    key.unlink()
    with pytest.raises(ProfileUnreadable):
        file.profile()


def test_a_broken_file_is_not_read_by_halves(write):
    file = write(BUCKET)
    file.profile()
    write(BUCKET + "[storage second]\nkind = s3\n")
    for _again in range(2):
        with pytest.raises(ProfileBadValue):
            file.profile()
    write(BUCKET)
    assert file.profile().section("OFFSITE")


# === REFUSED === #

BAD = [
    (ProfileMalformed, BUCKET + "secret_key " + SECRET),
    (ProfileMalformed, SECRET + BUCKET),
    (ProfileMalformed, BUCKET + f"secret_key = {SECRET}"),
    (ProfileMalformed, BUCKET + BUCKET),
    (ProfileUnknown, BUCKET + "[storage Offsite]\nkind = s3\n"),
    (ProfileUnknown, BUCKET + "[DEFAULT]\nprefix = x"),
    (ProfileUnknown, BUCKET + "[storage a-b]\nkind = s3"),
    (ProfileUnknown, BUCKET + "[plans]\n"),
    (ProfileUnknown, BUCKET.replace("access_key", "acess_key")),
    (ProfileUnknown, BUCKET + "host = x"),
    (ProfileUnknown, BUCKET + "[schedule]\nhour = 2"),
    (ProfileBadValue, BUCKET.replace("kind = s3", "kind = ftp")),
    (ProfileBadValue, BUCKET.replace("kind = s3\n", "")),
    (ProfileBadValue, BUCKET.replace("bucket = backups", "")),
    (ProfileBadValue, BUCKET.replace("{uuid8}", "{uuid}")),
    (ProfileBadValue, BUCKET.replace("{database}-{uuid8}", "odoo")),
    (ProfileBadValue, BUCKET + "lock_days = many"),
    (ProfileBadValue, BUCKET + "timeout = 0"),
    (ProfileBadValue, BUCKET + "lock_days = ²"),
    (ProfileBadValue, BUCKET + "lock_days = 99999999999999999999"),
    (ProfileBadValue, BUCKET + "secret_key_file = /run/key"),
    (ProfileBadValue, BUCKET.replace("access_key =", "access_key_file =")),
    (ProfileUnreadable, BUCKET.replace("access_key =", "access_key_file = /no/")),
    (ProfileStorageRefused, BUCKET.replace("access_key = odoo", "")),
    (ProfileStorageRefused, BUCKET + "addressing = both"),
    (ProfileStorageRefused, BUCKET + "endpoint = s3.example.com"),
    (ProfileStorageRefused, "[storage d]\nkind = local\npath = /etc/{database}"),
    (ProfileBadValue, "[storage d]\nkind = sftp\nhost = a\nuser = {database}"),
    (ProfileBadValue, "[schedule]\ntime = 25:00"),
    (ProfileBadValue, "[schedule]\nfrequency = sometimes"),
    (ProfileBadValue, "[schedule]\nmonthday = 32"),
    (ProfileBadValue, "[schedule]\nweekday = 1"),
    (ProfileBadValue, "[schedule]\ntimezone = Paris"),
    (ProfileBadValue, "[retention]\nkeep = forever"),
    (ProfileBadValue, "[retention]\nkeep = year\nkeep_daily = 3"),
    (ProfileBadValue, "[retention]\nkeep_minimum = 0"),
    (ProfileStorageRefused, "[encryption]\npublic_keys = age1"),
    (ProfileBadValue, "[alerts]\nplan_recipients = somebody"),
    (ProfileBadValue, "[alerts]\nrecipients = a@b.example, c"),
]


@pytest.mark.parametrize("kind, text", BAD, ids=range(len(BAD)))
def test_what_is_wrong_is_said_without_a_secret(write, kind, text):
    with pytest.raises(kind) as caught:
        write(text).profile()
    error = caught.value
    shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown + str(error.in_full) + error.log
    assert "profile.ini" in str(error) or kind is ProfileUnreadable
    assert error.hint


@pytest.mark.parametrize(
    "kind, text, mode",
    [
        (ProfileExposed, BUCKET, 0o644),
        (ProfileExposed, BUCKET, 0o604),
        (ProfileWritable, BUCKET, 0o602),
        (None, BUCKET, 0o640),
        (None, "[schedule]\ntime = 02:30", 0o644),
        (ProfileWritable, "[schedule]\ntime = 02:30", 0o666),
    ],
)
def test_who_else_may_read_it(write, kind, text, mode):
    file = write(text, mode)
    if kind is None:
        file.profile()
        return
    with pytest.raises(kind):
        file.profile()


def test_who_else_may_read_the_file_of_a_secret(write, tmp_path):
    text = BUCKET.replace("secret_key = " + SECRET, "secret_key_file = %s")
    for folder, good in (("etc", False), ("run/secrets/odoo", True)):
        key = tmp_path / folder / "key"
        key.parent.mkdir(parents=True)
        key.write_text(SECRET)
        key.chmod(0o444)
        file = write(text % key, 0o644)
        if good:
            assert file.profile().section("offsite").secret("secret_key") == SECRET
        else:
            with pytest.raises(ProfileExposed):
                file.profile()
    link = tmp_path / "run/secrets/link"  # leads outside
    link.symlink_to(tmp_path / "etc/key")
    with pytest.raises(ProfileExposed):
        write(text % link).profile()


def test_what_is_no_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.write_bytes(b";" * (2 << 20))
    odd = tmp_path / "odd"
    odd.write_bytes(b"[schedule]\n\xff")
    for path in (tmp_path, pipe, large, odd, tmp_path / "missing"):
        with pytest.raises(EngineError) as caught:
            ProfileFile(path, SERVER).profile()
        assert isinstance(caught.value, ProfileUnreadable)
