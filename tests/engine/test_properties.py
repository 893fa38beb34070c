"""Properties of the readers that have a structure: what was written is read again,
however it is cut into pieces, and anything else is refused with a code."""

import contextlib
import io
import itertools
import json

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dfr_backup.engine.archive.reader import checksum_lines, listed_member
from dfr_backup.engine.encryption import age_format
from dfr_backup.engine.encryption.armour import Source
from dfr_backup.engine.errors import PermanentError
from dfr_backup.engine.errors.archive import ManifestMalformed
from dfr_backup.engine.errors.fetch import NewerFormat
from dfr_backup.engine.manifest.read import parse_manifest
from dfr_backup.engine.restore.load.sql_stream import Rows, split
from dfr_backup.engine.storages.url import storage_at

ENVIRON = {"DFR_BACKUP_SFTP_PASSWORD": "x", "DFR_BACKUP_SFTP_HOST_KEY": "a b"}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
SHAPED = ("version_info", "pg_version", "modules", "db_name", "dfr_backup")


def cut(data, borders):
    """Return a text in pieces that end at these places."""
    at = [0, *sorted(border % (len(data) + 1) for border in borders), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(at)]


borders = st.lists(st.integers(0, 10_000), max_size=8)
# a busy machine is no finding
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# -- manifest


@patient
@given(st.dictionaries(st.sampled_from(SHAPED) | st.text(), anything))
def test_manifest_is_as_it_was_or_refused(content):
    data = json.dumps(content).encode()
    with contextlib.suppress(ManifestMalformed, NewerFormat):
        assert parse_manifest(data).to_json() == json.loads(data)


# -- SHA256SUMS

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\\"))
lines = st.tuples(st.text("0123456789abcdef", min_size=64, max_size=64), names)


@patient
@given(st.lists(lines), borders)
def test_checksums_are_read_whatever_the_pieces(listed, borders):
    data = "".join(f"{sha256}  {name}\n" for sha256, name in listed).encode()
    found = [listed_member(line) for line in checksum_lines(cut(data, borders))]
    assert found == listed


# -- the header of age

words = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
stanzas = st.builds(
    age_format.Stanza,
    words,
    st.lists(words, max_size=4).map(tuple),
    st.binary(max_size=200) | st.sampled_from([bytes(48), bytes(96)]),
)


@patient
@given(st.lists(stanzas, min_size=1, max_size=8), st.binary(min_size=16, max_size=16))
def test_header_is_read_as_it_was_written(stanzas, file_key):
    source = Source(io.BytesIO(age_format._header(file_key, stanzas)))
    assert source.line() == age_format.VERSION
    text, found, mac = age_format._parse_header(source)
    assert found == stanzas
    assert mac == age_format._mac(file_key, text)


# -- addresses


@patient
@given(
    st.sampled_from(["", "s3://", "sftp://", "sftp://user@host/", "/tmp/", "ftp://"]),
    st.text(st.characters()),
)
@example("/tmp/", "a\0b")
@example("s3://", "[")
@example("sftp://", "user@host:99999/a")
def test_address_leads_somewhere_or_is_refused(scheme, rest):
    with contextlib.suppress(PermanentError):
        _storage, key = storage_at(scheme + rest, ENVIRON)
        assert "/" not in key or "%2" in rest


# -- SQL

quoted = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
statements = st.one_of(
    quoted.map(lambda text: "SELECT '{}'".format(text.replace("'", "''"))),
    quoted.map(lambda text: 'SELECT 1 AS "a{}"'.format(text.replace('"', '""'))),
    quoted.map(lambda text: f"SELECT $q${text.replace('$', '')}$q$"),
    st.sampled_from(
        ["SELECT E'\\'; '", "SELECT /* a /* ; */ ' */ 1", "SELECT 1 -- ; '\n + 1"]
    ),
)
DONE = "--\n-- PostgreSQL database dump complete\n--\n"


@patient
@given(st.lists(statements, max_size=6), borders)
def test_statements_are_what_was_written_whatever_the_pieces(written, borders):
    copied = "COPY t (a) FROM stdin;\none\ntwo\n\\.\n"
    data = "SET standard_conforming_strings = on;\n" + copied
    data += "".join(f"{statement};\n" for statement in written) + DONE
    found = list(split(iter(filter(None, cut(data.encode(), borders)))))
    texts = [one for one in found if not isinstance(one, Rows)]
    assert len(texts) == 2 + len(written)
    for statement, one in zip(written, texts[2:], strict=True):
        assert statement.encode() in one.text
