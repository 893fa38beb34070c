"""The model of the sidecar: the manifest beside a stored archive, which makes it a
backup."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..identity import UNKNOWN, Identity
from ..messages import _
from ..untrusted import Unusable
from .model import INCREMENTAL, Manifest, MissingPart
from .names import PACK, shown_key, sidecar_key
from .pack_use import PackUse, uses_of
from .shape import SIDECAR_SHAPE, moment_of, require_sidecar
from .signature import Signature, signature_of

NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


@dataclass(frozen=True)
class Sidecar:
    """What a manifest says about its archive.

    It is what is listed by the thousand, so it keeps no count of rows and no version
    of a module.

    ``key``, ``size`` (bytes) and ``sha256`` (hexadecimal) are the archive as it was
    stored, ``taken_at`` (UTC) the moment of its data. ``modules`` is their number.
    ``database_uuid`` and ``plan`` are "" when there is none. ``encryption`` is "" or
    what an encrypted archive needs, "recipients" or "passphrase"; ``recipients`` are
    its public keys.

    ``imported_by`` is the database that has taken in an archive from elsewhere, by the
    run ``import_job``; ``made_by_odoo``: without any manifest of ours, so that nobody
    has counted its rows. ``module_names`` are those of the database, ``addons`` those
    that are in the archive. ``identity`` is who has made it, unknown in those from
    before release 19.0.1.1.0. ``content_digest`` is that of the manifest.
    ``file_size`` (bytes) and ``file_sha256`` are the manifest itself, as it is stored:
    0 and "" when it is not. ``sums_sha256`` is the SHA-256 of SHA256SUMS in the
    archive, "" without one. ``packs`` are what an incremental backup needs besides:
    None for a complete one, and where they were left out; ``pack_count`` is their
    number, and ``packed_bytes`` what it has in them.
    """

    key: str
    size: int
    sha256: str
    format: int
    taken_at: datetime
    database: str
    database_uuid: str
    odoo_version: str
    modules: int
    contents: tuple[str, ...]
    plan: str
    run: str
    job: str
    encrypted: bool
    encryption: str
    recipients: tuple[str, ...]
    missing: tuple[MissingPart, ...]
    imported_by: str = ""
    import_job: str = ""
    made_by_odoo: bool = False
    module_names: tuple[str, ...] = ()
    addons: tuple[str, ...] = ()
    content_digest: str = ""
    file_size: int = 0
    file_sha256: str = ""
    signature: Signature | None = None
    identity: Identity = UNKNOWN
    sums_sha256: str = ""
    packs: tuple[PackUse, ...] | None = None
    pack_count: int = 0
    packed_bytes: int = 0

    @classmethod
    def from_json(cls, data: Any, key: str) -> "Sidecar":
        """Return what the manifest that is stored under ``key`` says. Raise NewerFormat
        and Unusable, also when its archive is not the one beside it."""
        manifest = Manifest.from_json(data, shown_key(key), SIDECAR_SHAPE)
        require_sidecar(data)
        archive, taken_in = data["archive"], manifest.ours.get("import") or {}
        if sidecar_key(archive["key"]) != key:
            raise Unusable(_("it describes another archive than the one beside it"))
        if PACK.fullmatch(archive["key"]):
            raise Unusable(_("its archive has the name of a pack"))
        if isinstance(data.get("packs"), list) != manifest.is_incremental:
            raise Unusable(_("its format and its packs contradict each other"))
        packs = uses_of(data["packs"]) if manifest.is_incremental else None
        return cls(
            key=archive["key"],
            size=archive["size"],
            sha256=archive["sha256"],
            format=manifest.format,
            taken_at=moment_of(manifest.snapshot_at),
            database=manifest.database,
            database_uuid=manifest.database_uuid,
            odoo_version=manifest.odoo_version,
            modules=len(manifest.modules),
            contents=manifest.contents,
            plan=manifest.plan,
            run=manifest.run,
            job=manifest.job,
            encrypted=archive["key"].endswith(".age"),
            encryption=manifest.encryption.get("kind") or "",
            recipients=tuple(manifest.encryption.get("recipients") or ()),
            missing=manifest.missing,
            imported_by=taken_in.get("database_uuid") or "",
            import_job=taken_in.get("job") or "",
            made_by_odoo=bool(taken_in.get("made_by_odoo")),
            module_names=tuple(filter(NAME.fullmatch, manifest.modules)),
            addons=tuple(addon.name for addon in manifest.addons),
            content_digest=manifest.content_digest,
            signature=signature_of(data),
            identity=manifest.identity,
            sums_sha256=manifest.sums_sha256,
            packs=packs,
            pack_count=len(packs or ()),
            packed_bytes=manifest.packed.get("bytes") or 0,
        )

    @property
    def is_incremental(self) -> bool:
        return self.format >= INCREMENTAL

    @property
    def owner_uuid(self) -> str:
        """The database that may delete it."""
        return self.imported_by or self.database_uuid
