"""A stored backup on its way to a browser: its archive, or one complete zip."""

import logging

from odoo.exceptions import UserError

from ...engine.catalog.catalogued import require_catalogued
from ...engine.errors.archive import NoManifestBeside
from ...engine.errors.fetch import KeyNeeded
from ...engine.packs.complete import CompleteZip
from ...engine.packs.reading import open_backup
from ..engine_messages import translate_engine_errors
from ..grants import grant
from .opening import identities_of
from .states import PRESENT_STATES

_logger = logging.getLogger(__name__)
# for which an address can be used: an interrupted download goes on
SECONDS = 3600
SCOPE = "dfr_backup.download"


def download(copy, complete=False):
    """Return the action that opens the address of a download: of the stored archive, or
    of one ``complete`` zip in the clear. Raise UserError."""
    if copy.state not in PRESENT_STATES:
        raise UserError(
            copy.env._("This backup is not available and cannot be downloaded.")
        )
    stored = copy.sudo()
    with translate_engine_errors(copy.env):
        target = stored._get_checked_storage()
        if complete:
            url = None
            if stored.encrypted and not identities_of(stored):
                raise KeyNeeded(remedy=KeyNeeded.remedy_export)
        else:
            # what the storage cannot prove goes through here, and is compared
            sha256 = stored.sha256 or ""
            url = target.download_url(copy.key, copy.key, SECONDS, sha256)
    copy.env["backup.audit"]._note("download", copy, stored.storage_id.name)
    _logger.info(
        "User %s downloads %s from %s", copy.env.uid, copy.key, stored.storage_id.name
    )
    return {
        "type": "ir.actions.act_url",
        "url": url or download_path(copy, complete),
        "target": "self" if url else "download",
    }


def download_path(copy, complete=False):
    """Return the address of our own download, for this user and for some minutes
    only."""
    token = grant(copy, SCOPE, SECONDS)
    return f"/dfr_backup/download/{copy.id}/{token}" + "?complete=1" * complete


def complete_zip(copy):
    """Return the backup as one complete zip, made while it is sent. Raise
    EngineError."""
    storage = copy.storage_id._get_storage()
    sidecar = require_catalogued(storage, copy.key, copy._catalogued())
    if sidecar is None:
        raise NoManifestBeside
    return CompleteZip(open_backup(storage, sidecar, identities_of(copy)))
