import errno
import hashlib
import io
import os
import pty
import random
import select
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from page_cache import forget, holds, need_page_cache

from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.encryption import age_keys
from dfr_backup.engine.encryption import files as encryption
from dfr_backup.engine.encryption.age_format import CHUNK
from dfr_backup.engine.encryption.files import (
    Passphrase,
    decrypt_file,
    encrypt_file,
    fingerprint,
    generate_key,
    open_decrypted,
    parse_identities,
    parse_recipients,
    public_of,
)
from dfr_backup.engine.errors import (
    Cancelled,
    EngineError,
    PermanentError,
    RetryableError,
    is_out_of_memory,
)
from dfr_backup.engine.errors.encryption import (
    ArmourBroken,
    CutOff,
    EmptyPassphrase,
    KeyKindUnknown,
    NoKey,
    NoPrivateKey,
    NoPublicKey,
    NotAPrivateKey,
    NotAPublicKey,
    NotEncrypted,
    NotWritten,
    OtherKeys,
    PayloadDamaged,
    PrivateKeyGiven,
    SshKeyIncomplete,
    SshKeyUnreadable,
    SshKeyUnusable,
    TooMuchMemory,
    WrongPassphrase,
)
from dfr_backup.engine.fileio import append_file
from dfr_backup.engine.progress import Progress

AGE = shutil.which("age")
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 16 * CHUNK, 17 * CHUNK + 5]
WORDS = "correct horse battery staple"
FAST = Passphrase(WORDS, work_factor=10)

needs_age = pytest.mark.skipif(not AGE, reason="the command age is not installed")


@pytest.fixture(scope="module")
def pair():
    return generate_key()


@pytest.fixture(scope="module")
def ssh_keys():
    """Private keys in OpenSSH's form and their public lines, by kind."""
    keys = {
        "ssh-ed25519": Ed25519PrivateKey.generate(),
        "ssh-rsa": rsa.generate_private_key(65537, 2048),
    }
    return {
        kind: (
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            ).decode(),
            key.public_key()
            .public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
            .decode(),
        )
        for kind, key in keys.items()
    }


@pytest.fixture(params=["x25519", "ssh-ed25519", "ssh-rsa"])
def key(request, pair, ssh_keys):
    """A private key and its public line, of each kind."""
    return (
        (pair.private, pair.public)
        if request.param == "x25519"
        else ssh_keys[request.param]
    )


def age(*args, data=b""):
    return subprocess.run(
        [AGE, *args], input=data, capture_output=True, check=True
    ).stdout


