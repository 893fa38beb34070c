"""What waits for a backup: a change of modules that goes on when it is done."""

from odoo.exceptions import UserError


def let_wait_for(job, operation, names):
    """Let an operation on modules wait for a backup, beside what waits already.

    Raise UserError when that is another operation: only one can be gone on with.
    """
    job.ensure_one()
    if job.then_operation and job.then_operation != operation:
        raise UserError(
            job.env._(
                "%(run)s has not begun, and another change waits for it already: "
                "the module %(names)s. Open that backup, go on with its change "
                "when it is done, and then ask for this one again.",
                run=job.name,
                names=job.then_text,
            )
        )
    names = sorted({*(job.then_modules or ()), *names})
    job._persist(job, {"then_operation": operation, "then_modules": names})


def hand_over(job, other):
    """Let what waits for a backup wait for ``other``, which takes its place."""
    if job.then_operation and other.then_operation in (False, job.then_operation):
        let_wait_for(other, job.then_operation, job.then_modules)
        job._persist(job, {"then_operation": False})
