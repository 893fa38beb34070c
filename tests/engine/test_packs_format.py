"""Incremental backups on disk: those in ``golden/format-2`` are read by this release,
and by hand as docs/format.rst says; the page names each key."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from packs_world import SHOP, MemoryStorage, Server, restored

from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.catalog.scan import read_sidecar, scan
from dfr_backup.engine.encryption.secret_box import Key
from dfr_backup.engine.errors.fetch import BadManifest
from dfr_backup.engine.errors.packs import ExportFirst, PackMalformed
from dfr_backup.engine.manifest.names import FILESTORE, sidecar_key
from dfr_backup.engine.manifest.pack_use import PackUse
from dfr_backup.engine.manifest.read import parse_sidecar
from dfr_backup.engine.manifest.signature import HERE, Signer
from dfr_backup.engine.packs.export import export
from dfr_backup.engine.packs.reading import open_backup
from dfr_backup.engine.packs.sidecar import parse_pack_sidecar
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

GOLDEN = Path(__file__).with_name("golden")
FOLDER = GOLDEN / "format-2"
KEYS = json.loads((GOLDEN / "keys.json").read_text())
CONTENTS = [f"attachment {number}\n".encode() * number for number in range(1, 8)]
BY_NAME = {hashlib.sha1(c, usedforsecurity=False).hexdigest(): c for c in CONTENTS}
FIRST = "shop-20261127T083041Z-00000001.zip"
SECOND = "shop-20261128T083041Z-00000002.zip"
PAGE = Path(__file__).resolve().parents[2] / "docs/format.rst"
KEY = re.compile(r"^``([\w.\[\]]+)`` +(text|number|boolean|list|object) ", re.M)
TYPES = {str: "text", int: "number", bool: "boolean", list: "list", dict: "object"}


@pytest.fixture
def storage():
    return LocalStorage(FOLDER, LocalRules([FOLDER], []))


def expected(key):
    """Return the attachment files of a backup by their paths in the filestore."""
    names = sorted(BY_NAME)
    wanted = names[:6] if key == FIRST else names[1:]
    files = {f"{name[:2]}/{name}": BY_NAME[name] for name in wanted}
    if key == SECOND:
        files[f"{names[6][:2]}/{names[6]}"] = b"damaged\n"
    return files


def test_backups_are_listed(storage):
    found = list(scan(storage, Progress()))
    assert [(one.key, one.problem) for one in found] == [(FIRST, None), (SECOND, None)]


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_backup_is_read(storage, key):
    found = restored(storage, key)
    assert found.pop("database.sql").startswith(b"--\n-- PostgreSQL")
    assert found == {FILESTORE + name: data for name, data in expected(key).items()}
    signer = Signer(Key(bytes.fromhex(KEYS["server_key"])))
    said = read_sidecar(storage, sidecar_key(key))
    assert signer.judge(said.signature) == HERE
    assert (said.format, said.identity) == (2, SHOP)


def test_packs_are_shared():
    first, second = (
        {pack["key"]: pack["wanted"] for pack in packs_of(key)}
        for key in (FIRST, SECOND)
    )
    assert first.keys() == second.keys()
    assert set(first.values()) == {"all"}
    assert set(second.values()) != {"all"}


def packs_of(key):
    return json.loads((FOLDER / sidecar_key(key)).read_text())["packs"]


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_backup_is_restored_with_the_standard_library(key):
    """As the page says, by nobody who has ever seen this addon."""
    sidecar = json.loads((FOLDER / sidecar_key(key)).read_text())
    found = {}
    for pack in sidecar["packs"]:
        data = (FOLDER / pack["key"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == pack["sha256"]
        with zipfile.ZipFile(FOLDER / pack["key"]) as zipped:
            sums = zipped.read("SHA256SUMS")
            assert hashlib.sha256(sums).hexdigest() == pack["sums"]
            names = [n for n in zipped.namelist() if n.startswith("filestore/")]
            wanted = pack["wanted"]
            if wanted != "all":
                bits = base64.b64decode(wanted)
                names = [n for i, n in enumerate(names) if bits[i // 8] >> i % 8 & 1]
            found |= {
                name.removeprefix("filestore/"): zipped.read(name) for name in names
            }
    listed = "".join(f"{name} {len(data)}\n" for name, data in sorted(found.items()))
    packed = sidecar["dfr_backup"]["packed"]
    assert hashlib.sha256(listed.encode()).hexdigest() == packed["sha256"]
    with zipfile.ZipFile(FOLDER / key) as zipped:
        assert b"COPY public.res_partner" in zipped.read("database.sql")
        for name in zipped.namelist():
            if name.startswith("filestore/"):
                found[name.removeprefix("filestore/")] = zipped.read(name)
    assert found == expected(key)


def commands():
    """Return the page's commands, up to those that need a server."""
    text = PAGE.read_text()
    block = text[text.index("   for p in $(jq -r '.packs[].key' B.json)") :]
    lines = block[: block.index("\n\n")].splitlines()
    return [line.strip() for line in lines if not re.search("createdb|psql|mv ", line)]


@pytest.mark.skipif(not shutil.which("jq"), reason="the page's commands need jq")
@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_commands_of_the_page_restore_it(tmp_path, key):
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    shutil.copy(FOLDER / key, tmp_path / "B.zip")
    shutil.copy(FOLDER / sidecar_key(key), tmp_path / "B.json")
    assert len(commands()) == 3
    subprocess.run(["sh", "-ec", "\n".join(commands())], cwd=tmp_path, check=True)
    assert (tmp_path / "out/database.sql").exists()
    for name, data in expected(key).items():
        assert (tmp_path / "out/filestore" / name).read_bytes() == data


