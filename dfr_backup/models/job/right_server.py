"""Whether this server may take the runs of a database: it must have the attachment
files. ``engine/ownership/right_server.py`` decides."""

from ... import odoo_config
from ...engine.ownership.right_server import newest_files
from ...runs.registry import KINDS


def other_server(env):
    """Return why the runs of this database are another server's, an EngineError; None
    when they are this one's."""

    def ask():
        # what is named now, not when ours began
        with env.registry.cursor(readonly=env.cr.readonly) as cr:
            return newest_files(cr)

    return odoo_config.other_server(env.cr.dbname, ask)


def taken_here(other):
    """Return the domain of the runs that this server may take, given what
    ``other_server`` returns."""
    if not other:
        return []
    always, asked = (
        [kind for kind, run in KINDS.items() if run.is_of_any_server(trigger)]
        for trigger in ("schedule", "manual")
    )
    return [
        "|",
        ("kind", "in", always),
        "&",
        ("kind", "in", asked),
        ("trigger", "!=", "schedule"),
    ]


def is_left(job):
    """Return why a run is left to another server, None when it is not."""
    return None if job._run().is_of_any_server(job.trigger) else other_server(job.env)
