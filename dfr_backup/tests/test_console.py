"""The command line: what it hands to Odoo."""

import argparse
import contextlib
import io
import json

from odoo.exceptions import UserError
from odoo.tests import TransactionCase, tagged
from odoo.tools import config

from .. import console, runner
from ..console.runs import _refuse
from ..engine.errors.runs import SwitchedOff
from ..models.engine_messages import translate_engine_errors

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

    def test_a_refusal_has_its_code_and_its_remedy_once(self):
        with self.assertRaises(UserError) as caught, translate_engine_errors(self.env):
            raise SwitchedOff()
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            _refuse(caught.exception, "any", argparse.Namespace(json=True))
        told = json.loads(output.getvalue())
        self.assertEqual(told["error_code"], SwitchedOff.code)
        self.assertTrue(told["hint"])
        self.assertNotIn(SwitchedOff.code, told["error"])
        self.assertNotIn(told["hint"], told["error"])
