"""Real archives in a real directory, for tests that look into them."""

import hashlib
import json

from ..engine.archive.writer import ArchiveWriter
from ..engine.manifest import write as manifest
from ..engine.manifest.names import sidecar_key


def store_fname(data):
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return f"{sha1[:2]}/{sha1}"


def store_archive(folder, key, files, index=True, rows=(), addons=()):
    """Write an archive with its manifest beside it. ``files`` are (name, model,
    record, content); with a content of None the file was missing."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = ArchiveWriter.create(folder / key)
    writer.add_bytes("dump.sql", b"-- PostgreSQL database dump\n")
    if index:
        writer.add_bytes(
            "attachments.jsonl", b"".join(_line(n, *f) for n, f in enumerate(files))
        )
    contents = {content for _name, _model, _record, content in files if content}
    for content in sorted(contents, key=store_fname):
        writer.add_bytes(f"filestore/{store_fname(content)}", content)
    ours = {
        "snapshot_at": "2026-10-12T02:00:00+00:00",
        "rows": dict(rows),
        "addons": list(addons),
    }
    ours["filestore"] = {
        "files": len(contents),
        "bytes": 5,
        "missing": 1,
        "missing_names": [],
    }
    facts = {"db_name": "shop", "version": "19.0", "modules": {"base": "19.0.1.3"}}
    content = manifest.build(facts, ours)
    writer.add_bytes("manifest.json", manifest.encode(content))
    sealed = writer.close()
    sidecar = manifest.sidecar(content, key, sealed.size, sealed.sha256)
    (folder / sidecar_key(key)).write_bytes(sidecar)
    return sealed


def _line(number, name, model, record, content):
    values = {
        "id": number,
        "name": name,
        "res_model": model,
        "res_field": None,
        "res_id": record,
        "store_fname": store_fname(content or b"gone"),
        "file_size": len(content or b""),
        "mimetype": "text/plain",
    }
    return (
        json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    )
