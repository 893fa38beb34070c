"""Which databases a command is about, when it is about several."""

import sys
import time
from datetime import datetime, timezone

from odoo.tools import config

from .. import odoo_config
from ..compat import named_databases
from ..engine.errors import EngineError
from ..engine.errors.server import NoSuchDatabase
from ..engine.status.databases import list_databases
from ..engine.status.look import ask_each, look_at
from ..engine.status.verdict import status_of_error, status_of_shut
from .report import passed_over, plain

WRONG_USAGE = 4
PATIENCE = 2.0  # seconds, after which a person wants to see something move


def chosen(options, application_name):
    """Return the databases that ``-d`` or ``--all`` stand for, without those of
    ``--exclude``. Raise ServerUnreachable, NoSuchDatabase."""
    server = odoo_config.connection("postgres", application_name)
    hidden = {"postgres", config["db_template"]}
    # as Odoo's own list does: with a filter, the names are those of the server
    named = [] if options.all and config["dbfilter"] else named_databases()
    listed = list_databases(server, named, hidden)
    known = {one.name for one in listed}
    for name in options.exclude:
        if name not in known:
            raise NoSuchDatabase(database=name)
    return [one for one in listed if one.name not in options.exclude]


def ask(listed, options, question):
    """Return what each of these databases answers, by their names: ``question`` takes
    one, and runs in a thread. On a terminal one sees how far it is."""
    counter, found = Counter(len(listed), options), {}

    def asked(one):
        return one.name, question(one)

    for name, answer in ask_each(listed, asked, counter.tick):
        found[name] = answer
        counter.advance()
    counter.end()
    return dict(sorted(found.items()))


def each(options, application_name, work):
    """Return what ``work`` returns for the name of each database that a command is
    about, by these names. It runs in a thread; what it raises is told of that
    database."""

    def question(one):
        if one.shut:
            return passed_over(status_of_shut(one))
        try:
            return work(one.name)
        except EngineError as error:
            return passed_over(status_of_error(one.name, error))

    listed = chosen(options, application_name)
    return list(ask(listed, options, question).values())


def exists(database, application_name):
    """Tell whether PostgreSQL still has such a database, or cannot be asked."""
    server = odoo_config.connection("postgres", application_name)
    try:
        (one,) = list_databases(server, [database], ())
    except EngineError:
        return True
    return one.shut != "missing"


def looked(options, application_name):
    """Return the status of the databases that a command is about, by their names."""
    enabled, code = odoo_config.is_enabled(), odoo_config.CODE_VERSION

    def connect(name):
        return odoo_config.connection(name, application_name)

    def look(one):
        return look_at(one, connect, code, enabled, now)

    listed = chosen(options, application_name)
    return list(ask(listed, options, look).values())


def now():
    return datetime.now(timezone.utc)


def are_several(options):
    """Tell whether a command that may be about one database is about several."""
    return options.all or "," in (options.database or "")


def naming(command):
    """Let a command be called only when the command line, or odoo.conf, says which
    databases it is about."""

    def call(options):
        if options.all or named_databases():
            return command(options)
        print("Name a database: -d DATABASE, or all: --all", file=sys.stderr)
        return WRONG_USAGE

    return call


class Counter:
    """A line on a terminal that shows how far a command is, once it takes long."""

    def __init__(self, total, options):
        self._total, self._done, self._doing = total, 0, ""
        self._shown = not options.json and sys.stderr.isatty()
        self._since = time.monotonic()

    def advance(self, name=""):
        """Tell that one more is done, or which one is begun."""
        self._done += not name
        self._doing = name
        self.tick()

    def tick(self):
        if self._shown and time.monotonic() - self._since > PATIENCE:
            line = f"{self._done} of {self._total} databases  {plain(self._doing)}"
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def end(self):
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
