"""What every storage must do. A kind is tested by a class with a ``storage``
fixture."""

import hashlib
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from dfr_backup.engine.catalog.browse import find_file, look_into
from dfr_backup.engine.encryption.files import (
    encrypt_file,
    generate_key,
    parse_identities,
    parse_recipients,
)
from dfr_backup.engine.errors import Cancelled, EngineError, Mismatch, PermanentError
from dfr_backup.engine.errors.storage import ContentDiffers, CopyMissing, SizeDiffers
from dfr_backup.engine.fileio.streams import read_fully
from dfr_backup.engine.progress import Progress

SIZE = (20 << 20) + 17


def cancelled_at(limit):
    """Return a progress that is cancelled once ``limit`` bytes are done."""

    def report(progress):
        if progress.done >= limit:
            raise Cancelled()

    progress = Progress(report)
    progress.tick = lambda: report(progress)
    return progress


class StorageContract:
    @pytest.fixture
    def source(self, tmp_path):
        path = tmp_path / "source.zip"
        path.write_bytes(os.urandom(SIZE))
        return path

    def content(self, storage, key, offset=0):
        with storage.open(key, offset) as stream:
            return stream.read()

    def test_put_and_read_back(self, storage, source):
        progress = Progress()
        storage.put(source, "a.zip", progress)
        assert self.content(storage, "a.zip") == source.read_bytes()
        assert progress.done == progress.total == SIZE

    def test_put_replaces(self, storage, source):
        storage.put_bytes(b"old", "a.zip")
        storage.put(source, "a.zip", Progress())
        assert storage.stat("a.zip").size == SIZE

    def test_put_bytes(self, storage):
        storage.put_bytes(b"one", "a.json")
        storage.put_bytes(b"two!", "a.json")
        assert self.content(storage, "a.json") == b"two!"

    def test_create_replaces_nothing(self, storage):
        assert storage.create(b"one", "first")
        assert not storage.create(b"two", "first")
        assert self.content(storage, "first") == b"one"
        assert [found.key for found in storage.list()] == ["first"]

    def test_peek(self, storage):
        assert storage.peek("first", 10) is None
        storage.put_bytes(b"0123456789", "first")
        assert storage.peek("first", 4) == b"0123"
        assert storage.peek("first", 100) == b"0123456789"

    def test_ranged_read(self, storage):
        storage.put_bytes(b"0123456789", "a")
        assert self.content(storage, "a", 7) == b"789"

    def test_readers_read_at_the_same_time(self, storage):
        """Each in a thread of its own, piece by piece, and neither is in the other's
        way."""
        other = storage.reader()
        if other is None:
            return
        contents = {key: os.urandom(3 << 20) for key in ("a", "b")}
        for key, content in contents.items():
            storage.put_bytes(content, key)
        step = threading.Barrier(2, timeout=60)

        def read(reader, key):
            found = b""
            with reader.open(key) as stream:
                for _piece in range(12):
                    step.wait()
                    found += read_fully(stream, 256 << 10)
            return found

        with ThreadPoolExecutor(2) as threads:
            reading = [
                threads.submit(read, reader, key)
                for reader, key in zip((storage, other), contents, strict=True)
            ]
            assert [one.result() for one in reading] == [*contents.values()]

    def test_one_member_of_an_archive_is_read_where_it_is(self, storage, tmp_path):
        """An encrypted one needs the most: its beginning, its end, and a place in
        between."""
        pair, names = generate_key(), [f"filestore/{n:02}/{n:040}" for n in range(8)]
        contents = [os.urandom(1 << 20) for _name in names]
        with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
            for name, content in zip(names, contents, strict=True):
                archive.writestr(name, content)
        key = parse_recipients(pair.public)
        encrypt_file(tmp_path / "plain.zip", tmp_path / "a.zip.age", key, Progress())
        storage.put(tmp_path / "a.zip.age", "a.zip.age", Progress())
        with look_into(storage, "a.zip.age", parse_identities(pair.private)) as reader:
            for number in (5, 1):
                entry = find_file(reader, names[number].removeprefix("filestore/"))
                assert b"".join(reader.pieces(entry)) == contents[number]

    def test_stat(self, storage):
        storage.put_bytes(b"12345", "a")
        found = storage.stat("a")
        assert (found.key, found.size) == ("a", 5)
        assert found.modified.tzinfo
        assert storage.stat("b") is None

    def test_list_is_complete_and_ordered(self, storage):
        keys = [f"key {number:04} ü" for number in range(1100)]
        for key in reversed(keys):
            storage.put_bytes(b"x", key)
        assert [found.key for found in storage.list()] == keys

    def test_folders_below(self, storage):
        storage.put_bytes(b"1", "a")
        if storage.subfolders() is None:
            assert not storage.has_folders()
            return
        assert storage.subfolders() == []
        for names in (["shop", "dé ep"], ["crm"]):
            below = storage
            for name in names:
                below = below.subfolder(name)
                below.prepare()
            below.put_bytes(names[-1].encode(), "b")
        assert storage.subfolders() == ["crm", "shop"]
        shop = storage.subfolder("shop")
        assert (shop.subfolders(), list(shop.list())) == (["dé ep"], [])
        below = shop.subfolder("dé ep")
        assert below.subfolders() == []
        assert self.content(below, "b") == "dé ep".encode()
        assert below.location("b") == f"{storage.location('shop')}/dé ep/b"
        assert [found.key for found in storage.list()] == ["a"]
        assert storage.location("a") == storage.location("") + "a"

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "a\nb", "x" * 256])
    def test_a_folder_below_has_a_name(self, storage, name):
        with pytest.raises(EngineError):
            storage.subfolder(name)

    def test_delete(self, storage):
        storage.put_bytes(b"x", "a")
        storage.delete("a")
        storage.delete("a")
        assert storage.stat("a") is None
        assert list(storage.list()) == []

    def test_missing_object_is_a_clear_error(self, storage):
        with pytest.raises(PermanentError) as caught, storage.open("a"):
            pass
        assert caught.value.hint

    def test_an_error_of_who_reads_is_his_own(self, storage):
        storage.put_bytes(b"x", "a")
        his = FileExistsError()
        with pytest.raises(FileExistsError) as caught, storage.open("a"):
            raise his
        assert caught.value is his

    def test_cancel_leaves_nothing(self, storage, source):
        source.with_name("second name").hardlink_to(
            source
        )  # so that it is really copied
        with pytest.raises(Cancelled):
            storage.put(source, "a.zip", cancelled_at(8 << 20))
        assert storage.stat("a.zip") is None
        assert list(storage.list()) == []

    def test_verify(self, storage, source):
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        storage.put(source, "a.zip", Progress())
        storage.verify("a.zip", SIZE, digest, Progress())

    @pytest.mark.parametrize(
        "damage, kind",
        [
            ("flipped bit", ContentDiffers),
            ("truncated", SizeDiffers),
            ("longer", SizeDiffers),
            ("missing", CopyMissing),
        ],
    )
    def test_verify_notices(self, storage, damage, kind):
        good = os.urandom(100_000)
        bad = {
            "flipped bit": good[:5000] + bytes([good[5000] ^ 1]) + good[5001:],
            "truncated": good[:-1],
            "longer": good + b"x",
            "missing": None,
        }[damage]
        if bad is not None:
            storage.put_bytes(bad, "a.zip")
        with pytest.raises(kind) as caught:
            storage.verify(
                "a.zip", len(good), hashlib.sha256(good).hexdigest(), Progress()
            )
        assert isinstance(caught.value, Mismatch)
        assert caught.value.message.values["key"] == "a.zip"

    @pytest.mark.parametrize("key", ["", "..", "a/b", "../a", "a\0b"])
    def test_keys_stay_inside(self, storage, key):
        with pytest.raises(EngineError):
            storage.put_bytes(b"x", key)

    def test_location(self, storage):
        assert storage.location("a.zip") == storage.location("") + "a.zip"

    def test_probe(self, storage):
        assert storage.probe().can_list
        assert storage.may_list()
        assert list(storage.list()) == []
