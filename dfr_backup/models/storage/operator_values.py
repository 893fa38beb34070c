"""What the server's operator has set for a storage, beside a secret of his."""

from ... import odoo_config
from ...engine.errors.places import (
    BadOperatorValue,
    SecretOfOthers,
    SecretWithoutAddress,
)


def own_secret_names(storage):
    return storage._kind().fields("secrets")


def operator_value(storage, name):
    external = storage.sudo().external_name
    return odoo_config.operator_value(external, name) if external else ""


def require_bound(storage):
    kind = storage._kind()
    needed = kind.field(kind.needed or kind.host[0])
    database, name = storage.env.cr.dbname, storage.sudo().external_name
    allowed = operator_value(storage, "databases")
    if not allowed or not operator_value(storage, needed):
        names = kind.fields("host", "folder")
        values = {n: storage[n] for n in names if storage[n]}
        values["databases"] = allowed or database
        lines = odoo_config.operator_lines(name, values)
        raise SecretWithoutAddress(name=name, lines=lines)
    databases = [one.strip() for one in allowed.split(",")]
    if database not in databases:
        both = {"databases": ",".join([*databases, database])}
        lines = odoo_config.operator_lines(name, both)
        raise SecretOfOthers(name=name, database=database, lines=lines)


def converted(storage, name, value):
    field = storage._fields[name]
    if field.type != "integer":
        return value
    try:
        return int(value) if value else field.default(storage)
    except ValueError:
        variable = f"DFR_BACKUP_{storage.sudo().external_name}_{name}".upper()
        raise BadOperatorValue(variable=variable) from None
