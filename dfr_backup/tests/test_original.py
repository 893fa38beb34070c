"""Who may say that a database is the original, and about which storage."""

import shutil
from dataclasses import replace
from datetime import timedelta

from odoo import fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.errors.identity import (
    AlreadyOriginal,
    NotOriginal,
    OperatorDecides,
    OriginalStillThere,
    TwoWriters,
)
from ..models.overview.forecast import forecasts
from ..models.overview.problems import identity_problems
from .test_identity import IdentityCase


@tagged("post_install", "-at_install")
class TestOriginal(IdentityCase):
    def setUp(self):
        super().setUp()
        self.settings = new_test_user(self.env, "settings", "base.group_system")
        self.boss = new_test_user(self.env, "boss", "dfr_backup.group_manager")
        self.asked = self.storage.with_user(self.settings)
        odoo_config.originals().hand_over(self.original)
        (self.env["backup.storage"].search([]) - self.storage).active = False

    def with_typed_credentials(self):
        """Let access to a directory count as that of a storage with its own login."""
        self.patch(type(self.storage), "_is_lent", lambda _storage: False)

    def test_what_the_server_lends_only_its_operator_decides(self):
        with self.assertRaises(Exception) as caught:
            self.asked._say_original()
        self.assertIsInstance(caught.exception.__cause__, OperatorDecides)
        command = odoo_config.moved_command(self.env.cr.dbname)
        for text in (str(caught.exception), self.asked.identity_problem):
            self.assertIn(command, text)
        self.assertFalse(self.asked.may_say_original)

    def test_a_settings_administrator_says_so_with_his_password(self):
        self.with_typed_credentials()
        self.assertAsksForPassword(self.asked.action_say_original)
        self.assertTrue(self.asked.may_say_original)
        with self.assertRaises(AccessError):
            self.storage.with_user(self.boss)._say_original()
        old = self.store(3, identity=self.original.key)
        self.assertFalse(old.is_ours)
        self.assertIsInstance(self.identities._objection(), NotOriginal)

        self.asked._say_original()
        self.assertIsNone(self.identities._objection())
        self.assertFalse(self.storage.identity_problem)
        self.assertTrue(old.is_ours)
        line = self.env["backup.audit"].search([], limit=1)
        self.assertEqual(
            (line.action, line.user_id, line.res_id, line.new_value),
            ("original", self.settings, self.storage.id, self.me.key),
        )
        with self.assertRefuses(AlreadyOriginal):
            self.asked._say_original()

    def test_what_was_said_is_of_one_storage_and_one_database(self):
        self.with_typed_credentials()
        other = {"name": "Other", "local_path": str(self.root / "other")}
        other = self.env["backup.storage"].create(other)
        self.asked._say_original()
        objection = self.identities._objection
        self.assertIsNone(objection(self.storage))
        self.assertIsInstance(objection(other), NotOriginal)
        self.assertIsInstance(objection(), NotOriginal)
        # the server's own word is the same as before: it lends no more
        known = odoo_config.originals().of(self.me.uuid)
        self.assertEqual(known.identity, self.original)
        # in a copy, the row says it of another database
        self.storage.original_key = replace(self.me, oid=self.me.oid + 2).key
        self.assertIsInstance(objection(self.storage), NotOriginal)
        self.assertFalse(self.storage.copy_data()[0].get("original_key"))

    def test_it_counts_no_more_where_the_server_lends(self):
        with self.subTest("typed"):
            self.with_typed_credentials()
            self.asked._say_original()
        self.patch(type(self.storage), "_is_lent", lambda _storage: True)
        self.assertIsInstance(self.identities._objection(), NotOriginal)

    def test_not_while_the_original_is_in_use_here(self):
        self.with_typed_credentials()
        originals = odoo_config.originals()
        originals.put_back(self.me.uuid, None)
        originals.claim(self.me)
        self.env["ir.config_parameter"].set_param("database.uuid", "another")
        shutil.copy(originals._path(self.me.uuid), originals._path("another"))
        self.storage.owner_uuid = "another"
        with self.assertRefuses(OriginalStillThere):
            self.asked._say_original()
        self.assertFalse(self.storage.original_key)

    def test_it_ends_the_doubt_about_a_second_writer(self):
        self.with_typed_credentials()
        odoo_config.originals().hand_over(self.me)
        self.storage.write(
            {"stranger_key": "a.json", "stranger_at": "2038-01-01 00:00:00"}
        )
        self.assertIsInstance(self.identities._objection(), TwoWriters)
        self.assertTrue(self.asked.may_say_original)
        self.storage.stranger_at = "2026-01-01 00:00:00"
        odoo_config.originals().put_back(self.me.uuid, None)
        odoo_config.originals().claim(self.me)
        self.assertIsInstance(self.identities._objection(), TwoWriters)
        self.asked._say_original()
        self.assertIsNone(self.identities._objection())

    def test_the_days_until_the_storage_is_full(self):
        self.plan.storage_ids = self.storage
        self.assertIsNone(self.full_in())
        for days in range(1, 5):
            date = fields.Datetime.now() - timedelta(days=days, minutes=1)
            self.store(days).write({"size": 10 << 20, "date": date})
        self.storage.write({"free_space": 100 << 20, "space_at": fields.Datetime.now()})
        days = self.full_in()
        self.assertAlmostEqual(days, 10, delta=1)
        self.storage.invalidate_recordset(["identity_problem"])
        self.assertIn(f" {days} ", self.storage.identity_problem)
        found = identity_problems(self.env)
        self.assertIn(f" {days} ", found[0]["text"])

    def full_in(self):
        """Return what the card of the storage says."""
        return forecasts(self.plan, self.storage)[self.storage]["full_in"]
