"""The command line: what it hands to Odoo."""

import argparse

from odoo.tests import TransactionCase, tagged
from odoo.tools import config

from .. import console, runner

GIVEN = {
    "db_host": ("--db_host", "db.example"),
    "db_port": ("--db_port", 5433),
    "db_user": ("-r", "backup"),
    "db_password": ("-w", "-secret word"),
    "db_sslmode": ("--db_sslmode", "require"),
    "pg_path": ("--pg_path", "/usr/lib/postgresql/17/bin"),
}
COMMANDS = {
    "run": [],
    "list": [],
    "verify": ["backup.zip"],
    "restore": ["backup.zip", "--to", "new"],
    "drill": [],
    "doctor": [],
    "open": ["/srv/backups"],
    "moved": [],
}


@tagged("post_install", "-at_install")
class TestConsole(TransactionCase):
    def setUp(self):
        super().setUp()
        for layer in (config._cli_options, config._runtime_options):
            before = dict(layer)
            self.addCleanup(layer.update, before)
            self.addCleanup(layer.clear)

    def _options(self, *words):
        parser = argparse.ArgumentParser()
        console._add_commands(parser)
        return parser.parse_args(words)

    def test_every_command_takes_the_options_of_the_connection(self):
        words = [
            f"{option}={value}" if option.startswith("--") else f"{option}{value}"
            for option, value in GIVEN.values()
        ]
        for command, needed in COMMANDS.items():
            with self.subTest(command):
                arguments = console._odoo_options(
                    self._options(command, *needed, *words)
                )
                options, _left = config.parser.parse_args(arguments)
                for name, (_option, value) in GIVEN.items():
                    self.assertEqual(str(getattr(options, name)), str(value))

    def test_a_runner_gets_them_by_its_environment(self):
        config._cli_options.update(
            {name: value for name, (_option, value) in GIVEN.items()}
        )
        env = runner.child_environment("test")
        for name, (_option, value) in GIVEN.items():
            variable = config.options_index[name].env_name
            self.assertEqual(env[variable], str(value), name)
