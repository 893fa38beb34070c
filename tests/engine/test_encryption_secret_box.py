import errno
import os
import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfr_backup.engine.encryption.secret_box import (
    Key,
    SecretBox,
    is_bound,
    key_from_text,
    load_or_create_key,
)
from dfr_backup.engine.errors.secrets import (
    KeyFileEmpty,
    KeyFileForeign,
    KeyFileUnusable,
    KeyTooShort,
    NoOwner,
    SecretOfAnother,
    SecretUnreadable,
)

HERE = "backup.storage,7,secret_key"
SECRET = "sesame-open-1234"
OLDER = "v1.gGmLUNw-v4_7kmxnq4Z6TFfat-nliUNuXxnV0A_WTGR3fM6l0MzDdfKJ8Ws="
OWNER, OTHER = "0b2a6d7e-uuid", "77aa1c20-uuid"  # databases
ONE, TWO = Key(bytes(range(32))), Key(bytes(range(1, 33)))


def refused(call, *args, error=SecretUnreadable):
    with pytest.raises(error) as caught:
        call(*args)
    assert caught.value.hint
    assert SECRET not in f"{caught.value.in_full} {caught.value.log}"
    return caught.value


@given(st.text(st.characters()), st.text(max_size=50))
def test_what_is_encrypted_opens_in_its_place(secret, context):
    box = SecretBox(ONE)
    context = context.encode("utf-8", "replace").decode()
    token = box.encrypt(secret, context, OWNER)
    assert box.decrypt(token, context, OWNER) == secret
    assert token != box.encrypt(secret, context, OWNER)
    assert token.isascii()


@pytest.mark.parametrize(
    "context",
    ["", HERE + "1", "backup.storage,8,secret_key", "backup.storage,7,password"],
)
def test_a_token_does_not_open_elsewhere(context):
    token = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    refused(SecretBox(ONE).decrypt, token, context, OWNER)


def test_a_token_does_not_open_in_another_database():
    token = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    refused(SecretBox(ONE).decrypt, token, HERE, OTHER, error=SecretOfAnother)
    forged = SecretBox(ONE).encrypt("x", HERE, OTHER)[: len("v2.01234567.")]
    forged += token.rpartition(".")[2]  # its beginning alone opens nothing
    refused(SecretBox(ONE).decrypt, forged, HERE, OTHER)


def test_without_an_identity_nothing_is_encrypted_and_nothing_lost():
    refused(SecretBox(ONE).encrypt, SECRET, HERE, "", error=NoOwner)
    token = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    refused(SecretBox(ONE).decrypt, token, HERE, "", error=NoOwner)
    assert SecretBox(ONE).decrypt(token, HERE, OWNER) == SECRET


def test_a_token_of_an_older_release_opens():
    """As release 19.0.1.0.0 has made it, with the key ONE."""
    token = OLDER
    assert not is_bound(token)
    for owner in (OWNER, OTHER, ""):
        assert SecretBox(TWO, ONE).decrypt(token, HERE, owner) == SECRET
    refused(SecretBox(ONE).decrypt, token, HERE + "1", OWNER)
    assert is_bound(SecretBox(ONE).encrypt(SECRET, HERE, OWNER))


def test_another_key_is_named():
    token = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    assert TWO.name in refused(SecretBox(TWO).decrypt, token, HERE, OWNER).log


def test_keys_rotate():
    old = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    box = SecretBox(TWO, ONE)
    assert box.decrypt(old, HERE, OWNER) == SECRET
    new = box.encrypt(SECRET, HERE, OWNER)
    assert SecretBox(TWO).decrypt(new, HERE, OWNER) == SECRET
    refused(SecretBox(ONE).decrypt, new, HERE, OWNER)


def test_every_changed_character_is_noticed():
    token = SecretBox(ONE).encrypt(SECRET, HERE, OWNER)
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        refused(SecretBox(ONE).decrypt, changed, HERE, OWNER)