def age_with_passphrase(*args, times):
    """Run age on a terminal of its own, type the passphrase at each prompt, return
    its end."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv(AGE, [AGE, *map(str, args)])  # noqa: S606
    deadline = time.monotonic() + 120
    typed, seen = 0, b""
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                seen += os.read(terminal, 1024)
            except OSError:
                break
            if (
                typed < times
                and seen.count(b"assphrase") > typed
                and seen.rstrip()[-1:] == b":"
            ):
                os.write(terminal, WORDS.encode() + b"\n")
                typed += 1
                seen = seen.rstrip() + b"\n"
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def content(size):
    return random.Random(size).randbytes(size)


def encrypted(tmp_path, data, key):
    source, target = tmp_path / "plain", tmp_path / "plain.age"
    source.write_bytes(data)
    result = encrypt_file(source, target, key, Progress())
    return target, result


def decrypted(tmp_path, path, key):
    target = tmp_path / "back"
    size = decrypt_file(path, target, key, Progress())
    assert size == target.stat().st_size
    return target.read_bytes()


# --- round trips
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_round_trip(tmp_path, pair, size):
    path, result = encrypted(tmp_path, content(size), parse_recipients(pair.public))
    stored = path.read_bytes()
    assert (result.size, result.sha256) == (
        len(stored),
        hashlib.sha256(stored).hexdigest(),
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert decrypted(tmp_path, path, parse_identities(pair.private)) == content(size)
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600


@needs_age
@pytest.mark.parametrize("size", [0, CHUNK, 3 * CHUNK + 5])
def test_age_decrypts_ours(tmp_path, key, size):
    private, public = key
    path, _result = encrypted(tmp_path, content(size), parse_recipients(public))
    (tmp_path / "key").write_text(private)
    (tmp_path / "key").chmod(0o600)
    assert age("-d", "-i", tmp_path / "key", path) == content(size)


@needs_age
@pytest.mark.parametrize("armour", [[], ["-a"]])
@pytest.mark.parametrize("size", [0, CHUNK, 3 * CHUNK + 5])
def test_ours_decrypts_age_s(tmp_path, key, size, armour):
    private, public = key
    path = tmp_path / "theirs.age"
    path.write_bytes(age(*armour, "-r", public, data=content(size)))
    assert decrypted(tmp_path, path, parse_identities(private)) == content(size)


@needs_age
def test_age_decrypts_our_passphrase(tmp_path):
    path, _result = encrypted(tmp_path, content(70_000), Passphrase(WORDS))
    status, seen = age_with_passphrase("-d", "-o", tmp_path / "out", path, times=1)
    assert status == 0, seen
    assert (tmp_path / "out").read_bytes() == content(70_000)


@needs_age
def test_ours_decrypts_age_s_passphrase(tmp_path):
    (tmp_path / "plain").write_bytes(content(70_000))
    path = tmp_path / "theirs.age"
    status, seen = age_with_passphrase("-p", "-o", path, tmp_path / "plain", times=2)
    assert status == 0, seen
    assert decrypted(tmp_path, path, Passphrase(WORDS)) == content(70_000)


def test_pyrage_agrees(tmp_path, key):
    """A second implementation, by other people, in another language."""
    pyrage = pytest.importorskip("pyrage")
    private, public = key
    kind = pyrage.ssh if public.startswith("ssh-") else pyrage.x25519
    recipient = kind.Recipient.from_str(public)
    given = private.encode() if kind is pyrage.ssh else private
    make = kind.Identity.from_buffer if kind is pyrage.ssh else kind.Identity.from_str
    path, _result = encrypted(tmp_path, b"content", parse_recipients(public))
    assert pyrage.decrypt(path.read_bytes(), [make(given)]) == b"content"
    path.write_bytes(pyrage.encrypt(b"theirs", [recipient]))
    assert decrypted(tmp_path, path, parse_identities(private)) == b"theirs"


def test_several_recipients_and_each_can_read(tmp_path, pair, ssh_keys):
    public = "\n".join([pair.public, *(line for _private, line in ssh_keys.values())])
    path, _result = encrypted(tmp_path, b"for all", parse_recipients(public))
    for private in [pair.private, *(private for private, _line in ssh_keys.values())]:
        assert decrypted(tmp_path, path, parse_identities(private)) == b"for all"


# --- reading
# ----------------------------------------------------------------------------------


def test_a_zip_file_inside_opens_as_it_is(tmp_path):
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("a", content(5 * CHUNK))
        for number in range(1500):  # a directory of more than one chunk
            archive.writestr(f"{number:0100}", b"")
        archive.writestr("b", b"last")
    path, _result = encrypted(tmp_path, plain.getvalue(), FAST)
    with (
        open(path, "rb") as stream,
        zipfile.ZipFile(open_decrypted(stream, FAST)) as archive,
    ):
        assert archive.read("b") == b"last"
        assert archive.read("a") == content(5 * CHUNK)
        assert len(archive.namelist()) == 1502


@pytest.mark.parametrize("size", SIZES)
def test_seeking_reads_what_is_there(tmp_path, size):
    path, _result = encrypted(tmp_path, content(size), FAST)
    rng = random.Random(size)
    with open(path, "rb") as stream:
        reader, model = open_decrypted(stream, FAST), io.BytesIO(content(size))
        for _ in range(60):
            whence = rng.choice((0, 2))
            offset = (
                rng.randrange(-size, 1) if whence else rng.randrange(0, size + CHUNK)
            )
            assert reader.seek(offset, whence) == model.seek(offset, whence)
            count = rng.choice((1, 100, CHUNK, 3 * CHUNK))
            assert reader.read(count) == model.read(count)


class Trickle(io.RawIOBase):
    """A stream from a network: it cannot seek, and gives a few bytes at a time."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._data.readinto(memoryview(buffer)[:999])


def test_a_stream_that_cannot_seek(tmp_path):
    path, _result = encrypted(tmp_path, content(5 * CHUNK), FAST)
    reader = open_decrypted(Trickle(path.read_bytes()), FAST)
    assert reader.read() == content(5 * CHUNK)
    with pytest.raises(io.UnsupportedOperation):
        reader.seek(0)


@pytest.mark.parametrize(
    "pieces", [[0], [0, 5, 0], [CHUNK, 0], [7, CHUNK - 7], [1, CHUNK, 3], [9] * 9]
)
def test_pieces_of_any_length_can_be_written(pieces):
    target = io.BytesIO()
    writer = encryption.EncryptedWriter(target.write, [FAST])
    for piece in pieces:
        writer.write(content(piece))
    writer.finish()
    target.seek(0)
    assert open_decrypted(target, FAST).read() == b"".join(map(content, pieces))


