"""The page to print for the day on which the server is gone."""

from markupsafe import Markup

from odoo import fields, release

from ...engine.encryption.files import fingerprint
from .copies import stored

KIT_SCOPE = "dfr_backup.recovery_kit"
KIT_SECONDS = 24 * 3600  # for which a page with the button may stay open


def page_values(plan):
    """Return the values of the page."""
    plan.ensure_one()
    newest = {storage: stored(plan, storage)[:1] for storage in plan.storage_ids}
    kinds = dict(plan.storage_ids._fields["provider"]._description_selection(plan.env))
    encrypted = plan.encryption != "none"
    return {
        **_sentences(plan, encrypted),
        "plan": plan,
        "incremental": plan.incremental or _has_incremental(newest),
        "lang": (plan.env.lang or "en").partition("_")[0],
        "keys": [(key, fingerprint(key)) for key in plan._recipients()],
        "storages": [
            (
                storage.name,
                kinds[storage.provider],
                storage._where(),
                newest[storage].key or "",
            )
            for storage in newest
        ],
    }


def _has_incremental(newest):
    return any(copy.incremental for copy in newest.values())


def _sentences(plan, encrypted):
    """Return the sentences of the page that have something put into them."""
    name = Markup("<code>DATABASE-TIME-ID.zip%s</code>") % (".age" if encrypted else "")
    return {
        "title": plan.env._("Recovery kit of “%s”", plan.name),
        "about": plan.env._(
            "Database %(database)s, written on %(moment)s UTC. This page holds no "
            "secret. Keep it where you find it when the server is gone, and beside "
            "it what it asks for.",
            database=Markup("<strong>%s</strong>") % plan.env.cr.dbname,
            moment=fields.Datetime.now(),
        ),
        "files": plan.env._(
            "A backup is a file %(name)s and a %(sidecar)s of the same name beside "
            "it, which holds its size and SHA-256. Have the credentials of the "
            "storages at hand: they are not on this page.",
            name=name,
            sidecar=Markup("<code>.json</code>"),
        ),
        "restore": plan.env._("%s. Restore it", 4 if encrypted else 3),
        "place": plan.env._(
            "On a machine with Odoo %(version)s, PostgreSQL and the custom addons, "
            "which are in the folder %(folder)s of the archive:",
            version=release.major_version,
            folder=Markup("<code>addons</code>"),
        ),
    }
