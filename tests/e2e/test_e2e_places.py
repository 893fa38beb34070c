"""A location of another database, on a whole server."""

ANOTHER = """
    UPDATE ir_config_parameter SET value = 'another' WHERE key = 'database.uuid';
    UPDATE backup_storage SET owner_uuid = 'another', place_id = NULL;
    UPDATE backup_copy SET state = 'deleted';
"""


def test_the_operator_opens_a_location_of_another_database(instance):
    assert instance.backup().state == "success"
    before = {path.name: path.read_bytes() for path in instance.storage.iterdir()}
    instance.sql(ANOTHER)

    run = instance.backup()
    assert run.state == "failure"
    assert run.by_kind["upload"]["error_code"] == "PLACE-01"
    after = {path.name: path.read_bytes() for path in instance.storage.iterdir()}
    assert after == before

    opening = ("backup", "open", str(instance.storage), "-d", instance.database)
    elsewhere = ("backup", "open", "/nowhere", "-d", instance.database, "--json")
    refused = instance.odoo(*elsewhere)
    assert refused.returncode == 1
    assert '"error_code": "PLACE-08"' in refused.stdout
    assert instance.odoo(*opening).returncode == 0
    assert instance.backup().state == "success"
