"""What happens once: when the addon is installed, and when it is uninstalled."""

import shutil

from odoo.exceptions import UserError

from . import odoo_config

MODELS = [
    "backup.plan",
    "backup.storage",
    "backup.job",
    "backup.step",
    "backup.backup",
    "backup.copy",
]


def pre_init_hook(env):
    """Refuse to install beside an addon that already has a model of one of our
    names."""
    env.cr.execute(
        "SELECT m.model, d.module FROM ir_model m JOIN ir_model_data d"
        " ON d.model = 'ir.model' AND d.res_id = m.id WHERE m.model = ANY(%s)"
        " AND d.module <> 'dfr_backup' ORDER BY 2, 1",
        [MODELS],
    )
    taken = env.cr.fetchall()
    if taken:
        model, module = taken[0]
        raise UserError(
            env._(
                "The addon “%(module)s” already has a model named “%(model)s”, and two "
                "addons cannot share it. Uninstall “%(module)s” first, then install "
                "this one. Its stored backup files stay where they are.",
                module=module,
                model=model,
            )
        )


def post_init_hook(env):
    """Leave one daily plan behind that works without any configuration."""
    env["backup.plan"]._create_default()
    env["backup.identity"]._remember()


def uninstall_hook(env):
    """Remove what Odoo would leave behind: parameters with their tokens, activities,
    filters, and the files of runs. Stored backups, the server's key and who owns which
    location stay: an addon that is installed again finds its backups with them."""
    models = [name for name in env if name.startswith("backup.")]
    params = env["ir.config_parameter"].sudo()
    params.search([("key", "=like", "dfr\\_backup.%")]).unlink()
    env["mail.activity"].sudo().search([("res_model", "in", models)]).unlink()
    filters = env["ir.filters"].sudo().with_context(active_test=False)
    filters.search([("model_id", "in", models)]).unlink()
    env.cr.execute("SELECT uuid FROM backup_job WHERE uuid IS NOT NULL")
    runs = [uuid for (uuid,) in env.cr.fetchall()]
    env.cr.postcommit.add(lambda: _remove_files(runs))


def _remove_files(runs):
    """Remove the work folders and logs of runs, once there is no way back."""
    for uuid in runs:
        shutil.rmtree(odoo_config.work_path(uuid), ignore_errors=True)
        odoo_config.log_path(uuid).unlink(missing_ok=True)
