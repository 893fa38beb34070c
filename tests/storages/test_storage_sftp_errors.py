"""What an administrator reads when a server, a key or a right is not as it should
be."""

import socket
import struct
import subprocess
import sys
import threading

import pytest
from sftp_servers import Proxy, config_of, empty, make_key, plain_sshd, storage_of

from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.sftp import (
    BadHostKey,
    CredentialRefused,
    HostKeyChanged,
    HostKeyUnknown,
    KeyKindUnusable,
    KeyUnreadable,
    LoginKindRefused,
    NobodyListens,
    NoSftp,
    NotAnSshKey,
    NotSsh,
    ParamikoMissing,
    PassphraseMissing,
    PublicKeyGiven,
    PuttyKey,
    ServerSilent,
    SftpDirectoryMissing,
    SftpHostNotFound,
    SftpNoPermission,
    SftpNotADirectory,
    SftpNotBegun,
    WrongKeyPassphrase,
)
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages import doing
from dfr_backup.engine.storages.base import Capabilities
from dfr_backup.engine.storages.probe import CANNOT_LIST
from dfr_backup.engine.storages.sftp import protocol
from dfr_backup.engine.storages.sftp.keys import HostKey
from dfr_backup.engine.storages.sftp.link import PASSWORD, PRIVATE_KEY, fetch_host_key
from dfr_backup.engine.storages.sftp.storage import SftpStorage
from dfr_backup.engine.storages.sftp.transfer import Reader, Writer

pytest_plugins = ["sftp_fixtures"]
KINDS = ("ed25519", "ecdsa", "rsa")


def refusal(storage, kind, call=lambda storage: storage.check()):
    """Show that a call is refused with an error and a hint, and without a secret."""
    with pytest.raises(EngineError) as caught:
        call(storage)
    error = caught.value
    assert error.code == kind.code
    assert error.hint
    told = f"{error.in_full} {error.log}"
    for secret in (storage._config.password, storage._config.passphrase):
        assert not secret or secret not in told
    assert "PRIVATE KEY-----\n" not in told
    return error


def assert_about(error, what):
    assert error.message.values["doing"].template == what.template


def fingerprint(path):
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", path], capture_output=True, text=True
    )
    return shown.stdout.split()[1]


def own_fingerprint(server):
    return fingerprint(server.home / "host_ed25519.pub")


@pytest.mark.parametrize("kind", KINDS)
def test_host_key_of_each_kind(server, kind):
    path = server.home / f"host_{kind}.pub"
    pinned = HostKey.from_line(path.read_text())
    assert pinned.fingerprint == fingerprint(path)
    assert path.read_text().startswith(pinned.line)
    storage_of(server, host_key=pinned.line).check()


def test_fetched_host_key_can_be_pinned(server):
    key = fetch_host_key("127.0.0.1", server.port)
    assert key.fingerprint == own_fingerprint(server)
    storage_of(server, host_key=key.line).check()
    scanned = f"[127.0.0.1]:{server.port} {key.line} a comment"
    assert HostKey.from_line(scanned) == key


def test_changed_host_key(server, tmp_path):
    make_key(tmp_path / "other")
    other = tmp_path / "other.pub"
    error = refusal(storage_of(server, host_key=other.read_text()), HostKeyChanged)
    assert error.message.values["pinned"] == fingerprint(other)
    assert error.message.values["fingerprint"] == own_fingerprint(server)


def test_no_host_key_pinned(server):
    error = refusal(storage_of(server, host_key=""), HostKeyUnknown)
    assert error.message.values["fingerprint"] == own_fingerprint(server)


@pytest.mark.parametrize(
    "line", ["ssh-ed25519", "nonsense", "ssh-rsa AAAA", "ssh-rsa !"]
)
def test_pinned_nonsense(server, line):
    refusal(storage_of(server, host_key=line), BadHostKey)


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
    "passphrase, kind", [("wrong", WrongKeyPassphrase), ("", PassphraseMissing)]
)
def test_wrong_passphrase(server, tmp_path, form, passphrase, kind):
    private_key = make_key(tmp_path / "key", "rsa", "right", "-m", form)
    refusal(storage_of(server, private_key=private_key, passphrase=passphrase), kind)


