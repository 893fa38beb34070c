"""What deleting copies frees in a storage where backups share their attachments."""

from markupsafe import Markup

from ... import odoo_config
from ...engine.packs.freeing import freed, remembered
from ..engine_messages import size_in_words


def freed_in_words(storage, going):
    """Return what the deletion of these copies frees, as HTML; nothing in a storage
    without incremental backups, where each frees what it has. No storage is asked."""
    env, index = storage.env, odoo_config.packs_path(storage.place_id or "")
    known = {copy: remembered(index, copy.key) for copy in _sharing(storage)}
    if not known:
        return Markup()
    unknown = sum(uses is None for uses in known.values())
    if unknown:
        text = env._(
            "How much space is freed is not known for %s backups: scan the storage.",
            unknown,
        )
        return Markup("<p class='text-muted'>%s</p>") % text
    found = freed(
        index,
        [uses for copy, uses in known.items() if copy in going],
        [uses for copy, uses in known.items() if copy not in going],
    )
    text = env._(
        "Freed by the next prunes: %(pruned)s in packs that no backup needs any more. "
        "Freed only after rewriting: %(rewritten)s in packs that stay because part of "
        "them is needed.",
        pruned=size_in_words(env, found.pruned + int(storage.unneeded_size)),
        rewritten=size_in_words(env, found.rewritten),
    )
    return Markup("<p data-pruned='%s' data-rewritten='%s'>%s</p>") % (
        found.pruned + int(storage.unneeded_size),
        found.rewritten,
        text,
    )


def _sharing(storage):
    """Return the copies in a storage that need packs, whatever plan has made them."""
    here = [("storage_id", "=", storage.id), ("incremental", "=", True)]
    there = [("state", "not in", ("deleted", "missing"))]
    return storage.env["backup.copy"].sudo().search([*here, *there])
