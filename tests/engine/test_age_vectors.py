"""age's own test vectors (C2SP/CCTV): what has to decrypt, and what must be refused."""

import base64
import hashlib
import io
import re
import zlib
from pathlib import Path

import pytest

from dfr_backup.engine.encryption.age_format import CHUNK
from dfr_backup.engine.encryption.files import (
    Passphrase,
    generate_key,
    open_decrypted,
    parse_identities,
)
from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.encryption import (
    ArmourBroken,
    CutOff,
    HeaderDamaged,
    KeyKindUnknown,
    NotEncrypted,
    OtherKeys,
    PayloadDamaged,
    TooMuchMemory,
    WrongPassphrase,
)

REPO = Path(__file__).resolve().parents[2]
FOLDER = REPO.parent / "shared" / "age-vectors"
PACKAGE = REPO / ".dev/node/node_modules/cctv-age/index.js"
PACKED = re.compile(r'^var (\w+)_default = __toBinary\("([^"]*)"\)', re.MULTILINE)
EXPECTED = {
    "no match": (OtherKeys, WrongPassphrase),
    # who decrypts does not need to know which of them it is
    "header failure": (HeaderDamaged, NotEncrypted, TooMuchMemory, CutOff),
    "HMAC failure": (HeaderDamaged,),
    "armor failure": (ArmourBroken, NotEncrypted),
    "payload failure": (PayloadDamaged, CutOff),
}
OURS = generate_key().private


def packed():
    """Return the vectors of the package that “make setup” installs."""
    found = PACKED.findall(PACKAGE.read_text()) if PACKAGE.is_file() else []
    return {name: base64.b64decode(content) for name, content in found}


def unpacked():
    """Return those that lie beside the project, if any do."""
    return {path.name: path.read_bytes() for path in FOLDER.glob("*")}


class Vector:
    """A file, and what its vector says about it."""

    def __init__(self, content):
        head, _empty, file = content.partition(b"\n\n")
        lines = [line.split(": ", 1) for line in head.decode().splitlines()]
        self.facts = dict(lines)
        self.file = zlib.decompress(file) if "compressed" in self.facts else file
        self.private = [value for name, value in lines if name == "identity"]
        self.secrets = [value for name, value in lines if name == "passphrase"]

    def identities(self):
        keys = [Passphrase(secret) for secret in self.secrets]
        if self.private or not keys:
            keys += parse_identities("\n".join(self.private or [OURS]))
        return keys


VECTORS = {name: Vector(content) for name, content in (packed() or unpacked()).items()}
# post-quantum keys, which we do not have
FOREIGN = [name for name, one in VECTORS.items() if "-PQ-" in str(one.private)]
KNOWN = [name for name in VECTORS if name not in FOREIGN]


def decrypt(file, identities):
    """Return what was released, and the error that came then."""
    released = []
    try:
        stream = open_decrypted(io.BytesIO(file), identities)
        while piece := stream.raw.read(CHUNK):
            released.append(piece)
    except EngineError as error:
        return b"".join(released), error
    return b"".join(released), None


def test_all_vectors_are_here():
    assert len(VECTORS) >= 143
    for found in filter(None, (packed(), unpacked())):
        assert {name: Vector(content).file for name, content in found.items()} == {
            name: vector.file for name, vector in VECTORS.items()
        }


@pytest.mark.parametrize("name", KNOWN)
def test_vector(name):
    vector = VECTORS[name]
    released, error = decrypt(vector.file, vector.identities())
    expected = vector.facts["expect"]
    if expected == "success":
        assert error is None
    else:
        assert isinstance(error, EXPECTED[expected])
        assert error.code
        assert error.hint
    digest = hashlib.sha256(released).hexdigest()
    wanted = vector.facts.get("payload", hashlib.sha256().hexdigest())
    assert digest == wanted


@pytest.mark.parametrize("name", FOREIGN)
def test_vector_for_keys_of_another_kind_is_refused(name):
    vector = VECTORS[name]
    with pytest.raises(KeyKindUnknown):
        vector.identities()
    for identities in (parse_identities(OURS), [Passphrase("password")]):
        released, error = decrypt(vector.file, identities)
        assert isinstance(error, (OtherKeys, HeaderDamaged))
        assert not released
