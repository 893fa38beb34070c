"""What an administrator reads when a server, a key or a right is not as it should
be."""

import socket
import struct
import subprocess
import sys
import threading

import pytest
from sftp_servers import Proxy, config_of, empty, make_key, plain_sshd, storage_of

from dfr_backup.engine.errors import PermanentError, RetryableError
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages import sftp_protocol as protocol
from dfr_backup.engine.storages.base import Abilities
from dfr_backup.engine.storages.sftp_keys import HostKey
from dfr_backup.engine.storages.sftp_link import fetch_host_key
from dfr_backup.engine.storages.sftp_transfer import Pace, Reader, Writer

pytest_plugins = ["sftp_fixtures"]
KINDS = ("ed25519", "ecdsa", "rsa")


def refusal(
    storage, message, kind=PermanentError, doing=lambda storage: storage.check()
):
    """Show that a call is refused with a sentence and a hint, and without a secret."""
    with pytest.raises(kind, match=message) as caught:
        doing(storage)
    error = caught.value
    assert error.hint
    told = f"{error.message} {error.hint} {error.log}"
    for secret in (storage._config.password, storage._config.passphrase):
        assert not secret or secret not in told
    assert "PRIVATE KEY-----\n" not in told
    return error


def fingerprint(path):
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", path], capture_output=True, text=True
    )
    return shown.stdout.split()[1]


@pytest.mark.parametrize("kind", KINDS)
def test_host_key_of_each_kind(server, kind):
    path = server.home / f"host_{kind}.pub"
    pinned = HostKey.from_line(path.read_text())
    assert pinned.fingerprint == fingerprint(path)
    assert path.read_text().startswith(pinned.line)
    storage_of(server, host_key=pinned.line).check()


def test_fetched_host_key_can_be_pinned(server):
    key = fetch_host_key("127.0.0.1", server.port)
    assert key.fingerprint == fingerprint(server.home / "host_ed25519.pub")
    storage_of(server, host_key=key.line).check()
    scanned = f"[127.0.0.1]:{server.port} {key.line} a comment"
    assert HostKey.from_line(scanned) == key


def test_changed_host_key(server, tmp_path):
    make_key(tmp_path / "other")
    other = tmp_path / "other.pub"
    error = refusal(storage_of(server, host_key=other.read_text()), "another host key")
    assert fingerprint(other) in error.message
    assert fingerprint(server.home / "host_ed25519.pub") in error.message


def test_no_host_key_pinned(server):
    error = refusal(storage_of(server, host_key=""), "not known yet")
    assert fingerprint(server.home / "host_ed25519.pub") in error.message


@pytest.mark.parametrize(
    "line", ["ssh-ed25519", "nonsense", "ssh-rsa AAAA", "ssh-rsa !"]
)
def test_pinned_nonsense(server, line):
    refusal(storage_of(server, host_key=line), "not the host key")


@pytest.mark.parametrize("passphrase", ["", "open, sesame"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_login_with_a_key(server, tmp_path, kind, form, passphrase):
    private_key = make_key(tmp_path / "key", kind, passphrase, "-m", form)
    server.allow((tmp_path / "key.pub").read_text())
    storage_of(server, private_key=private_key, passphrase=passphrase).check()


def test_passphrase_that_no_key_needs(server):
    storage_of(server, passphrase="not needed").check()


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
@pytest.mark.parametrize(
    "passphrase, message",
    [("wrong", "passphrase does not open"), ("", "none was given")],
)
def test_wrong_passphrase(server, tmp_path, form, passphrase, message):
    private_key = make_key(tmp_path / "key", "rsa", "right", "-m", form)
    refusal(storage_of(server, private_key=private_key, passphrase=passphrase), message)


@pytest.mark.parametrize(
    "text, message",
    [
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", "PuTTY"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here", "public key"),
        ("hello", "not a private key"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE "
            "KEY-----",
            "cannot be read",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
            "cannot be read",
        ),
    ],
)
def test_what_is_not_a_private_key(server, text, message):
    refusal(storage_of(server, private_key=text), message)


def test_key_of_a_kind_that_ssh_does_not_know(server):
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed448"], capture_output=True
    )
    refusal(storage_of(server, private_key=made.stdout.decode()), "cannot be used")


def test_unknown_key(server, tmp_path):
    private_key = make_key(tmp_path / "key")
    refusal(storage_of(server, private_key=private_key), "refused the private key of")