# --- what goes wrong
# --------------------------------------------------------------------------


def refused(tmp_path, data, key, error=PermanentError):
    """Decrypt, which is an error; nothing stays of the target."""
    path = tmp_path / "bad.age"
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        decrypt_file(path, tmp_path / "bad", key, Progress())
    assert not (tmp_path / "bad").exists()
    assert caught.value.code
    assert caught.value.hint
    assert WORDS not in shown(caught.value)


def test_another_key(tmp_path, pair, ssh_keys):
    path, _result = encrypted(tmp_path, b"x", parse_recipients(pair.public))
    for other in (
        generate_key().private,
        *(private for private, _line in ssh_keys.values()),
    ):
        refused(tmp_path, path.read_bytes(), parse_identities(other), OtherKeys)


def test_another_passphrase(tmp_path, pair):
    path, _result = encrypted(tmp_path, b"x", FAST)
    for key in (Passphrase("no"), parse_identities(pair.private)):
        refused(tmp_path, path.read_bytes(), key, WrongPassphrase)


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04" * 50, b"age-encryption.org/v2\n", b"\n" * 99]
)
def test_what_is_no_age_file(tmp_path, data):
    refused(tmp_path, data, FAST, NotEncrypted)


def test_every_cut_is_noticed(tmp_path):
    path, _result = encrypted(tmp_path, content(2 * CHUNK + 9), FAST)
    data = path.read_bytes()
    header = data.index(b"\n---") + 60
    cuts = [*range(1, header), header + CHUNK // 2, len(data) - 1, len(data) - 9]
    for cut in cuts:
        refused(tmp_path, data[:cut], FAST)
    payload = len(data) - (2 * (CHUNK + 16) + 9 + 16)
    for chunks in (1, 2):
        cut = payload + chunks * (CHUNK + 16)
        refused(tmp_path, data[:cut], FAST, CutOff)


def test_every_flipped_bit_is_noticed(tmp_path):
    path, _result = encrypted(tmp_path, content(2 * CHUNK), FAST)
    data = path.read_bytes()
    header = data.index(b"\n---") + 60
    rng = random.Random(7)
    places = [*range(header), *(rng.randrange(header, len(data)) for _ in range(40))]
    for place in places:
        broken = bytearray(data)
        broken[place] ^= 1 << rng.randrange(8)
        refused(tmp_path, bytes(broken), FAST)


def test_more_than_was_written_is_noticed(tmp_path):
    for size in (CHUNK, 5):
        path, _result = encrypted(tmp_path, content(size), FAST)
        refused(tmp_path, path.read_bytes() + b"x", FAST)


@pytest.mark.parametrize("offset, whence", [(0, 2), (-1, 2), (9 * CHUNK, 0)])
def test_a_cut_is_not_taken_for_the_end(tmp_path, offset, whence):
    """A zip is read from its end: where the file was cut, there is none."""
    path, _result = encrypted(tmp_path, content(2 * CHUNK + 9), FAST)
    reader = open_decrypted(io.BytesIO(path.read_bytes()[: -(9 + 16)]), FAST)

    def read_there():
        reader.seek(offset, whence)
        return reader.read(1)

    assert reader.read(1) == content(2 * CHUNK + 9)[:1]
    for _ in range(2):
        with pytest.raises(CutOff):
            read_there()


def test_after_an_error_there_is_no_end(tmp_path):
    path, _result = encrypted(tmp_path, content(2 * CHUNK), FAST)
    for data in (path.read_bytes() + b"x", path.read_bytes()[: -(CHUNK + 16)]):
        reader = open_decrypted(Trickle(data), FAST).raw
        with pytest.raises(EngineError):
            reader.readall()
        with pytest.raises(EngineError):
            reader.readall()


def test_an_empty_last_chunk_behind_others_is_refused(tmp_path):
    """The format knows one way to write a content, so that nobody can lengthen a
    file."""
    target = io.BytesIO()
    writer = encryption.EncryptedWriter(target.write, [FAST])
    writer._encrypt(content(CHUNK), last=False)
    writer.finish()
    refused(tmp_path, target.getvalue(), FAST, PayloadDamaged)


@needs_age
def test_broken_armour(tmp_path, pair):
    armoured = age("-a", "-r", pair.public, data=content(1000))
    identities = parse_identities(pair.private)
    lines = armoured.splitlines(keepends=True)
    for broken, error in (
        (armoured.replace(lines[8], b"@@@@\n"), ArmourBroken),
        (b"".join(lines[:8]), ArmourBroken),
        (b"".join(lines[:8] + lines[9:]), PayloadDamaged),
    ):
        refused(tmp_path, broken, identities, error)


def test_a_file_may_not_ask_for_all_memory(tmp_path):
    path, _result = encrypted(tmp_path, b"x", FAST)
    for factor in (b"21", b"63", b"99", b"9" * 99):
        data = path.read_bytes().replace(b" 10\n", b" " + factor + b"\n", 1)
        started = time.process_time()
        refused(tmp_path, data, FAST, TooMuchMemory)
        assert time.process_time() - started < 1


def test_cancel_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("dfr_backup.engine.progress.REPORT_INTERVAL", 0)

    def cancel(progress):
        if progress.done > 3 << 20:
            raise Cancelled()

    source, target = tmp_path / "plain", tmp_path / "plain.age"
    source.write_bytes(bytes(8 << 20))
    with pytest.raises(Cancelled):
        encrypt_file(source, target, FAST, Progress(cancel))
    assert not target.exists()
    encrypt_file(source, target, FAST, Progress())
    with pytest.raises(Cancelled):
        decrypt_file(target, tmp_path / "back", FAST, Progress(cancel))
    assert not (tmp_path / "back").exists()


def test_neither_way_fills_the_page_cache(tmp_path):
    need_page_cache(tmp_path)
    plain, target, back = (tmp_path / name for name in ("plain", "plain.age", "back"))
    plain.write_bytes(bytes(8 << 20))
    forget(plain)
    encrypt_file(plain, target, FAST, Progress())
    decrypt_file(target, back, FAST, Progress())
    assert not holds(plain)
    assert not holds(back)


@pytest.mark.parametrize("mib", [3, 30])
def test_a_full_disk_leaves_nothing(tmp_path, mib):
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try:\n"
        "    encrypt_file(Path(sys.argv[1]), Path(sys.argv[2]), key, Progress())\n"
        "except EngineError as error: print(error.code, error.message.values)\n"
    )
    source, target = tmp_path / "plain", tmp_path / "plain.age"
    source.write_bytes(bytes(mib << 20))
    told = in_a_child(script, source, target)
    assert NotWritten.code in told
    assert os.strerror(errno.EFBIG) in told
    assert not target.exists()