@pytest.mark.parametrize(
    "text, kind",
    [
        ("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none", PuttyKey),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA me@here", PublicKeyGiven),
        ("hello", NotAnSshKey),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE "
            "KEY-----",
            KeyUnreadable,
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
            KeyUnreadable,
        ),
    ],
)
def test_what_is_not_a_private_key(server, text, kind):
    refusal(storage_of(server, private_key=text), kind)


def test_key_of_a_kind_that_ssh_does_not_know(server):
    made = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed448"], capture_output=True
    )
    refusal(storage_of(server, private_key=made.stdout.decode()), KeyKindUnusable)


def test_unknown_key(server, tmp_path):
    private_key = make_key(tmp_path / "key")
    error = refusal(storage_of(server, private_key=private_key), CredentialRefused)
    assert error.message.values["credential"] is PRIVATE_KEY


def test_password(chrooted):
    storage_of(chrooted, private_key="", password=chrooted.password).check()


def test_wrong_password(chrooted):
    storage = storage_of(chrooted, private_key="", password="wrong-secret")
    error = refusal(storage, CredentialRefused)
    assert error.message.values["credential"] is PASSWORD
    assert error.message.values["user"] == chrooted.user


def test_unknown_user(chrooted):
    storage = storage_of(chrooted, private_key="", password="wrong-secret", user="who")
    assert refusal(storage, CredentialRefused).message.values["user"] == "who"


def test_passwords_are_not_accepted(server):
    error = refusal(
        storage_of(server, private_key="", password="secret"), LoginKindRefused
    )
    assert "publickey" in error.hint.values["accepted"].parts


def test_name_that_does_not_resolve(server):
    storage = storage_of(server, host="no-such-host.invalid")
    error = refusal(storage, SftpHostNotFound)
    assert error.message.values["host"] == "no-such-host.invalid"