def test_bits_that_no_byte_is_made_of_are_noticed():
    token = SecretBox(ONE).encrypt("x", HERE, OWNER)
    assert token.endswith("=")
    assert not token.endswith("==")
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    changed = token[:-2] + letters[letters.index(token[-2]) ^ 1] + "="
    refused(SecretBox(ONE).decrypt, changed, HERE, OWNER)


@pytest.mark.parametrize(
    "token", ["", "v1.", "v1.AAAA", "v1.é", "v2.AAAA", SECRET, "v1." + "A" * 17]
)
def test_what_is_no_token(token):
    refused(SecretBox(ONE).decrypt, token, HERE, OWNER)


def test_nothing_secret_shows(tmp_path):
    loaded = load_or_create_key(tmp_path / "key")
    content = (tmp_path / "key").read_text().strip()
    shown = repr([ONE, loaded, SecretBox(loaded.key, ONE), vars(SecretBox(ONE))])
    assert content not in shown
    assert repr(loaded.key.value) not in shown
    assert repr(ONE.value)[2:20] not in shown


def test_a_text_is_a_key():
    assert key_from_text(" 0123456789abcdef\n") == key_from_text("0123456789abcdef")
    assert key_from_text("0123456789abcdef") != key_from_text("0123456789abcdeF")
    raised = refused(key_from_text, "0123456789abcde", error=KeyTooShort)
    assert raised.message.values["least"] == 16


# --- the key file
# -----------------------------------------------------------------------------


def test_the_key_file_is_made_once_and_private(tmp_path):
    file = tmp_path / "new" / "key"
    old_mask = os.umask(0)
    try:
        first = load_or_create_key(file)
    finally:
        os.umask(old_mask)
    again = load_or_create_key(file)
    assert first.created
    assert not again.created
    assert not first.warning
    assert first.key == again.key
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(file.parent) == ["key"]


def test_rights_for_others_are_taken_away(tmp_path):
    file = tmp_path / "key"
    key = load_or_create_key(file).key
    file.chmod(0o644)
    loaded = load_or_create_key(file)
    assert loaded.key == key
    assert loaded.warning.values == {"file": "key", "mode": "0644"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert not load_or_create_key(file).warning


@pytest.mark.parametrize(
    "content", [b"", b"AAAA\n", b"A" * 44, b"\xff" * 44, b"A" * 5000]
)
def test_a_file_without_a_key_is_left_alone(tmp_path, content):
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    refused(load_or_create_key, file, error=KeyFileEmpty)
    assert file.read_bytes() == content


def test_what_is_no_plain_file(tmp_path):
    load_or_create_key(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "dangling", "folder", "fifo"):
        both = (KeyFileForeign, KeyFileUnusable)
        refused(load_or_create_key, tmp_path / name, error=both)
    assert not (tmp_path / "nowhere").exists()


def test_a_place_where_nothing_can_be_made(tmp_path):
    (tmp_path / "file").touch()
    raised = refused(
        load_or_create_key, tmp_path / "file" / "key", error=KeyFileUnusable
    )
    assert raised.message.values["reason"] == os.strerror(errno.EEXIST)


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can give a file to another user"
)
def test_a_file_of_another_user(tmp_path):
    load_or_create_key(tmp_path / "key")
    os.chown(tmp_path / "key", 12345, 12345)
    refused(load_or_create_key, tmp_path / "key", error=KeyFileForeign)


def test_processes_that_race_get_the_same_key(tmp_path):
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import "
        "conftest\n"
        "from pathlib import Path\n"
        "from dfr_backup.engine.encryption.secret_box import load_or_create_key\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for n in range(50):\n"
        "    print(load_or_create_key(Path(sys.argv[1]) / str(n)).key.name)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(argv, **pipes) for _ in range(4)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    names = [racer.communicate(timeout=30)[0] for racer in racers]
    assert len(set(names)) == 1
    assert len(names[0].split()) == 50
    assert len(os.listdir(tmp_path)) == 50