def test_too_little_memory_is_not_taken_for_a_bad_disk(tmp_path, monkeypatch):
    def no_memory(*_args):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    source, target = tmp_path / "plain", tmp_path / "plain.age"
    source.write_bytes(b"x")
    monkeypatch.setattr(append_file.os, "open", no_memory)
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as caught:
        encrypt_file(source, target, FAST, Progress())
    assert is_out_of_memory(caught.value)
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as caught:
        ArchiveWriter.create(tmp_path / "a.zip")
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "number, kind", [(errno.EIO, RetryableError), (errno.ENOSPC, PermanentError)]
)
def test_a_disk_that_fails_may_be_tried_again(tmp_path, monkeypatch, number, kind):
    def fail(*_args):
        raise OSError(number, os.strerror(number))

    (tmp_path / "plain").write_bytes(b"x")
    monkeypatch.setattr(encryption, "AppendFile", fail)
    with pytest.raises(kind) as caught:
        encrypt_file(tmp_path / "plain", tmp_path / "plain.age", FAST, Progress())
    assert caught.value.code == NotWritten.code
    assert caught.value.message.values["reason"] == os.strerror(number)


def test_no_key_and_no_passphrase(tmp_path):
    for key, error in (([], NoKey), (Passphrase(""), EmptyPassphrase)):
        with pytest.raises(error):
            encrypted(tmp_path, b"x", key)
        assert not (tmp_path / "plain.age").exists()


def in_a_child(script, *args):
    """Run a script that has the engine's names; return what it printed."""
    root = Path(__file__).parent
    head = (
        f"import sys; sys.path.insert(0, {str(root)!r}); import conftest\n"
        "from dfr_backup.engine.encryption.files import *\n"
        "from dfr_backup.engine.errors import EngineError\n"
        "from dfr_backup.engine.progress import Progress\n"
        "key = Passphrase('x', work_factor=10)\n"
    )
    argv = [sys.executable, "-c", head + script, *map(str, args)]
    return subprocess.run(
        argv, capture_output=True, check=True, text=True, timeout=60
    ).stdout


