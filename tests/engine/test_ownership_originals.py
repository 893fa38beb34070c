"""Who a database is, and who says so."""

import contextlib
from datetime import datetime, timedelta, timezone

import pytest

from dfr_backup.engine.errors.command_line import DatabaseMissing, NotAnOdooDatabase
from dfr_backup.engine.errors.dump import ServerUnreachable
from dfr_backup.engine.errors.identity import (
    AddonMissing,
    CodeTooOld,
    NotUpgraded,
    OriginalsUnusable,
)
from dfr_backup.engine.identity import Identity, present_identity
from dfr_backup.engine.manifest import write as manifest
from dfr_backup.engine.manifest.names import archive_name, sidecar_key
from dfr_backup.engine.ownership.originals import (
    Original,
    Originals,
    Standing,
    find_standing,
    identity_of,
    is_living,
)
from dfr_backup.engine.ownership.strangers import find_stranger
from dfr_backup.engine.postgres.connection import Connection
from dfr_backup.engine.postgres.installed import require_installed
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

VERSION = "19.0.1.10.0"
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
            "CREATE TABLE ir_config_parameter (key text UNIQUE, value text);"
            f"INSERT INTO ir_config_parameter VALUES ('database.uuid', '{uuid}');"
            "CREATE TABLE ir_module_module"
            " (name text, state text, latest_version text);"
            "INSERT INTO ir_module_module"
            f" VALUES ('dfr_backup', 'installed', '{VERSION}')",
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


SERVER = Connection("postgres")


@pytest.fixture
def originals(tmp_path):
    return Originals(tmp_path / "originals")


def test_the_oldest_living_database_is_the_original(databases, originals):
    """Also when the copy is the first to be asked."""
    databases.make_odoo("ident_prod", "u-2")
    databases.make("ident_copy", template="ident_prod")
    original, copied = map(databases.identity, ("ident_prod", "ident_copy"))
    assert not find_standing(copied, None, originals, SERVER).is_original
    assert find_standing(original, None, originals, SERVER).is_original
    assert is_living(SERVER, original)
    databases.run('ALTER DATABASE "ident_prod" ALLOW_CONNECTIONS false')
    assert not is_living(SERVER, original)
    # that it sleeps makes nobody else the original
    assert not find_standing(copied, None, originals, SERVER).is_original


def test_a_database_that_remembers_another_place_is_no_original(databases, originals):
    """A clone in another cluster, or on a server that does not know the original."""
    databases.make_odoo("ident_moved", "u-3")
    present = databases.identity("ident_moved")
    elsewhere = Identity("u-3", "1234", present.oid)
    standing = find_standing(present, elsewhere, originals, SERVER)
    assert not standing.is_original
    assert originals.of("u-3") is None
    originals.hand_over(present)
    assert find_standing(present, elsewhere, originals, SERVER).is_original


def test_a_uuid_that_was_typed_in_opens_nothing(databases, originals):
    databases.make_odoo("ident_older", "u-4")
    databases.make_odoo("ident_victim", "u-5")
    victim = databases.identity("ident_victim")
    assert find_standing(victim, None, originals, SERVER).is_original
    databases.run("UPDATE ir_config_parameter SET value = 'u-5'", "ident_older")
    thief = databases.identity("ident_older")
    standing = find_standing(thief, thief, originals, SERVER)
    assert not standing.is_original
    assert victim.key not in standing.keys
    assert standing.known.identity.name == "ident_victim"


def test_only_databases_with_this_addon_are_asked(databases):
    databases.make("ident_other")
    with pytest.raises(AddonMissing):
        identity_of(Connection("ident_other"))


def test_a_database_that_cannot_be_asked_is_told_apart(databases):
    databases.make("ident_plain")
    databases.make_odoo("ident_without", "u-7")
    databases.run("UPDATE ir_module_module SET state = ''", "ident_without")
    for name, error in (
        ("ident_no_such", DatabaseMissing),
        ("ident_plain", NotAnOdooDatabase),
        ("ident_without", AddonMissing),
    ):
        with pytest.raises(error) as caught:
            require_installed(Connection(name), SERVER, VERSION)
        assert caught.value.message.values["database"] == name
    databases.make_odoo("ident_with", "u-8")
    require_installed(Connection("ident_with"), SERVER, VERSION)


