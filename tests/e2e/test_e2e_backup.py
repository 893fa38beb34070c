"""The whole job, from the request to a copy that Odoo itself restores."""

import hashlib
import json
import subprocess
import zipfile

import pytest


def test_backup_restores_with_odoo_itself(instance, restore):
    run = instance.backup()
    assert (run.state, run.status) == ("success", 0)
    assert set(run.states.values()) == {"success"}
    restore(instance, run.archive)
    assert instance.leftovers() == []


def test_archive_is_an_ordinary_zip(instance, tmp_path):
    run = instance.backup()
    subprocess.run(["unzip", "-tq", run.archive], check=True, capture_output=True)
    with zipfile.ZipFile(run.archive) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        archive.extractall(tmp_path / "x")
    assert names[:2] == ["dump.sql", "attachments.jsonl"]
    index = map(json.loads, (tmp_path / "x/attachments.jsonl").read_text().splitlines())
    named = {line["name"]: line["store_fname"] for line in index}
    assert {f"{number}.bin" for number in range(200)} <= named.keys()
    assert f"filestore/{named['7.bin']}" in names
    assert "addons/dfr_backup/__manifest__.py" in names
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "x", check=True
    )
    sidecar = run.manifest["archive"]
    content = run.archive.read_bytes()
    assert sidecar["size"] == len(content)
    assert sidecar["sha256"] == hashlib.sha256(content).hexdigest()
    assert run.archive.stat().st_mode & 0o777 == 0o600


@pytest.mark.release
def test_missing_and_damaged_files_are_warnings(instance):
    files = sorted(
        p for p in instance.filestore.glob("??/*") if p.stat().st_size > 4000
    )
    files[0].unlink()
    files[1].write_bytes(b"something else")
    run = instance.backup()
    assert (run.state, run.states["archive_files"]) == ("success", "warning")
    filestore = run.manifest["dfr_backup"]["filestore"]
    assert (filestore["missing"], filestore["damaged"]) == (1, 1)
    assert files[0].name in filestore["missing_names"][0]
    assert files[1].name in filestore["damaged_names"][0]


@pytest.mark.release
def test_command_line_errors(instance):
    assert instance.odoo("backup", "frobnicate").returncode == 4
    unknown = "No such plan"
    done = instance.odoo("backup", "run", "--plan", unknown)
    assert done.returncode == 1
    assert unknown in done.stderr
    assert _listed(instance) == []
    assert instance.odoo("backup", "list").stdout
    run = instance.backup()
    assert [copy["state"] for copy in _listed(instance)] == ["verified"]
    assert str(run.archive) in instance.odoo("backup", "list").stdout


def _listed(instance):
    return json.loads(instance.odoo("backup", "list", "--json").stdout)


@pytest.mark.release
def test_archive_that_is_much_smaller_is_a_warning(instance):
    for _ in range(3):
        assert instance.backup().states["compress"] == "success"
    instance.sql("DELETE FROM ir_attachment WHERE name = 'large'")
    run = instance.backup()
    assert (run.state, run.states["compress"]) == ("success", "warning")
    (drop,) = instance.sql("SELECT size_drop FROM backup_job ORDER BY id DESC LIMIT 1")[
        0
    ]
    assert 50 <= drop < 100


def test_incremental_backup_stores_little_the_second_time(instance, tmp_path):
    instance.sql("UPDATE backup_plan SET incremental = true")
    first = instance.backup()
    (copy,) = first.report["copies"]
    assert (first.state, copy["incremental"], copy["state"]) == (
        "success",
        True,
        "verified",
    )
    assert copy["new_size"] > 0
    count = "SELECT count(DISTINCT store_fname) FROM ir_attachment WHERE store_fname"
    ((files,),) = instance.sql(f"{count} IS NOT NULL")
    assert first.manifest["dfr_backup"]["packed"]["files"] == files
    assert sum(first.manifest["dfr_backup"]["table_bytes"].values()) > 1 << 20
    instance.shell(
        'env["ir.attachment"].create({"name": "one more", "raw": b"one more" * 99})\n'
        "env.cr.commit()"
    )
    second = instance.backup()
    (again,) = second.report["copies"]
    assert second.state == "success"
    assert 0 < again["new_size"] < 100_000 < copy["new_size"]
    assert again["packed_size"] > copy["packed_size"]
    assert second.manifest["dfr_backup"]["packed"]["files"] >= files + 1
    assert instance.leftovers() == []
    for run in (first, second):
        _unpack(run, tmp_path / run.archive.stem)


def _unpack(run, folder):
    """Bring a backup back as the page of the format says, and compare all of it."""
    packs = [run.archive.with_name(pack["key"]) for pack in run.manifest["packs"]]
    for path in (*packs, run.archive):
        subprocess.run(["unzip", "-qn", path, "-d", folder], check=True)
        sums = subprocess.run(
            ["unzip", "-p", path, "SHA256SUMS"], check=True, capture_output=True
        ).stdout
        with open(folder / "all.sums", "ab") as stream:
            stream.write(sums)
    check = ["sha256sum", "-c", "--quiet", "all.sums"]
    subprocess.run(check, cwd=folder, check=True)
    assert (folder / "database.sql").stat().st_size > 1 << 20
    for path in (folder / "filestore").glob("*/*"):
        sha1 = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        assert path.name == sha1
    found = {path.name for path in (folder / "filestore").glob("*/*")}
    assert len(found) >= run.manifest["dfr_backup"]["packed"]["files"]
