"""What only the server's operator decides: which database may use which location."""

import json
import os

from ..engine.errors import EngineError
from ..engine.errors.places import NoSuchLocation
from .archives import fail
from .runs import environment


def open_location(database, options):
    """Let a database use a location of its storages that it was refused."""
    try:
        with environment(database) as env:
            storages = _at(env, options.location)
            if not storages:
                raise NoSuchLocation(database=database, location=options.location)
            for storage in storages:
                storage._let_in()
            names = storages.mapped("name")
    except EngineError as error:
        return fail(error, options)
    if options.json:
        print(json.dumps({"state": "success", "storages": names}, indent=2))
    for name in [] if options.json else names:
        print(f"“{database}” may use {options.location} now, as its storage “{name}”.")
    return 0


def _at(env, location):
    storages = env["backup.storage"].with_context(active_test=False).search([])
    return storages.filtered(lambda storage: _same(storage._where(), location))


def _same(where, location):
    if where.startswith("/"):
        return os.path.realpath(where) == os.path.realpath(location)
    return where.rstrip("/") == location.rstrip("/")
