"""What happens once: when the addon is installed, and when it is uninstalled."""

import shutil

from odoo.exceptions import UserError

from . import odoo_config
from .models.plan.beginning import create_default
from .models.server_profile import require_usable

MODELS = [
    "backup.plan",
    "backup.storage",
    "backup.job",
    "backup.step",
    "backup.backup",
    "backup.copy",
    "backup.server",
    "backup.staging",
]


def pre_init_hook(env):
    """Refuse to install beside an addon that already has a model of one of our
    names, and where the profile of the server cannot be used."""
    env.cr.execute(
        "SELECT m.model, d.module FROM ir_model m JOIN ir_model_data d"
        " ON d.model = 'ir.model' AND d.res_id = m.id WHERE m.model = ANY(%s)"
        " AND d.module <> 'dfr_backup' ORDER BY 2, 1",
        [MODELS],
    )
    taken = env.cr.fetchall()
    if not taken:
        require_usable(env)
    else:
        model, module = taken[0]
        raise UserError(
            env._(
                "The addon “%(module)s” already has a model named “%(model)s”, and "
                "two addons cannot share it. Uninstall “%(module)s” first, then "
                "install this one. Its backup files stay where they are.",
                module=module,
                model=model,
            )
        )


def post_init_hook(env):
    """Leave one daily plan behind that works without any configuration."""
    create_default(env["backup.plan"])
    env["backup.identity"]._remember()


def uninstall_hook(env):
    """Remove what Odoo would leave behind: parameters with their tokens, activities,
    filters, and the files of runs. Stored backups, the server's key and who owns which
    location stay: an addon that is installed again finds its backups with them."""
    folders, logs = _own_files(env)  # first: the parameters say who we are
    own = [n for n, m in env.registry.items() if m._original_module == "dfr_backup"]
    params = env["ir.config_parameter"].sudo()
    params.search([("key", "=like", "dfr\\_backup.%")]).unlink()
    env["mail.activity"].sudo().search([("res_model", "in", own)]).unlink()
    filters = env["ir.filters"].sudo().with_context(active_test=False)
    filters.search([("model_id", "in", own)]).unlink()
    env.cr.postcommit.add(lambda: _remove_files(folders, logs))


def _own_files(env):
    """Return (folders, logs) of the runs and uploads of this database. Runs that came
    with a copy of another database are that one's."""
    is_own = env["backup.identity"]._is_own
    owned = env["backup.job"].sudo().search([]).grouped(_owner)
    runs = [run.uuid for owner, own in owned.items() if is_own(*owner) for run in own]
    uploads = [wizard._folder() for wizard in _imports(env)]
    work = [odoo_config.work_path(uuid) for uuid in runs]
    return work + uploads, [odoo_config.log_path(uuid) for uuid in runs]


def _owner(run):
    return run.database_uuid, run.identity


def _imports(env):
    return env["backup.import.wizard"].sudo().search([])


def _remove_files(folders, logs):
    """Remove the work folders and logs of runs, once there is no way back."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for log in logs:
        log.unlink(missing_ok=True)
