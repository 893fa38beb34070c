import builtins
import os
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfr_backup.engine.archive import deflate
from dfr_backup.engine.archive.deflate import (
    PACKED,
    RAW,
    STREAM_END,
    TRIAL,
    ZLIB,
    default_codec,
)

CODECS = [ZLIB] if default_codec().name == "zlib" else [ZLIB, default_codec()]
TEXT = b"".join(
    b"%d\tsome words of a table\t%x\n" % (n, n * 7919) for n in range(40_000)
)


def inflate(data):
    decompressor = zlib.decompressobj(RAW)
    plain = decompressor.decompress(data) + decompressor.flush()
    assert decompressor.eof
    assert not decompressor.unused_data
    return plain


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
class TestCodec:
    @settings(deadline=None)
    @given(data=st.binary(max_size=5000))
    def test_stream_is_plain_deflate(self, codec, data):
        assert inflate(codec.compress(data)) == data
        assert codec.crc32(data) == zlib.crc32(data)

    @settings(deadline=None)
    @given(blocks=st.lists(st.binary(max_size=2000), max_size=6))
    def test_blocks_joined_are_one_stream(self, codec, blocks):
        stream = b"".join(map(codec.block, blocks)) + STREAM_END
        assert inflate(stream) == b"".join(blocks)

    def test_blocks_cost_next_to_nothing(self, codec):
        blocks = [TEXT[at : at + (1 << 20)] for at in range(0, len(TEXT), 1 << 20)]
        joined = sum(len(codec.block(block)) for block in blocks)
        assert joined < 1.005 * len(codec.compress(TEXT))

    def test_crc_goes_on(self, codec):
        assert codec.crc32(b"world", codec.crc32(b"hello ")) == zlib.crc32(
            b"hello world"
        )

    def test_decompressor_reads_what_zlib_wrote(self, codec):
        decompressor = codec.decompressobj()
        assert decompressor.decompress(ZLIB.compress(TEXT)) == TEXT
        with pytest.raises(codec.error):
            codec.decompressobj().decompress(b"\xff" * 100)

    @pytest.mark.parametrize("size", [0, 1, 100, TRIAL, TRIAL + 1, 5 * TRIAL])
    def test_noise_does_not_pay(self, codec, size):
        noise = random.Random(size).randbytes(size)
        assert codec.deflated(noise) is None
        assert not codec.shrinks(noise)

    @pytest.mark.parametrize("size", [500, TRIAL, TRIAL + 1, len(TEXT)])
    def test_text_pays(self, codec, size):
        packed = codec.deflated(TEXT[:size])
        assert inflate(packed) == TEXT[:size]
        assert len(packed) < 0.7 * size
        assert codec.shrinks(TEXT[:size])

    @pytest.mark.parametrize("magic", PACKED)
    def test_what_says_that_it_is_packed_is_not_tried(self, codec, magic):
        assert codec.deflated(magic + TEXT) is None
        assert not codec.shrinks(magic + TEXT)
        assert codec.shrinks(TEXT + magic)

    def test_noise_hardly_grows_after_a_head_that_shrinks(self, codec):
        data = TEXT[:TRIAL] + os.urandom(1 << 20)
        assert len(codec.deflated(data)) < 1.01 * len(data)


def test_without_isal_there_is_zlib(monkeypatch):
    real = builtins.__import__

    def without_isal(name, *args, **kwargs):
        if name.startswith("isal"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_isal)
    assert deflate.default_codec() is ZLIB