def test_export(storage, tmp_path):
    backup = open_backup(storage, read_sidecar(storage, sidecar_key(SECOND)))
    export(backup, tmp_path / "full.zip", Progress())
    with zipfile.ZipFile(tmp_path / "full.zip") as zipped:
        assert zipped.testzip() is None
        names = {n for n in zipped.namelist() if n.startswith("filestore/")}
        assert names == {FILESTORE + name for name in expected(SECOND)}
        assert "dump.sql" in zipped.namelist()
    with pytest.raises(ExportFirst), open_archive(FOLDER / SECOND) as archive:
        archive.require_complete()


# === THE PAGE === #


def documented(begin, end):
    text = PAGE.read_text()
    return set(KEY.findall(text[text.index(begin) : text.index(end)]))


def written(value, path=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            place = f"{path}.{name}" if path else name
            yield place, TYPES[type(inner)]
            yield from written(inner, place)
    elif isinstance(value, list):
        for inner in value:
            yield from written(inner, f"{path}[]")


def test_page_names_each_key_of_incremental_backups_and_no_other():
    keys = documented(".. _incremental-keys:", ".. _end-of-incremental-keys:")
    others = documented(".. _keys:", ".. _end-of-keys:")
    found = {
        about
        for key in (FIRST, SECOND)
        for about in written(json.loads((FOLDER / sidecar_key(key)).read_text()))
    }
    assert keys
    assert found - others == keys


def test_page_names_each_key_of_a_pack_and_no_other():
    keys = documented("**The sidecar of a pack**", "**By hand**")
    found = set()
    for path in FOLDER.glob("*-files-*.json"):
        found |= set(written(json.loads(path.read_text())))
    inner = re.compile(r"(signature|dfr_backup\.identity)\.|dfr_backup(\.pack)?$")
    assert keys == {about for about in found if not inner.match(about[0])}


# === WHAT IS NOT BELIEVED === #


def changed(key, change):
    content = json.loads((FOLDER / sidecar_key(key)).read_text())
    change(content)
    return json.dumps(content).encode()


CHANGES = [
    lambda content: content.pop("packs"),
    lambda content: content.update(packs={}),
    lambda content: content.update(packs=content["packs"] * 2),
    lambda content: content["dfr_backup"].update(format=1),
    lambda content: content["packs"][0].update(wanted="?"),
    lambda content: content["packs"][0].update(wanted="AAA"),
    lambda content: content["packs"][0].pop("wanted"),
    lambda content: content["packs"][0].update(size=0),
    lambda content: content["packs"][0].update(size="7"),
    lambda content: content["packs"][0].update(sha256="AB" * 32),
    lambda content: content["packs"][0].pop("sums"),
    lambda content: content["packs"][0].update(key="../0f5bd1f6.zip"),
    lambda content: content["packs"][0].update(key=FIRST),
]


@pytest.mark.parametrize("change", CHANGES)
def test_sidecar_of_another_shape_is_refused(change):
    with pytest.raises(BadManifest):
        parse_sidecar(changed(FIRST, change), sidecar_key(FIRST))


def test_backup_cannot_have_the_name_of_a_pack():
    pack = packs_of(FIRST)[0]["key"]
    data = changed(FIRST, lambda content: content["archive"].update(key=pack))
    with pytest.raises(BadManifest):
        parse_sidecar(data, sidecar_key(pack))


PACK_CHANGES = [
    lambda content: content.clear(),
    lambda content: content.update(dfr_backup=[]),
    lambda content: content["dfr_backup"].pop("pack"),
    lambda content: content["dfr_backup"].update(format=1),
    lambda content: content["dfr_backup"].update(format=3),
    lambda content: content["dfr_backup"]["pack"].update(key=FIRST),
    lambda content: content["dfr_backup"]["pack"].update(files=0),
    lambda content: content["dfr_backup"]["pack"].update(size=-1),
    lambda content: content["dfr_backup"]["pack"].update(sums=""),
    lambda content: content["dfr_backup"]["pack"].update(keys="k" * 200),
    lambda content: content["dfr_backup"]["pack"].update(
        key="00000000-files-" + "0" * 24 + ".zip"
    ),
]


@pytest.mark.parametrize("change", PACK_CHANGES)
def test_sidecar_of_a_pack_of_another_shape_is_refused(change):
    key = packs_of(FIRST)[0]["key"]
    assert parse_pack_sidecar(changed(key, lambda content: None), sidecar_key(key))
    with pytest.raises(PackMalformed):
        parse_pack_sidecar(changed(key, change), sidecar_key(key))


@pytest.mark.parametrize("files", [1, 7, 8, 9, 64])
def test_wanted_files(files):
    use = PackUse(
        "k", 1, "a", "b", (1 << (files - 1)).to_bytes((files + 7) // 8, "little")
    )
    assert [use.wants(number) for number in range(files)] == [False] * (files - 1) + [
        True
    ]
    assert PackUse.from_json(use.to_json()) == use
    assert use.fits(files)
    assert not use.fits(files - 1)
    assert not use.fits(files + 8)
    whole = PackUse("k", 1, "a", "b")
    assert PackUse.from_json(whole.to_json()) == whole
    assert whole.wants(files)


def test_world_is_what_made_the_golden_ones(tmp_path):
    server = Server(MemoryStorage(), tmp_path / "one")
    key, _packed = server.backup([])
    assert key == FIRST
