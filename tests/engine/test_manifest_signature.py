import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.model import Manifest
from dfr_backup.engine.manifest.names import sidecar_key
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.manifest.signature import (
    ELSEWHERE,
    HERE,
    UNSIGNED,
    WRONG,
    Signer,
    signature_of,
)

ONE, TWO = Key(bytes(range(32))), Key(bytes(range(1, 33)))
WHO = {"uuid": "11111111-2222-3333-4444-555555555555", "oid": 5}
KEY = "db-20261124T020000Z-5424c813.zip"
ABOUT = manifest.build(
    {"db_name": "db", "version": "19.0", "modules": {"base": "1"}},
    {
        "job": "5424c813",
        "run": "B1",
        "database_uuid": WHO["uuid"],
        "snapshot_at": "2026-11-24T02:00:00+00:00",
        "contents": ["database"],
        "missing": [],
        "members": {"count": 1, "sha256sums": "ab" * 32},
        "rows": {"public.t": 5},
    },
)


def stored(sign=lambda content: Signer(ONE).sign(content, WHO)):
    return manifest.sidecar(ABOUT, KEY, 5, "ab" * 32, sign)


def judged(content, *keys):
    return Signer(*(keys or [ONE])).judge(signature_of(content))


def test_a_manifest_is_signed_for_an_identity():
    found = parse_sidecar(stored(), sidecar_key(KEY))
    assert Signer(ONE).judge(found.signature) == HERE
    assert found.signature.identity == WHO


def test_without_a_signature():
    found = parse_sidecar(stored(dict), sidecar_key(KEY))
    assert found.signature is None
    assert Signer(ONE).judge(None) == UNSIGNED


def test_another_key_is_another_key_and_a_former_one_is_known():
    content = json.loads(stored())
    assert judged(content, TWO) == ELSEWHERE
    assert judged(content, TWO, ONE) == HERE


def test_order_and_blanks_do_not_count():
    content = json.loads(stored())
    turned = dict(reversed(content.items()))
    assert judged(json.loads(json.dumps(turned, indent=8))) == HERE


def places(value, path=()):
    """Yield the path of every value of some JSON."""
    for name in value if isinstance(value, dict) else range(len(value)):
        yield (*path, name)
        if isinstance(value[name], dict | list):
            yield from places(value[name], (*path, name))


@pytest.mark.parametrize("path", list(places(json.loads(stored()))), ids=str)
def test_whatever_is_changed_is_noticed(path):
    content = json.loads(stored())
    target = content
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = "other"
    names = ("algorithm", "key", "identity")
    if path == ("signature",) or path in [("signature", name) for name in names]:
        assert judged(content) == ELSEWHERE
    else:
        assert judged(content) == WRONG


def test_what_is_added_is_noticed():
    content = json.loads(stored())
    content["dfr_backup"]["import"] = {"database_uuid": "x", "job": "y"}
    assert judged(content) == WRONG


def test_identity_of_another_is_noticed():
    content = json.loads(stored())
    content["signature"]["identity"]["oid"] = 6
    assert judged(content) == WRONG


def test_signature_does_not_change_what_the_content_is():
    assert Manifest(json.loads(stored())).content_digest == ABOUT.content_digest


def test_signing_key_is_not_the_key_of_the_secrets():
    assert ONE.derive(b"a") not in (ONE.value, ONE.derive(b"b"))
    assert len(ONE.derive(b"a")) == 32


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_odd_signatures_are_nobodys(value):
    content = json.loads(stored())
    content["signature"] = value
    assert judged(content) in (UNSIGNED, ELSEWHERE)


@given(JSON, JSON, JSON)
def test_odd_parts_of_a_signature_are_refused(key, identity, value):
    content = json.loads(stored())
    ours = content["signature"]
    for name, odd in (("key", key), ("identity", identity), ("value", value)):
        content["signature"] = {**ours, name: odd}
        assert judged(content) in (WRONG, ELSEWHERE)