def test_password(chrooted):
    storage_of(chrooted, private_key="", password=chrooted.password).check()


def test_wrong_password(chrooted):
    storage = storage_of(chrooted, private_key="", password="wrong-secret")
    refusal(storage, "refused the password of sftp-test")


def test_unknown_user(chrooted):
    storage = storage_of(chrooted, private_key="", password="wrong-secret", user="who")
    refusal(storage, "refused the password of who")


def test_passwords_are_not_accepted(server):
    error = refusal(
        storage_of(server, private_key="", password="secret"), "log in with a password"
    )
    assert "publickey" in error.hint


def test_name_that_does_not_resolve(server):
    storage = storage_of(server, host="no-such-host.invalid")
    refusal(
        storage,
        "no-such-host.invalid cannot be resolved",
        (PermanentError, RetryableError),
    )


def test_nobody_listens(server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        storage = storage_of(server, port=closed.getsockname()[1])
        refusal(storage, "refuses connections", RetryableError)


def test_server_that_says_nothing(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = storage_of(server, port=silent.getsockname()[1], timeout=1)
        refusal(storage, "did not answer for 1 seconds", RetryableError)


@pytest.mark.parametrize("limit", [20, 1200, 1300, 1660, 1720])
def test_server_that_stalls_in_the_login(server, limit):
    with Proxy(server.port, limit=limit) as proxy:
        storage = storage_of(server, port=proxy.port, timeout=0.5)
        refusal(storage, "did not answer", RetryableError)


def test_another_kind_of_server(server):
    def greet():
        client, _address = listener.accept()
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, daemon=True).start()
        storage = storage_of(server, port=listener.getsockname()[1], timeout=2)
        refusal(storage, "does not speak SSH", RetryableError)


@pytest.mark.parametrize("subsystem", ["/nonexistent", "/bin/echo welcome"])
def test_no_sftp(user, subsystem):
    with plain_sshd(user, subsystem=subsystem) as server:
        refusal(storage_of(server), "then no SFTP began", RetryableError)


def test_subsystem_is_missing(user):
    with plain_sshd(user) as server:
        server.stop()
        text = server.config_file.read_text()
        server.config_file.write_text(text.replace("Subsystem", "#"))
        server.start(user.pw_uid if user else None)
        refusal(storage_of(server), "let .* in but offers no SFTP")


def test_paramiko_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    error = refusal(storage_of(server), "package paramiko is missing")
    assert "pip install paramiko" in error.hint


@pytest.mark.parametrize(
    "doing",
    [
        lambda storage: storage.check(),
        lambda storage: storage.put_bytes(b"x", "a"),
        lambda storage: list(storage.list()),
        lambda storage: storage.probe(),
    ],
)
def test_directory_that_is_gone_is_not_made_again(server, doing):
    storage = storage_of(server, directory=f"{server.data}/gone")
    error = refusal(storage, "no such directory", doing=doing)
    assert "mounted" in error.hint
    assert list(server.data.iterdir()) == []


def test_directory_that_is_a_file(server):
    (server.data / "file").write_bytes(b"")
    refusal(storage_of(server, directory=f"{server.data}/file"), "is not a directory")


@pytest.mark.parametrize(
    "mode, message",
    [(0o500, "Cannot write .*permission"), (0o300, "Cannot list .*permission")],
)
def test_missing_right(server, mode, message):
    server.data.chmod(mode)
    try:
        error = refusal(
            storage_of(server), message, doing=lambda storage: storage.probe()
        )
        assert server.user in error.hint
    finally:
        empty(server.data)


@pytest.mark.parametrize(
    "denied, message",
    [
        ("-P read", "Cannot read .*permission"),
        ("-P opendir", "Cannot list .*permission"),
        ("-P write", "Cannot write .*permission"),
        ("-P posix-rename,rename", "Cannot write .*permission"),
        ("-R", "Cannot write .*permission"),
    ],
)
def test_server_that_forbids(user, denied, message):
    with plain_sshd(user, subsystem=f"internal-sftp {denied}") as server:
        refusal(storage_of(server), message, doing=lambda storage: storage.probe())
        assert list(server.data.iterdir()) == []


def test_server_where_nothing_can_be_deleted(user, tmp_path):
    with plain_sshd(user, subsystem="internal-sftp -P remove") as server:
        storage = storage_of(server)
        found = storage.probe()
        assert not found.can_delete
        assert "Nothing can be deleted" in found.notes[0]
        source = tmp_path / "source"
        source.write_bytes(b"content")
        storage.put(source, "a.zip", Progress())
        assert storage.stat("a.zip").size == 7
        refusal(
            storage,
            "Cannot delete a.zip",
            doing=lambda storage: storage.delete("a.zip"),
        )


def test_probe_of_a_server_where_all_is_allowed(server):
    assert storage_of(server).probe() == Abilities()


def test_secrets_are_not_shown(server):
    config = config_of(server, password="hunter2", passphrase="open, sesame")
    assert "hunter2" not in repr(config)
    assert "sesame" not in repr(config)
    assert "PRIVATE" not in repr(config)


@pytest.mark.parametrize(
    "directory, host, address",
    [
        ("/backups/", "example.org", "sftp://odoo@example.org:22/backups/a.zip"),
        ("backups", "example.org", "sftp://odoo@example.org:22/~/backups/a.zip"),
        ("", "::1", "sftp://odoo@[::1]:22/~/a.zip"),
        ("/", "example.org", "sftp://odoo@example.org:22/a.zip"),
    ],
)
def test_location(server, directory, host, address):
    storage = storage_of(server, directory=directory, host=host, port=22, user="odoo")
    assert storage.location("a.zip") == address


def test_directory_below_the_home(chrooted):
    empty(chrooted.data)
    storage = storage_of(chrooted, directory="upload/relative")
    storage.prepare()
    storage.put_bytes(b"x", "a")
    assert (chrooted.data / "relative/a").exists()


class ScriptedServer:
    """An SFTP server without SSH, which answers as ``answer`` says: no real one
    behaves so."""

    def __init__(self, answer):
        self._answer = answer
        self._out = self._packet(protocol.VERSION_REPLY, struct.pack(">I", 3))
        self._begun = False

    def send(self, data):
        if self._begun:
            number = struct.unpack_from(">I", data, 5)[0]
            for kind, body in self._answer(data[4], number, data[9:]):
                self._out += self._packet(kind, body)
        self._begun = True
        return len(data)

    def recv(self, size):
        assert self._out, "the client waits for what nobody will send"
        data, self._out = self._out[:size], self._out[size:]
        return data

    @staticmethod
    def _packet(kind, body):
        return struct.pack(">IB", len(body) + 1, kind) + body


CONTENT = bytes(range(256)) * 1024


def test_server_that_sends_less_than_it_was_asked_for():
    def answer(kind, number, body):
        offset, size = struct.unpack(">QI", body[-12:])
        data = CONTENT[offset : offset + min(size, 5000)]
        return [(protocol.DATA, struct.pack(">II", number, len(data)) + data)]

    session = protocol.Session(ScriptedServer(answer))
    reader = Reader(session, b"h", len(CONTENT), 0, Pace(0, lambda: None))
    assert reader.read() == CONTENT


def status(number, code):
    return (protocol.STATUS, struct.pack(">III", number, code, 0))


def test_server_that_answers_out_of_order():
    def answer(kind, number, body):
        asked.append(number)
        if len(asked) % 4:
            return []
        return [status(number, protocol.OK) for number in reversed(asked[-4:])]

    asked = []
    session = protocol.Session(ScriptedServer(answer))
    writer = Writer(session, b"h", 0, Pace(0, lambda: None))
    writer.write(memoryview(CONTENT))
    writer.finish()
    assert writer.stored == len(CONTENT)
    assert len(asked) == 8


def test_one_refused_write_among_many_is_noticed():
    def answer(kind, number, body):
        return [status(number, protocol.FAILURE if number == 3 else protocol.OK)]

    session = protocol.Session(ScriptedServer(answer))
    writer = Writer(session, b"h", 0, Pace(0, lambda: None))
    with pytest.raises(protocol.Refused):
        writer.write(memoryview(CONTENT))
        writer.finish()


@pytest.mark.parametrize(
    "packet", [b"\xff" * 9, struct.pack(">IBI", 5, 101, 77), struct.pack(">IB", 1, 101)]
)
def test_garbage(packet):
    channel = ScriptedServer(lambda kind, number, body: [])
    session = protocol.Session(channel)
    channel._out = packet
    with pytest.raises(protocol.Garbled):
        session.pump()