@pytest.mark.parametrize(
    "installed, error",
    [
        ("19.0.1.9.0", NotUpgraded),
        ("19.0.0.11.0", NotUpgraded),
        ("18.0.2.0.0", NotUpgraded),
        ("19.0.1.11.0", CodeTooOld),
        ("20.0.0.0.0", CodeTooOld),
        (VERSION, None),
        (None, None),
    ],
)
def test_code_and_tables_are_of_one_version(databases, installed, error):
    databases.make_odoo("ident_version", "u-9")
    value = "NULL" if installed is None else f"'{installed}'"
    databases.run(
        f"UPDATE ir_module_module SET latest_version = {value}", "ident_version"
    )
    with pytest.raises(error) if error else contextlib.nullcontext() as caught:
        require_installed(Connection("ident_version"), SERVER, VERSION)
    if error:
        values = caught.value.message.values
        assert (values["installed"], values["code"]) == (installed, VERSION)


def test_a_server_that_does_not_answer_is_not_a_missing_database(databases):
    nowhere = {"host": "127.0.0.1", "port": 9}
    for maintenance in (SERVER, Connection("postgres", nowhere)):
        databases.make(f"ident_{maintenance is SERVER}")
        here = Connection(f"ident_{maintenance is SERVER}", nowhere)
        with pytest.raises(ServerUnreachable):
            require_installed(here, maintenance, VERSION)


def test_a_hand_over_keeps_who_it_was_and_can_be_undone(originals):
    newer = Identity("u", "8", 20000, "new")
    originals.claim(MINE)
    assert originals.claim(newer).identity == MINE
    before = originals.of("u")
    after = originals.hand_over(newer)
    assert originals.of("u") == after
    assert after.keys == {MINE.key, newer.key}
    originals.put_back("u", before)
    assert originals.of("u") == before
    originals.put_back("u", None)
    assert originals.of("u") is None


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"identity": {}, "former": 1}', DEEP]
)
def test_a_damaged_note_is_said_and_not_replaced(originals, tmp_path, text):
    originals.claim(MINE)
    (path,) = (tmp_path / "originals").iterdir()
    path.write_text(text)
    with pytest.raises(OriginalsUnusable):
        originals.of("u")
    with pytest.raises(OriginalsUnusable):
        originals.claim(MINE)
    assert path.read_text() == text


NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
RUN = "5424c813-0000-0000-0000-000000000000"


@pytest.fixture
def stored(tmp_path):
    """A storage, and a function that stores manifests in it."""
    storage = LocalStorage(tmp_path / "disk", LocalRules([tmp_path], []))
    storage.prepare()

    def store(job, identity, moment=NOW, **more):
        key = archive_name("db", moment, job)
        ours = {
            "job": job,
            "run": "B1",
            "plan": "",
            "database_uuid": identity.uuid,
            "identity": identity.to_json(),
            "snapshot_at": moment.isoformat(),
            "contents": [],
            "missing": [],
            **more,
        }
        odoo = {"db_name": "db", "version": "19.0", "modules": {}}
        content = manifest.sidecar(manifest.build(odoo, ours), key, 5, "0" * 64)
        storage.put_bytes(content, sidecar_key(key))
        return key

    store.storage = storage
    return store


def strange(storage, runs, standing):
    names = [entry.key for entry in storage.list()]
    return find_stranger(storage, names, runs, standing)


def test_a_backup_in_our_name_of_a_run_that_we_do_not_know(stored):
    standing = Standing(MINE, Original(MINE))
    stored(RUN, MINE)
    assert strange(stored.storage, [RUN], standing) is None
    stored("11111111-0000", Identity("u", "7", 9))
    stored("22222222-0000", MINE, **{"import": {"database_uuid": "u", "job": "x"}})
    assert strange(stored.storage, [RUN], standing) is None
    key = stored("33333333-0000", MINE)
    assert strange(stored.storage, [RUN], standing).key == key
    settled = Original(MINE, (), NOW + timedelta(seconds=1))
    assert strange(stored.storage, [RUN], Standing(MINE, settled)) is None
