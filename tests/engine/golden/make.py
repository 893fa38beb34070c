"""Make the golden archives of one release: see README.rst beside this.

    python make.py SOURCE TARGET

SOURCE is the directory that holds the addon's folder (a checkout of any commit), TARGET
the folder for the release. Nothing of Odoo is needed but its own function that packs a
zip, and a PostgreSQL server that the environment names.
"""

import hashlib
import importlib
import json
import os
import subprocess
import sys
import types
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
KEYS = json.loads((HERE / "keys.json").read_text())
MOMENT = datetime(2026, 11, 27, 8, 30, 41, tzinfo=timezone.utc)
UUID = "0f5bd1f6-9d1c-4d3e-8a75-6b7a2f1c9e10"
IDENTITY = {"uuid": UUID, "system": "7577000000000000001", "oid": 16384, "name": "shop"}
JOBS = {  # of the run that has made an archive
    "whole": "5424c813-1d0e-4c5f-9a55-000000000001",
    "public": "5424c814-1d0e-4c5f-9a55-000000000002",
    "passphrase": "5424c815-1d0e-4c5f-9a55-000000000003",
    "partial": "5424c816-1d0e-4c5f-9a55-000000000004",
    "imported": "5424c817-1d0e-4c5f-9a55-000000000005",
}
# name in Odoo, model, record, type, content
ATTACHMENTS = [
    ("Invoice 7.pdf", "account.move", 7, "application/pdf", b"%PDF-1.4\n" + b"x" * 900),
    ("Grüße – 数据.txt", "res.partner", 3, "text/plain", "Grüße, 数据\n".encode()),
    ("logo.png", None, None, "image/png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
]
ADDON = {
    "__init__.py": b"",
    "__manifest__.py": b'{"name": "Golden", "version": "19.0.1.0.0"}\n',
}
ODOO = {
    "odoo_dump": "1",
    "db_name": "shop",
    "version": "19.0",
    "version_info": [19, 0, 0, "final", 0, ""],
    "major_version": "19.0",
    "pg_version": "15.14",
    "modules": {"base": "19.0.1.3", "golden": "19.0.1.0.0", "web": "19.0.1.0"},
}
TABLES = """
CREATE TABLE res_partner (id int PRIMARY KEY, name text);
INSERT INTO res_partner VALUES (1, 'Golden'), (3, 'Grüße');
CREATE TABLE ir_attachment (id int PRIMARY KEY, name text, res_model text,
  res_field text, res_id int, store_fname text, file_size int, mimetype text,
  checksum text);
"""


def engine(*names):
    """Return the first of these modules that the release has."""
    for name in names:
        try:
            return importlib.import_module(f"dfr_backup.engine.{name}")
        except ModuleNotFoundError:
            continue
    return None


def store_fname(content):
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return f"{sha1[:2]}/{sha1}"


def rows():
    for number, (name, model, record, kind, content) in enumerate(ATTACHMENTS, 1):
        yield {
            "id": number,
            "name": name,
            "res_model": model,
            "res_field": None,
            "res_id": record,
            "store_fname": store_fname(content),
            "file_size": len(content),
            "mimetype": kind,
        }


def dumped():
    """Return what pg_dump writes of a small database, and how it calls itself."""
    name = f"dfr_golden_{os.getpid()}"
    values = [
        ", ".join("NULL" if v is None else f"'{v}'" for v in row.values())
        for row in rows()
    ]
    insert = f"INSERT INTO ir_attachment VALUES ({'), ('.join(values)});"
    subprocess.run(["createdb", "-T", "template0", "-E", "UTF8", name], check=True)
    try:
        subprocess.run(
            ["psql", "-Xqd", name], input=(TABLES + insert).encode(), check=True
        )
        options = ["--no-owner", "--no-privileges"]
        command = ["pg_dump", *options, name]
        dump = subprocess.run(command, check=True, capture_output=True).stdout
        version = subprocess.run(
            ["pg_dump", "--version"], check=True, capture_output=True, text=True
        ).stdout
    finally:
        subprocess.run(["dropdb", name], check=True)
    return dump, f"pg_dump {version.split()[2]} (/usr/bin/pg_dump)"


class Maker:
    def __init__(self, target):
        self.target = target
        self.dump, self.tool = dumped()
        self.manifest = engine("manifest.write", "manifest.model", "manifest")
        names = engine("manifest.names")
        self.names = names if hasattr(names, "sidecar_key") else self.manifest
        self.signature = engine("manifest.signature", "signature")

    def ours(self, kind, members):
        files = [content for *_about, content in ATTACHMENTS]
        size = sum(map(len, files))
        has_dump = kind != "partial"
        missing = {"part": "dump_database", "reason": "pg_dump lost the server."}
        encryption = {}
        if kind in ("public", "passphrase"):
            recipients = [KEYS["public"]] if kind == "public" else []
            encryption = {
                "format": "age",
                "kind": "recipients" if kind == "public" else kind,
                "recipients": recipients,
            }
        if self.signature:  # since the release that signs, an error has a code
            missing["code"] = "DUMP-04"
        about = {
            "job": JOBS[kind],
            "run": f"Backup {kind}",
            "plan": "Nightly",
            "database_uuid": UUID,
            "identity": IDENTITY,
            "snapshot_at": MOMENT.isoformat(),
            "contents": [*(["database"] if has_dump else []), "filestore", "addons"],
            "missing": [] if has_dump else [missing],
            "members": members,
            "pg_dump": self.tool if has_dump else None,
            "rows": {'"public"."ir_attachment"': 3, '"public"."res_partner"': 2}
            if has_dump
            else None,
            "attachments": {"files": 3, "bytes": size, "elsewhere": {"database": 1}},
            "filestore": {
                "files": 3,
                "bytes": size,
                "missing": 1,
                "damaged": 0,
                "unreadable": 0,
                "missing_names": ["ir.attachment,9 “gone.txt”: No such file"],
                "damaged_names": [],
                "unreadable_names": [],
            },
            "addons": [
                {
                    "name": "golden",
                    "revision": "ab" * 20,
                    "files": len(ADDON),
                    "bytes": sum(map(len, ADDON.values())),
                }
            ],
            "encryption": encryption,
        }
        if not self.signature:
            del about["identity"]
        return about

    def sign(self, content):
        if not self.signature:
            return content
        key = engine("encryption.secret_box", "secretbox").Key
        signer = self.signature.Signer(key(bytes.fromhex(KEYS["server_key"])))
        return signer.sign(json.loads(self.manifest.encode(content)), IDENTITY)

    def archive(self, kind):
        """Write an archive as a run does, and its sidecar."""
        writer_class = engine("archive.writer").ArchiveWriter
        name = self.names.archive_name("shop", MOMENT, JOBS[kind])
        path = self.target / name
        writer = writer_class.create(path)
        if kind != "partial":
            with writer.stream_member("dump.sql") as member:
                member.write(self.dump)
            with writer.stream_member("attachments.jsonl") as member:
                for row in rows():
                    line = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
                    member.write(line.encode() + b"\n")
        for name_in, content in ADDON.items():
            writer.add_bytes(f"addons/golden/{name_in}", content)
        contents = [content for *_about, content in ATTACHMENTS]
        for number, content in enumerate(sorted(contents, key=store_fname)):
            name_in = f"filestore/{store_fname(content)}"
            if number:
                writer.add_bytes(name_in, content)
                continue
            with writer.stream_member(name_in) as member:  # as a large one is
                member.write(content)
        count, digest = writer.write_checksums()
        members = {"count": count, "sha256sums": digest}
        content = self.manifest.build(ODOO, self.ours(kind, members))
        writer.add_bytes("manifest.json", self.manifest.encode(content))
        sealed = writer.close()
        path.with_name(f"{name}.journal").unlink()
        if kind in ("public", "passphrase"):
            path, sealed = self.encrypted(kind, path)
        self.beside(content, path.name, sealed.size, sealed.sha256)

    def encrypted(self, kind, path):
        files, progress = engine("encryption.files"), engine("progress").Progress()
        if kind == "public":
            key = files.parse_recipients(KEYS["public"])
        else:  # a run's has the work factor 18, which takes a second each time
            key = files.Passphrase(KEYS["passphrase"], work_factor=10)
        target = path.with_name(f"{path.name}.age")
        sealed = files.encrypt_file(path, target, key, progress)
        path.unlink()
        return target, sealed

    def beside(self, content, key, size, sha256):
        if self.signature:
            content = self.manifest.sidecar(content, key, size, sha256, self.sign)
        else:
            content = self.manifest.sidecar(content, key, size, sha256)
        (self.target / self.names.sidecar_key(key)).write_bytes(content)

    def imported(self, source):
        """Take in an archive of Odoo's, as an import does."""
        arrival = engine("catalog.upload_receiver", "arrival")
        found = arrival.look_at(source, source.name, MOMENT)
        data = source.read_bytes()
        (self.target / found.key).write_bytes(data)
        content = found.taken_in(UUID, JOBS["imported"])
        self.beside(content, found.key, len(data), hashlib.sha256(data).hexdigest())


def pack_as_odoo_does(target, dump):
    """Make the zip of Odoo's database manager, by its own function."""
    from odoo.tools import osutil

    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dump.sql").write_bytes(dump)
        (folder / "manifest.json").write_text(json.dumps(ODOO, indent=4))
        for *_about, content in ATTACHMENTS:
            path = folder / "filestore" / store_fname(content)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            note = folder / "filestore/checklist" / store_fname(content)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        with open(target, "wb") as stream:
            osutil.zip_dir(
                name, stream, include_dir=False, fnct_sort=lambda n: n != "dump.sql"
            )


def main(source, target):
    package = types.ModuleType("dfr_backup")
    package.__path__ = [str(Path(source) / "dfr_backup")]
    sys.modules["dfr_backup"] = package
    target.mkdir(exist_ok=True)
    maker = Maker(target)
    odoo = HERE / "odoo/shop_2026-11-27_08-30-41.zip"
    if not odoo.exists():
        odoo.parent.mkdir(exist_ok=True)
        pack_as_odoo_does(odoo, maker.dump)
    for kind in JOBS.keys() - {"imported"}:
        maker.archive(kind)
    maker.imported(odoo)
    for path in sorted(target.iterdir()):
        print(path.stat().st_size, path.name)
        if path.suffix == ".zip":
            assert zipfile.ZipFile(path).testzip() is None


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
