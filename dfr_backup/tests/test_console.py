"""The command line: what it hands to Odoo."""

import argparse
import contextlib
import errno
import io
import json
import os
import tempfile
from pathlib import Path
from unittest.mock import patch

from odoo.exceptions import UserError
from odoo.tests import TransactionCase, tagged
from odoo.tools import config

from .. import console, odoo_config, runner
from ..console import archives, doctor, report, rescue, runs
from ..console.runs import _refuse
from ..engine.errors import EngineError
from ..engine.errors.command_line import DataFolderUnusable
from ..engine.errors.runs import SlotsUnusable, SwitchedOff
from ..engine.errors.server import NothingStored
from ..engine.fileio.work_folder import work_folder
from ..engine.profile.model import StorageSection
from ..engine.storages.registry import kind_of
from ..models.engine_messages import translate_engine_errors

NOBODY = 65534
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
    "export": ["backup.json", "--to", "full.zip"],
    "drill": [],
    "doctor": [],
    "open": ["/srv/backups"],
    "moved": [],
    "enable": [],
    "pause": [],
    "resume": [],
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

    def test_what_the_entry_point_appends_is_understood_everywhere(self):
        """Also where no command is named, and where Odoo starts itself."""
        appended = []
        for name in ("db_host", "db_port", "db_user", "db_password"):
            appended += [f"--{name}", str(GIVEN[name][1]).lstrip("-")]
        options = self._options("runner", "--job", "1", *appended)
        self.assertEqual(options.db_host, GIVEN["db_host"][1])
        for words, status in ((["--help"], 0), ([], console.WRONG_USAGE)):
            said = io.StringIO()
            parser = argparse.ArgumentParser()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                self.assertEqual(console.main(parser, [*words, *appended]), status)
            self.assertEqual("--db_password" in said.getvalue(), not status)
            for _option, value in (GIVEN[name] for name in ("db_host", "db_password")):
                self.assertNotIn(value.lstrip("-"), said.getvalue())

    def test_a_runner_gets_them_by_its_environment(self):
        config._cli_options.update(
            {name: value for name, (_option, value) in GIVEN.items()}
        )
        env = runner.child_environment("test")
        for name, (_option, value) in GIVEN.items():
            variable = config.options_index[name].env_name
            self.assertEqual(env[variable], str(value), name)

    def end_of_restore(self, former=None):
        """Return what a restore prints in the end."""
        published = argparse.Namespace(previous=former)
        facts = argparse.Namespace(
            taken_at="2026-11-29T20:18:54.276600+01:00", modules=()
        )
        restored = archives.Restored(facts, published, [], 7.0, "", False)
        options = argparse.Namespace(to="its copy", json=False, addons=None)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            archives._tell(options, restored)
        return out.getvalue()

    def test_a_restore_says_of_when_the_data_is_and_how_to_open_it(self):
        told = self.end_of_restore()
        self.assertIn("2026-11-29 19:18 UTC", told)
        self.assertNotIn("276600", told)
        self.assertIn("odoo -d 'its copy'", told)
        self.assertIn("dbfilter", told)
        former = argparse.Namespace(database="former", filestore="/former")
        replaced = self.end_of_restore(former)
        self.assertNotIn("dbfilter", replaced, "what served it serves it again")

    def test_doctor_speaks_in_words_and_in_the_units_of_the_rest(self):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            with patch.object(odoo_config, "data_root", lambda: data):
                free, key = doctor._space(None), doctor._key(None)
        self.assertNotIn("MiB", free, "a disk of today")
        self.assertNotIn("SecretBox", key)

    def test_a_data_directory_that_is_read_only_is_named(self):
        """Whatever of it a command wants to write first."""
        root = Path(tempfile.mkdtemp(prefix="dfr_backup_test"))
        self.addCleanup(root.rmdir)
        root.chmod(0o555)
        wants = {
            "work": lambda: work_folder(
                odoo_config.data_root() / "fetched", "x"
            ).__enter__(),
            "space": lambda: doctor._space(None),
            "log": lambda: runner.open_log("u"),
            "certificates": lambda: odoo_config.certificate_path("PEM"),
        }
        for name, want in wants.items():
            with self.subTest(name):
                answer = self.as_nobody(self.refused_in, root / "data", want)
                self.assertEqual(answer["error_code"], DataFolderUnusable.code)
                self.assertIn(str(root / "data"), answer["error"])
                self.assertTrue(answer["hint"])

    def test_a_run_that_cannot_be_started_for_it_waits(self):
        root = Path(tempfile.mkdtemp(prefix="dfr_backup_test"))
        self.addCleanup(root.rmdir)
        root.chmod(0o555)
        self.assertEqual(self.as_nobody(self.spawned_in, root / "data"), None)

    def test_doctor_tries_to_write_where_runs_do(self):
        """A directory that is there need not be one that can be written in."""
        for case in ("data", "data/log", "data/slots"):
            with self.subTest(case), tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                for each in (root, root / "data", root / "data/log"):
                    each.mkdir(exist_ok=True)
                    each.chmod(0o777)
                (root / "data/slots").mkdir()
                (root / "data/slots").chmod(0o777)
                self.assertEqual(self.as_nobody(self.examined_in, root / "data"), [])
                (root / case).chmod(0o555)
                codes = self.as_nobody(self.examined_in, root / "data")
                self.assertIn(DataFolderUnusable.code, codes)
                self.assertEqual(SlotsUnusable.code in codes, case == "data/slots")

    def test_a_run_that_cannot_start_is_refused_at_once(self):
        for case, code in (
            ("log", DataFolderUnusable.code),
            ("slots", SlotsUnusable.code),
        ):
            with self.subTest(case), tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                for each in (root, root / "log", root / "slots"):
                    each.mkdir(exist_ok=True)
                    each.chmod(0o777)
                self.assertIsNone(self.as_nobody(self.refusal_in, root))
                (root / case).chmod(0o555)
                self.assertEqual(self.as_nobody(self.refusal_in, root), code)

    def test_a_full_disk_is_for_the_run_to_say(self):
        root = odoo_config.data_root()
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root / "log"))
        with patch.object(runner, "require_writable", side_effect=full) as tried:
            self.assertIsNone(self.refusal_in(root))
        self.assertTrue(tried.called)

    def refusal_in(self, folder):
        """Return the code with which a run of this database is refused."""
        with (
            patch.object(odoo_config, "data_root", lambda: folder),
            patch.object(runs, "other_server", lambda _env: None),
        ):
            try:
                runs.require_startable(self.env)
            except EngineError as error:
                return error.code

    def examined_in(self, folder):
        """Return the codes of what doctor finds wrong with a data directory."""
        with patch.object(odoo_config, "data_root", lambda: folder):
            found = doctor.checked(self.env.cr)
        return [one["error_code"] for one in found if not one["ok"]]

    def test_what_is_tried_again_is_told(self):
        for json_wanted in (False, True):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                told = archives.Told(argparse.Namespace(json=json_wanted))
                told.retry("away\x1b[2J")
            self.assertEqual(
                said.getvalue().split(), [] if json_wanted else ["away", "[2J"]
            )
            self.assertEqual(len(told.lines), 1)

    def spawned_in(self, folder):
        with patch.object(odoo_config, "data_root", lambda: folder):
            return runner.spawn(self.env.cr.dbname, 1, "u")

    def refused_in(self, folder, want):
        """Let a command want something of a data directory; return its answer."""
        output = io.StringIO()
        options = argparse.Namespace(
            json=True, needs_database=lambda _options: False, call=lambda _o: want()
        )
        with (
            patch.object(odoo_config, "data_root", lambda: folder),
            contextlib.redirect_stdout(output),
        ):
            try:
                console._call(options)
            except DataFolderUnusable as error:
                archives.fail(error, options)
        return json.loads(output.getvalue())

    def as_nobody(self, call, *args):
        """Return what a function returns in a process that is not root, which may
        write anywhere."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                os.write(writing, json.dumps(call(*args)).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as answer:
            said = answer.read()
        os.waitpid(child, 0)
        return json.loads(said)

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

    def _searched(self, databases=(), **values):
        values = {"bucket": "backups", "addressing": "auto", "verify": "auto"} | values
        section = StorageSection("far", kind_of("s3"), "Far", (), values, {})
        found = rescue._of_section(section, databases)
        return [one.location("") for one in found]

    def test_a_section_is_searched_where_all_databases_are(self):
        self.assertEqual(self._searched(prefix="all/{database}"), ["s3://backups/all/"])
        folder = "{database}-{uuid8}"
        self.assertEqual(self._searched(prefix=folder), ["s3://backups/"])
        self.assertEqual(self._searched(["crm"], prefix=folder), ["s3://backups/"])

    def test_databases_that_are_named_need_no_list(self):
        found = self._searched(["shop", "crm"], prefix="all/{database}")
        self.assertEqual(found, ["s3://backups/all/shop/", "s3://backups/all/crm/"])
        found = self._searched(["shop"], bucket="odoo-{database}")
        self.assertEqual(found, ["s3://odoo-shop/"])

    def test_a_place_that_cannot_be_listed_needs_names(self):
        with self.assertRaises(NothingStored):
            self._searched(bucket="odoo-{database}")
        with self.assertRaises(NothingStored):
            self._searched(["shop"], bucket="odoo-{uuid8}")

    def test_no_name_of_somebody_else_reaches_a_terminal_as_it_is(self):
        """It could clear the screen, or add a line that says that all is well."""
        name = "shop\x1b[2J\n\u202eshop  ok\x9b1A"
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            report.print_table(("DATABASE", "STATE"), [(name, "failing")], [[name]])
            doctor.show([doctor.row(f"Storage “{name}”", False, name, "", "X-1")])
        lines = output.getvalue().splitlines()
        self.assertEqual(len(lines), 3 + 2)
        self.assertTrue(all(line.isprintable() for line in lines), lines)
        indented = [line for line in lines if line.startswith("    ")]
        self.assertEqual(len(indented), 2)
