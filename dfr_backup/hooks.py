"""What happens once, when the addon is installed."""

from odoo.exceptions import UserError


def pre_init_hook(env):
    """Refuse to install beside an addon that already has a model of one of our
    names."""
    env.cr.execute(
        "SELECT m.model, d.module FROM ir_model m JOIN ir_model_data d"
        " ON d.model = 'ir.model' AND d.res_id = m.id WHERE m.model = ANY(%s)"
        " AND d.module <> 'dfr_backup' ORDER BY 2, 1",
        [["backup.plan", "backup.storage", "backup.job", "backup.step", "backup.copy"]],
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
