"""A storage's form as a page of the guided set-up, which the context names."""

from odoo.exceptions import UserError

from ..actions import form_action
from ..audited import used_storages


def begin(kind):
    """Show the form of a storage of this kind: one that somebody began with, or a new
    one."""
    _setup(kind.env)
    begun = kind._begun_storage()
    return show(begun, begun.name or kind.name, **kind._defaults())


def use(storage):
    """Try a storage, and go on with the set-up when it works."""
    _setup(storage.env)
    if storage._must_answer() or storage._test()[0]:
        return show(storage, storage.name)
    if storage._is_near() or storage.id in used_storages(storage.env):
        return join(storage)
    return storage._send_backups_to()


def join(storage):
    """Let the plan of the set-up store into a storage; return the set-up."""
    setup = _setup(storage.env)
    setup.plan_id.storage_ids |= storage
    return setup._show()


def stay(storage, result):
    """Return the page again inside of the set-up, elsewhere the ``result`` of a
    button."""
    inside = storage.env.context.get("backup_setup")
    return show(storage, storage.name) if inside else result


def show(storage, title, **context):
    """Show this storage, or a new one, as a page of the set-up."""
    env = storage.env
    form = env.ref("dfr_backup.backup_storage_view_form_setup")
    context = {"backup_setup": env.context.get("backup_setup"), **context}
    name = env._("Set Up Backups: %s", title)
    return form_action(storage, name, dialog=True, view=form, **context)


def _setup(env):
    setup = env["backup.setup"].browse(env.context.get("backup_setup")).exists()
    if not setup:
        raise UserError(env._("The set-up was left open for too long. Open it again."))
    return setup
