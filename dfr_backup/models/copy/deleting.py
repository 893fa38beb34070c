"""A stored archive, deleted: only what is ours."""

from odoo.exceptions import UserError

from ...engine.catalog.facts import owner_of
from ...engine.catalog.scan import read_sidecar
from ...engine.errors.storage import CopyMissing, ForeignBackup, NotOurs
from ...engine.manifest.names import sidecar_key
from ..actions import notification


def delete_stored(copy, progress):
    """Delete the archive of a copy: first the manifest, without which it is no backup.

    Raise PermanentError when what the storage holds under this name is of another
    database, and what the storage raises.
    """
    copy.ensure_one()
    copy.env["backup.identity"]._require_may_delete(copy.storage_id)
    storage = copy.storage_id._get_own_storage()
    _require_own(copy, copy._owner(), copy.database)
    with storage.reporting_to(progress):
        _delete_in(storage, copy)


def tell_undeleted(copies, failures):
    """Say which of these are still there; what was deleted meanwhile stays noted as
    deleted."""
    text = "\n".join(failures)
    if len(failures) == len(copies):
        # the engine's text: pylint: disable-next=translation-required
        raise UserError(text)
    return notification(copies.env._("Not all were deleted"), text, "danger")


def _delete_in(storage, copy):
    manifest = sidecar_key(copy.key)
    if storage.stat(manifest) is not None:
        sidecar = read_sidecar(storage, manifest)
        _require_own(copy, owner_of(sidecar), sidecar.database)
        storage.delete(manifest)
    elif copy.state == "unknown" and storage.stat(copy.key) is None:
        # nobody has seen it since the storage leads elsewhere
        copy.env["backup.job"]._persist(copy, {"state": "missing"})
        raise CopyMissing(key=copy.key, remedy=CopyMissing.remedy_scan)
    storage.delete(copy.key)


def _require_own(copy, owner, database):
    if copy.origin == "odoo":
        raise NotOurs(key=copy.key)
    if not copy.storage_id._owns(*owner):
        raise ForeignBackup(key=copy.key, database=database)


def note_fates(copies):
    """Note in each of these copies until when it stays, and why."""
    for (plan, storage), some in copies.grouped(
        lambda copy: (copy.plan_id, copy.storage_id)
    ).items():
        found = plan.sudo()._fates(storage.sudo()) if plan else {}
        for copy in some:
            copy.expires_at, copy.kept_because = found.get(copy.id, (False, False))
