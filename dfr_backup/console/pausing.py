"""Scheduled runs are held up for a while, and started again."""

import argparse
import getpass
import math
import os
import socket
from datetime import timedelta

from .. import odoo_config
from ..engine.status import pausing
from ..engine.status.pause import Pause
from . import several
from .archives import explained
from .report import Row, told

APPLICATION = "dfr_backup pause"
GOES_ON = {
    "running": "goes on",
    "interrupted": "is interrupted, and is resumed all the same",
    "pending": "waits, and begins all the same",
}


def hours(text):
    """Return the hours that somebody has typed."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("has to be a number above 0")
    return timedelta(hours=number)


@several.naming
@explained
def pause(options):
    """Let these databases start no scheduled run until somebody resumes them."""
    since = several.now().replace(microsecond=0)
    until = since + options.hours if options.hours else None
    wanted = Pause(since, _who(), options.reason or "", until)

    def work(name):
        connection = odoo_config.connection(name, APPLICATION)
        change = pausing.pause(connection, odoo_config.CODE_VERSION, wanted)
        runs = [
            f"{run.name} ({run.kind}) {GOES_ON[run.state]}" for run in change.open_runs
        ]
        return Row(
            name,
            "paused",
            notes=(*_before(change), *runs),
            facts={"open": [run.name for run in change.open_runs]},
        )

    return told(several.each(options, APPLICATION, work), options)


@several.naming
@explained
def resume(options):
    """Let these databases start scheduled runs again."""

    def work(name):
        connection = odoo_config.connection(name, APPLICATION)
        change = pausing.resume(connection, odoo_config.CODE_VERSION, several.now())
        state = "resumed" if change.before else "not_paused"
        return Row(name, state, notes=_before(change))

    return told(several.each(options, APPLICATION, work), options)


def _before(change):
    before = change.before
    if not before:
        return ()
    why = f": {before.reason}" if before.reason else ""
    return (f"was paused since {before.since:%Y-%m-%d %H:%M} UTC by {before.by}{why}",)


def _who():
    """Return whoever has typed the command, as far as the system knows."""
    user = os.environ.get("SUDO_USER") or getpass.getuser()
    return f"{user}@{socket.gethostname()}"
