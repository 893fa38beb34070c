"""The page to print for the day on which the server is gone."""

import socket

from odoo import fields, release

from ... import odoo_config
from ...engine.encryption.files import fingerprint
from ...engine.errors import EngineError
from ..engine_messages import size_in_words
from .copies import stored
from .recovery_commands import Recipe

KIT_SCOPE = "dfr_backup.recovery_kit"
KIT_SECONDS = 24 * 3600  # for which a page with the button may stay open
NEWEST = 3  # backups of each storage that are named
DEFAULT_CONF = "/etc/odoo/odoo.conf"
NO_KEY = "BACKUP.zip"
# what a form of a kind may have besides, and a person wants to know of its address
SHOWN_BESIDE = ("preset", "fingerprint")


def page_values(plan):
    """Return the values of the page."""
    plan.ensure_one()
    newest = {storage: stored(plan, storage)[:NEWEST] for storage in plan.storage_ids}
    incremental = plan.incremental or any(
        copy.incremental for copies in newest.values() for copy in copies
    )
    recipe = Recipe(
        database=plan.env.cr.dbname,
        conf=odoo_config.conf_file() or DEFAULT_CONF,
        data_dir=odoo_config.data_dir(),
        encryption=plan.encryption,
        incremental=incremental,
        has_files=plan.include_filestore,
        has_addons=plan.include_addons,
    )
    return {
        **_sentences(plan),
        "plan": plan,
        "incremental": incremental,
        "lang": (plan.env.lang or "en").partition("_")[0],
        "keys": [(key, fingerprint(key)) for key in plan._recipients()],
        "needs": _needs(plan),
        "storages": [
            _storage_values(plan, storage, copies, recipe)
            for storage, copies in newest.items()
        ],
        "blocks": recipe.blocks(),
    }


def _sentences(plan):
    """Return the sentences of the page that have something put into them."""
    return {
        "title": plan.env._("Recovery kit of “%s”", plan.name),
        "about": plan.env._(
            "Database %(database)s on the server %(server)s, written on %(moment)s "
            "UTC. This page contains no secrets. Keep it where you find it when the "
            "server is gone, together with what it asks for.",
            database=plan.env.cr.dbname,
            server=socket.gethostname(),
            moment=fields.Datetime.now(),
        ),
    }


def _storage_values(plan, storage, copies, recipe):
    """Return what the page says of one storage: where it is, what it holds, and the
    lines that lead there."""
    kinds = dict(storage._fields["provider"]._description_selection(plan.env))
    return {
        "name": storage.name,
        "kind": kinds[storage.provider],
        "where": storage._where(),
        "settings": _settings(storage),
        "newest": [
            # as the names of the backups, whoever reads it wherever
            (
                f"{copy.date:%Y-%m-%d %H:%M} UTC",
                size_in_words(plan.env, copy.size),
                copy.key,
            )
            for copy in copies
        ],
        "reach": _reach(storage, copies, recipe),
    }


def _settings(storage):
    try:
        return _described(storage)
    except EngineError:
        return []  # where it is, says what is wrong


def _described(storage):
    """Return what a person has to know to find a storage, but for what is secret: what
    each setting is called, and its value. Raise EngineError when the operator's values
    may not be used."""
    kind = storage._kind()
    beside = [name for name in map(kind.field, SHOWN_BESIDE) if name in storage._fields]
    names = [*kind.fields("host", "folder", "more"), *beside]
    values = {name: _shown(storage, name) for name in names}
    labels = storage.fields_get(names, ["string"])
    return [(labels[name]["string"], text) for name, text in values.items() if text]


def _shown(storage, name):
    field, value = storage._fields[name], storage._at(name)
    if field.type == "selection":
        value = dict(field._description_selection(storage.env)).get(value, value)
    return str(value or "")


def _reach(storage, copies, recipe):
    try:
        return recipe.reach(storage._prepare_storage(), copies[:1].key or NO_KEY)
    except EngineError:
        return ""


def _needs(plan):
    """Return what a restore needs beside the storages, and where it is."""
    env = plan.env
    return [
        (
            env._("A machine"),
            env._(
                "Linux with Odoo %(odoo)s, and PostgreSQL %(postgres)s or newer with "
                "its client programs.",
                odoo=release.major_version,
                postgres=env.cr.connection.server_version // 10000,
            ),
        ),
        (env._("The addon dfr_backup"), _addon_in_words(plan)),
        (
            env._("Credentials of a storage"),
            env._("They are not on this page: in your password manager."),
        ),
        (env._("Custom addons"), _addons_in_words(plan)),
        (
            env._("odoo.conf"),
            env._(
                "%(path)s on the old server. It is in no backup: keep a copy.",
                path=odoo_config.conf_file() or DEFAULT_CONF,
            ),
        ),
        (env._("The key of stored passwords"), _secret_key_in_words(env)),
    ]


def _addon_in_words(plan):
    text = plan.env._(
        "Version %(version)s, in addons_path, and in Odoo's Python the package boto3 "
        "for S3, or paramiko for SFTP. The first way below needs them; the addon need "
        "not be installed in a database.",
        version=odoo_config.CODE_VERSION,
    )
    if plan.include_addons:
        text += " " + plan.env._("Each backup has the addon, in addons/dfr_backup.")
    return text


def _addons_in_words(plan):
    names = ", ".join(addon.name for addon in odoo_config.custom_addons(plan.env))
    if plan.include_addons:
        return plan.env._("In each backup: %s", names)
    return plan.env._("Not in these backups. From your repository: %s", names)


def _secret_key_in_words(env):
    path = odoo_config.secret_key_file()
    if path is None:
        return env._(
            "dfr_backup_key, in odoo.conf or in the environment of Odoo. Without it, "
            "you enter the passwords of the storages again."
        )
    return env._(
        "%(path)s on the old server, into the same place on the new one. It is in no "
        "backup: keep a copy, with mode 600. Without it, you enter the passwords of "
        "the storages again.",
        path=path,
    )
