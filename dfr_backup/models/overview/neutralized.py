"""What the overview shows in a neutralized copy: nothing there is to be mended."""

from .cards import open_runs

COMMAND = "odoo backup restore ADDRESS --to NAME --replace --same-identity"


def neutralized_page(env, manager):
    """Return the page of a neutralized copy, in the form of ``get_overview``."""
    text = env._(
        "Its plans and storages are archived. If it is to take the place of the "
        "original, restore the backup once more, on the server, without neutralizing "
        "it: “%(command)s”.",
        command=COMMAND,
    )
    return {
        "manager": manager,
        "setup": False,
        "verdict": {
            "state": "neutralized",
            "tone": "secondary",
            "title": env._("This is a restored copy: it does not back itself up"),
            "text": text,
            "good": False,
        },
        "restorable": False,
        "plans": [],
        "storages": [],
        "problems": [],
        "advice": [],
        "running": open_runs(env),
    }