def test_memory_does_not_grow_with_the_file(tmp_path):
    """300 MB, of a file with a hole, take as much as 1 MB does."""
    script = (
        "import resource; from pathlib import Path\n"
        "folder = Path(sys.argv[1])\n"
        "def peak(size):\n"
        "    with open(folder / 'plain', 'wb') as stream: stream.truncate(size)\n"
        "    encrypt_file(folder / 'plain', folder / 'age', key, Progress())\n"
        "    decrypt_file(folder / 'age', folder / 'back', key, Progress())\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(peak(5 << 20), peak(300 << 20))\n"
    )
    small, large = map(int, in_a_child(script, tmp_path).split())
    assert large - small < 8 << 10  # KiB


# --- keys
# -------------------------------------------------------------------------------------


@needs_age
def test_age_keygen_agrees(pair):
    keygen = shutil.which("age-keygen")
    made = subprocess.run([keygen], capture_output=True, check=True, text=True)
    private = made.stdout.splitlines()[-1]
    assert public_of(private) in made.stdout
    derived = subprocess.run(
        [keygen, "-y"], input=pair.private, capture_output=True, text=True
    )
    assert derived.stdout.strip() == pair.public
    assert len(parse_identities(made.stdout)) == 1


def test_secrets_do_not_show(pair, ssh_keys):
    secret = pair.private[20:]
    told = repr([pair, parse_identities(pair.private), Passphrase(WORDS)])
    told += repr(parse_identities(ssh_keys["ssh-ed25519"][0]))
    assert secret not in told
    assert WORDS not in told
    assert "private" not in told


def test_recipients_are_read_line_by_line(pair, ssh_keys):
    public = ssh_keys["ssh-ed25519"][1]
    text = f"# office\n\n  {pair.public}\r\n{public} someone@somewhere\n"
    text += f"{pair.public.upper()}\n"
    assert [r.text for r in parse_recipients(text)] == [
        pair.public,
        public,
        pair.public,
    ]


def shown(error):
    """Return all that anybody is told."""
    return f"{error.in_full} {error.log}"


def error_for(text, error, parse=parse_recipients):
    with pytest.raises(error) as caught:
        parse(text)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda key: key[:-1], NotAPublicKey),
        (lambda key: key[:-1] + ("q" if key[-1] != "q" else "p"), NotAPublicKey),
        (lambda key: key[:10].upper() + key[10:], NotAPublicKey),
        (lambda key: "ssh-ed25519", SshKeyIncomplete),
        (lambda key: "ssh-ed25519 AAAA", SshKeyIncomplete),
        (lambda key: "ssh-dss AAAAB3NzaC1kc3M=", SshKeyIncomplete),
        (lambda key: "hello", NotAPublicKey),
        (lambda key: "age1pq1" + key[5:], KeyKindUnknown),
        (lambda key: "AGE1YUBIKEY1" + key[5:].upper(), KeyKindUnknown),
    ],
)
def test_a_bad_line_is_named(pair, change, error):
    raised = error_for(f"{pair.public}\n{change(pair.public)}\n", error)
    assert raised.message.values["line"].values["number"] == 2
    if error is NotAPublicKey:
        assert raised.message.values["problem"]


def test_a_pasted_private_key_is_not_repeated(pair, ssh_keys):
    for private in (pair.private, pair.private.lower(), ssh_keys["ssh-ed25519"][0]):
        raised = error_for(f"# mine\n{private}", PrivateKeyGiven)
        assert raised.message.values["line"].values["number"] == 2
        assert private.splitlines()[-1][20:] not in shown(raised)


def test_weak_and_empty_keys():
    weak = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505
    line = weak.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    assert error_for(line.decode(), SshKeyUnusable).hint.values["bits"] == 2048
    error_for("# none\n", NoPublicKey)
    error_for("# none\n", NoPrivateKey, parse_identities)


def test_bad_identities_are_not_repeated(pair, ssh_keys):
    cut = pair.private[:-2]
    assert cut[20:] not in shown(error_for(cut, NotAPrivateKey, parse_identities))
    pem = ssh_keys["ssh-ed25519"][0].replace("b3BlbnNzaC1r", "AAAAAAAAAAAA")
    raised = error_for(pem, SshKeyUnreadable, parse_identities)
    assert "AAAAAAAAAAAA" not in shown(raised)


def test_fingerprints_are_short_and_stable(pair, ssh_keys):
    known = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    assert (
        fingerprint(known)
        == fingerprint(f" {known.upper()}\n")
        == "NKAE-O44Y-FBAP-U7VO"
    )
    public = ssh_keys["ssh-ed25519"][1]
    assert (
        fingerprint(public)
        == fingerprint(public + " comment")
        != fingerprint(pair.public)
    )


def test_the_engine_s_names_are_complete():
    assert all(hasattr(encryption, name) for name in encryption.__all__)
    assert age_keys.WORK_FACTOR == 18
