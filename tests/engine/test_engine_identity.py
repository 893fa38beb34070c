"""Who a database is, and who says so."""

import contextlib

import pytest

from dfr_backup.engine.identity import Identity, present_identity
from dfr_backup.engine.postgres import Connection

MINE = Identity("u", "7", 16384, "prod")


def test_a_renamed_database_is_the_same():
    assert Identity("u", "7", 16384, "renamed") == MINE
    assert Identity("u", "7", 16384, "renamed").key == MINE.key


@pytest.mark.parametrize(
    "other",
    [Identity("v", "7", 16384), Identity("u", "8", 16384), Identity("u", "7", 16385)],
)
def test_uuid_system_and_oid_tell_databases_apart(other):
    assert other != MINE
    assert other.key != MINE.key


def test_an_identity_goes_to_json_and_to_a_key_and_back():
    assert Identity.from_json(MINE.to_json()) == MINE
    assert Identity.from_json(MINE.to_json()).name == "prod"
    assert Identity.from_key(MINE.key) == MINE
    assert not Identity.from_key("u").is_complete


@pytest.mark.parametrize(
    "data",
    [
        None,
        [1],
        {"uuid": 5, "system": 7, "oid": "16384"},
        {"uuid": "x" * 129, "system": "7 or 8", "oid": -1},
        {"uuid": "\ud800", "system": "٣", "oid": True},
        {"oid": 1 << 40, "name": ["prod"]},
    ],
)
def test_json_of_another_shape_is_unknown(data):
    found = Identity.from_json(data)
    assert found == Identity("")
    assert not found.is_complete


class Databases:
    """Databases that have a uuid, as Odoo's have."""

    def __init__(self):
        self.made = []

    def make(self, name, template="template0"):
        self.made.append(name)
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def make_odoo(self, name, uuid):
        self.make(name)
        self.run(
            "CREATE TABLE ir_config_parameter (key text, value text);"
            f"INSERT INTO ir_config_parameter VALUES ('database.uuid', '{uuid}')",
            name,
        )

    def run(self, statement, name="postgres"):
        with self.session(name) as cr:
            cr.execute(statement)

    def identity(self, name):
        with self.session(name) as cr:
            return present_identity(cr)

    @contextlib.contextmanager
    def session(self, name):
        with contextlib.closing(Connection(name).connect()) as session:
            session.autocommit = True
            with session.cursor() as cr:
                yield cr


@pytest.fixture
def databases():
    found = Databases()
    yield found
    for name in found.made:
        found.run(f'DROP DATABASE IF EXISTS "{name}"')


def test_a_raw_copy_is_told_from_the_original_under_any_name(databases):
    """Renaming keeps an identity, copying does not."""
    databases.make_odoo("ident_prod", "u-1")
    databases.make("ident_copy", template="ident_prod")
    original, copied = map(databases.identity, ("ident_prod", "ident_copy"))
    assert original.is_complete
    assert original.uuid == copied.uuid == "u-1"
    assert original.system == copied.system
    assert original != copied
    databases.run('ALTER DATABASE "ident_prod" RENAME TO "ident_aside"')
    databases.run('ALTER DATABASE "ident_copy" RENAME TO "ident_prod"')
    databases.made += ["ident_aside"]
    assert databases.identity("ident_aside") == original
    assert databases.identity("ident_prod") == copied
