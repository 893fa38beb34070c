"""Who a database is, whose a location is, and which key there is, when all of that
changes: each database goes on with its backups, its schedule, retention, restore tests
and restores, and nobody deletes what is another's, calls for another, leaves a secret
in plain, or says that something went well which did not.
"""

import json
import secrets
import shutil

import pytest
from cluster import copy_of, move_in, private_cluster, upgraded
from lab import REQUEST, RESTORE
from worlds import NAME, Placed, made_world

MARKER = "dfr_backup-location"
RESTORES = RESTORE.format(count=1, name="{name}")
ACTIVE = "UPDATE backup_plan SET active = true"


@pytest.fixture
def world(template, tmp_path):
    with made_world(template, tmp_path) as made:
        yield made


def told(world, name, *arguments):
    """Let the operator say something; return what the command printed."""
    done = world.members[name].instance.odoo("backup", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def moved(world, name):
    """Let the operator say that a member is the original now."""
    told(world, name, "moved", "-d", world.members[name].instance.database)


def raw_copy(world):
    origin = world.original
    made = Placed("dfr_faults_raw", world.folder / "raw", world.share)
    made.data = origin.instance.data
    made.write_conf(**origin.instance.options | {"db_name": made.database})
    shutil.copytree(origin.instance.filestore, made.filestore)
    statement = f'CREATE DATABASE "{made.database}" TEMPLATE "{NAME}"'
    with origin.quiet():
        origin.sql_when_alone(statement)
    return world.join("copy", made, origin)


def test_raw_copy(world, cell):
    """``createdb -T`` on the same server: it adds its backups, and no more."""
    raw_copy(world).may(False)
    states = world.live("copy", good=False)
    states += world.live("original")
    states += world.at_once(REQUEST, "original", "copy")
    states += world.at_once(RESTORES, "original", "copy")
    moved(world, "copy")
    world.original.may(False)
    world.members["copy"].may(True)
    world.heirs("copy")
    states += world.live("copy")
    states += world.live("original", good=False)
    cell("raw copy", "backup, schedule, drill, restore; two at once", summary(states))


def summary(states):
    return ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))


@pytest.fixture
def another_cluster():
    with private_cluster() as cluster:
        yield cluster


def adopt(world, cluster):
    """Return a member in another cluster that this server's Odoo uses from now on;
    the original is there as well."""
    origin = world.original.instance
    made = Placed(NAME, world.folder / "moved", world.share)
    made.data = origin.data
    made.write_conf(**origin.options | {"db_port": str(cluster.port)})
    return made


def test_moved_cluster(world, another_cluster, cell):
    """By pg_dump and psql: another system identifier, another OID."""
    made = adopt(world, another_cluster)
    with world.original.quiet():
        move_in(another_cluster, world.original.instance, made, settled=False)
    live_after_a_move(world, made, cell, "moved by pg_dump")


def test_upgraded_cluster(world, cell):
    """By pg_upgrade: another system identifier, the same OID."""
    with world.original.quiet(), world.cluster.stopped():
        cluster = world.enter(upgraded(world.cluster, "17"))
        made = adopt(world, cluster)
        made.write_conf(pg_path=str(cluster.bin))
    live_after_a_move(world, made, cell, "pg_upgrade")


def live_after_a_move(world, made, cell, fault):
    world.join("moved", made, world.original).may(False)
    states = world.live("moved", good=False)
    states += world.at_once(REQUEST, "original", "moved")
    states += world.at_once(RESTORES, "original", "moved")
    moved(world, "moved")
    world.members["moved"].may(True)
    world.original.may(False)
    world.heirs("moved")
    states += world.live("moved")
    states += world.live("original", good=False)
    cell(fault, "backup, schedule, drill, restore; two at once", summary(states))


