"""What the catalogue notes of a backup: one mapping, whoever has found it."""

from typing import Any

from ..manifest.sidecar import Sidecar


def catalogue_facts(sidecar: Sidecar) -> dict[str, Any]:
    """Return what a manifest says about its backup, by the names of the catalogue's
    fields. The moment is in UTC and to the second, as a database keeps it; None where
    the manifest says nothing."""
    return {
        "date": sidecar.taken_at.replace(tzinfo=None, microsecond=0),
        "size": sidecar.size,
        "sha256": sidecar.sha256 or None,
        "manifest_size": sidecar.file_size,
        "manifest_sha256": sidecar.file_sha256 or None,
        "contents": ", ".join(sidecar.contents),
        "complete": not sidecar.missing,
        "encrypted": sidecar.encrypted,
        "database": sidecar.database,
        "database_uuid": sidecar.database_uuid,
        "identity": identity_key(sidecar) or None,
        "odoo_version": sidecar.odoo_version,
        "imported_by": sidecar.imported_by or None,
        "origin": _origin(sidecar),
        "incremental": sidecar.is_incremental,
        "packs": sidecar.pack_count,
        "packed_size": sidecar.packed_bytes,
    }


def identity_key(sidecar: Sidecar) -> str:
    """Return the key of the identity that a manifest names, "" for none: also for one
    that speaks of another database than the manifest does."""
    found = sidecar.identity
    known = found.is_complete and found.uuid == sidecar.database_uuid
    return found.key if known else ""


def owner_of(sidecar: Sidecar) -> tuple[str, str]:
    """Return the uuid and the identity of the database that may delete a backup."""
    if sidecar.imported_by:
        return sidecar.imported_by, ""
    return sidecar.database_uuid, identity_key(sidecar)


def _origin(sidecar: Sidecar) -> str:
    if sidecar.imported_by:
        return "import"
    return "run" if sidecar.sha256 else "odoo"