def test_nobody_listens(server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        storage = storage_of(server, port=closed.getsockname()[1])
        refusal(storage, NobodyListens)


def test_server_that_says_nothing(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = storage_of(server, port=silent.getsockname()[1], timeout=1)
        assert refusal(storage, ServerSilent).message.values["seconds"] == "1"


@pytest.mark.parametrize("limit", [20, 1200, 1300, 1660, 1720])
def test_server_that_stalls_in_the_login(server, limit):
    with Proxy(server.port, limit=limit) as proxy:
        storage = storage_of(server, port=proxy.port, timeout=0.5)
        refusal(storage, ServerSilent)


def test_another_kind_of_server(server):
    def greet():
        client, _address = listener.accept()
        client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=greet, daemon=True).start()
        storage = storage_of(server, port=listener.getsockname()[1], timeout=2)
        refusal(storage, NotSsh)


@pytest.mark.parametrize("subsystem", ["/nonexistent", "/bin/echo welcome"])
def test_no_sftp(user, subsystem):
    with plain_sshd(user, subsystem=subsystem) as server:
        refusal(storage_of(server), SftpNotBegun)


def test_subsystem_is_missing(user):
    with plain_sshd(user) as server:
        server.stop()
        text = server.config_file.read_text()
        server.config_file.write_text(text.replace("Subsystem", "#"))
        server.start(user.pw_uid if user else None)
        refusal(storage_of(server), NoSftp)


def test_paramiko_is_missing(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "paramiko", None)
    refusal(storage_of(server), ParamikoMissing)


@pytest.mark.parametrize(
    "call",
    [
        lambda storage: storage.check(),
        lambda storage: storage.put_bytes(b"x", "a"),
        lambda storage: list(storage.list()),
        lambda storage: storage.probe(),
    ],
)
def test_directory_that_is_gone_is_not_made_again(server, call):
    storage = storage_of(server, directory=f"{server.data}/gone")
    error = refusal(storage, SftpDirectoryMissing, call)
    assert error.message.values["location"] == storage.location("").rstrip("/")
    assert list(server.data.iterdir()) == []


def test_directory_that_is_a_file(server):
    (server.data / "file").write_bytes(b"")
    refusal(storage_of(server, directory=f"{server.data}/file"), SftpNotADirectory)


def test_missing_right(server):
    server.data.chmod(0o500)
    try:
        error = refusal(storage_of(server), SftpNoPermission, SftpStorage.probe)
        assert_about(error, doing.writing(""))
        assert error.hint.values["user"] == server.user
    finally:
        empty(server.data)


def test_directory_that_may_not_be_listed(server):
    server.data.chmod(0o300)
    try:
        storage = storage_of(server)
        found = storage.probe()
        assert (found.can_list, found.can_delete) == (False, True)
        assert not storage.may_list()
        error = refusal(storage, SftpNoPermission, lambda own: list(own.list()))
        assert_about(error, doing.LIST_DIRECTORY)
    finally:
        empty(server.data)


@pytest.mark.parametrize(
    "denied, what",
    [
        ("-P read", doing.reading("")),
        ("-P write", doing.writing("")),
        ("-P posix-rename,rename", doing.writing("")),
        ("-R", doing.writing("")),
    ],
)
def test_server_that_forbids(user, denied, what):
    with plain_sshd(user, subsystem=f"internal-sftp {denied}") as server:
        error = refusal(storage_of(server), SftpNoPermission, SftpStorage.probe)
        assert_about(error, what)
        assert list(server.data.iterdir()) == []


def test_server_where_nothing_can_be_listed(user, tmp_path):
    with plain_sshd(user, subsystem="internal-sftp -P opendir") as server:
        storage = storage_of(server)
        found = storage.probe()
        assert (found.can_list, found.can_delete) == (False, True)
        assert [note.template for note in found.notes] == [CANNOT_LIST]
        assert not storage.may_list()
        assert list(server.data.iterdir()) == []


def test_server_where_nothing_can_be_deleted(user, tmp_path):
    with plain_sshd(user, subsystem="internal-sftp -P remove") as server:
        storage = storage_of(server)
        found = storage.probe()
        assert not found.can_delete
        assert found.notes[0].values["location"] == storage.location("")
        source = tmp_path / "source"
        source.write_bytes(b"content")
        storage.put(source, "a.zip", Progress())
        assert storage.stat("a.zip").size == 7
        error = refusal(storage, SftpNoPermission, lambda own: own.delete("a.zip"))
        assert error.message.values["doing"] == doing.deleting("a.zip")


def test_probe_of_a_server_where_all_is_allowed(server):
    assert storage_of(server).probe() == Capabilities()
    assert storage_of(server).may_list()


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
    reader = Reader(session, b"h", len(CONTENT), 0, lambda _count: None)
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
    writer = Writer(session, b"h", 0, lambda _count: None)
    writer.write(memoryview(CONTENT))
    writer.finish()
    assert writer.stored == len(CONTENT)
    assert len(asked) == 8


def test_one_refused_write_among_many_is_noticed():
    def answer(kind, number, body):
        return [status(number, protocol.FAILURE if number == 3 else protocol.OK)]

    session = protocol.Session(ScriptedServer(answer))
    writer = Writer(session, b"h", 0, lambda _count: None)
    writer.write(memoryview(CONTENT))
    with pytest.raises(protocol.SftpStatusError):
        writer.finish()


@pytest.mark.parametrize(
    "packet", [b"\xff" * 9, struct.pack(">IBI", 5, 101, 77), struct.pack(">IB", 1, 101)]
)
def test_garbage(packet):
    channel = ScriptedServer(lambda kind, number, body: [])
    session = protocol.Session(channel)
    channel._out = packet
    with pytest.raises(protocol.ProtocolError):
        session.pump()
