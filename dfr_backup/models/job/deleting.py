"""Runs that leave the history: which ones may, and what goes with them."""

from odoo.exceptions import UserError

from ..states import OPEN_STATES


def delete_with_files(jobs):
    """Delete what belongs to these runs, which are about to be deleted: their copies in
    the catalogue, and their files. Raise UserError when they have to stay."""
    env = jobs.env
    if jobs.filtered(lambda job: job.state in OPEN_STATES):
        raise UserError(env._("A run that is waiting or running cannot be deleted."))
    copies = jobs.copy_ids.filtered(_is_meaningful)
    if copies:
        raise UserError(
            env._(
                "These runs still have %(count)s copies, for example %(name)s. "
                "Deleting the history would hide them. Delete the copies first.",
                count=len(copies),
                name=copies[0].key,
            )
        )
    jobs.copy_ids.sudo().unlink()
    for job in jobs:
        # a run that failed may be what somebody would rather not have seen
        told = ", ".join(filter(None, [job.kind, job.state, job.error_code]))
        env["backup.audit"]._note("removed", job, told)
        job._run().remove_files()


def _is_meaningful(copy):
    """Tell whether a storage may still hold a copy, or a look at it would bring it back
    without its protection."""
    gone = copy.state in ("deleted", "missing")
    return not gone or (copy.protected and copy.state != "deleted")