def test_cloned_server(world, cell):
    """All of the server's disk, data directory and cluster, runs twice. Nobody can
    tell which is which, so that neither deletes as soon as it has met the other."""
    origin = world.original.instance
    with world.original.quiet(), world.cluster.stopped():
        cluster = world.enter(copy_of(world.cluster))
        made = Placed(NAME, world.folder / "cloned", world.share)
        shutil.copytree(origin.data, made.data)
    made.write_conf(
        **origin.options | {"db_port": str(cluster.port), "data_dir": str(made.data)}
    )
    original, clone = world.original, world.join("clone", made, world.original)
    # it does not know yet that there is a clone
    states = world.live("original", acts=by_schedule(original))
    for member in (original, clone):
        member.may(False)
    states += world.live("clone", good=False)
    states += world.live("original", good=False)
    states += world.live("clone", good=False, acts=by_schedule(clone))
    states += world.at_once(REQUEST, "original", "clone")
    states += world.at_once(RESTORES, "original", "clone")
    moved(world, "original")
    original.may(True)
    world.heirs("original")
    states += world.live("original")
    cell("cloned server", "backup, schedule, drill, restore; two at once",
         summary(states))  # fmt: skip


def by_schedule(member):
    return member.back_up, member.keep_schedule


@pytest.mark.parametrize("identity", ["another", "the same"])
def test_replaced_database(world, cell, identity):
    """Its newest backup takes its place."""
    original = world.original
    _provider, key, *_facts = original.listed("local")[0]
    options = ["--same-identity"] if identity == "the same" else []
    with original.quiet():
        told(world, "original", "restore", str(world.share / key), "--to", NAME,
             "--replace", "--identity", str(original.identity), *options)  # fmt: skip
    original.sql(ACTIVE)
    original.may(identity == "the same")
    states = world.live("original", good=identity == "the same")
    cell(f"replaced, {identity} identity", "backup, schedule, drill, restore",
         summary(states))  # fmt: skip


def key_file(world):
    return world.original.instance.data / "dfr_backup/secret.key"


def test_lost_key(world, cell):
    """No secret can be read: what needs one fails, and says so."""
    with world.original.quiet():
        key_file(world).unlink()
    world.original.may(None, pings=False)
    states = world.live("original", good=False)
    assert {"failure"} <= set(states)
    cell("lost key", "backup, schedule, drill, restore", summary(states))


def test_lost_passphrase(world, cell):
    """A backup that cannot be encrypted is none."""
    original = world.original
    passphrase = secrets.token_hex(12)
    original.write("backup.plan", {"encryption": "passphrase",
                                   "age_passphrase": passphrase})  # fmt: skip
    world.secrets.append(passphrase)
    with original.quiet():
        key_file(world).unlink()
    original.may(None, pings=False)
    before = world.stored()
    with world.watching("original"):
        (outcome,) = original.back_up()
    assert outcome.state == "failure", outcome
    assert world.stored() == before
    original.check(outcome)
    cell("lost key, passphrase", "backup", outcome)


def test_rotated_key(world, cell):
    """The former key still opens what it has sealed, and vouches for its backups."""
    with world.original.quiet():
        world.original.instance.write_conf(
            dfr_backup_key=secrets.token_hex(16),
            dfr_backup_former_keys=str(key_file(world)),
        )
    states = world.live("original")
    unsigned = "SELECT key FROM backup_copy WHERE signature IS DISTINCT FROM 'ours'"
    assert world.original.sql(unsigned) == []
    cell("rotated key", "backup, schedule, drill, restore", summary(states))


def test_deleted_marker(world, cell):
    """The catalogue recognises the location, and it is marked again."""
    client, bucket = world.original.bucket
    (world.share / MARKER).unlink()
    client.delete_object(Bucket=bucket, Key=MARKER)
    states = world.live("original")
    assert (world.share / MARKER).exists()
    client.head_object(Bucket=bucket, Key=MARKER)
    cell("deleted marker", "backup, schedule, drill, restore", summary(states))


def test_share_that_is_not_mounted(world, cell):
    """Neither marker nor backups: nothing is written there, nothing is forgotten."""
    aside = world.folder / "aside"
    world.share.rename(aside)
    world.share.mkdir(mode=0o700)
    world.lost.add("local")
    states = world.live("original", good=False)
    assert list(world.share.iterdir()) == []
    world.share.rmdir()
    aside.rename(world.share)
    world.lost.clear()
    states += world.live("original")
    cell("share not mounted", "backup, schedule, drill, restore", summary(states))
