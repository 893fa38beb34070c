"""What the server's operator has set for a storage: a section of his profile, which is
all of it; or, in the environment and odoo.conf, a secret and where it may be sent."""

from ... import odoo_config
from ...engine.errors import EngineError
from ...engine.errors.places import (
    BadOperatorValue,
    SecretOfOthers,
    SecretWithoutAddress,
)
from ...engine.errors.profile import (
    SectionGone,
    SectionOfOtherKind,
    SectionOfOthers,
    SetByProfile,
)
from ...engine.profile.model import LIMITS, FolderNames
from ..engine_messages import translate_engine_errors


def own_secret_names(storage):
    return storage._kind().fields("secrets")


# === THE PROFILE === #


def section_of(storage):
    """Return the section of the server's profile that a storage follows, None when it
    follows none. Raise an error of ``errors.profile``."""
    storage = storage.sudo()
    name, section = storage.external_name or "", None
    try:
        profile = odoo_config.profile() if name else None
        section = profile and profile.section(name)
    except EngineError:
        if storage.in_profile:
            raise
    if not section:
        if name and storage.in_profile and not _has_lines(storage):
            raise SectionGone(section=name.lower())
        return None
    if not section.allows(storage.env.cr.dbname):
        raise SectionOfOthers(section=section.name, database=storage.env.cr.dbname)
    if section.kind.name != storage.provider:
        raise SectionOfOtherKind(
            section=section.name, kind=section.kind.name, storage=storage.name
        )
    return section


def _has_lines(storage):
    """Tell whether the environment or odoo.conf has a secret for the storage."""
    external = storage.sudo().external_name
    return any(
        odoo_config.has_operator_value(external, name)
        for name in own_secret_names(storage)
    )


def follows_profile(storage):
    """Tell whether the profile says where a storage is; also when it is broken."""
    try:
        return bool(section_of(storage))
    except EngineError:
        return True


def folder_names(storage):
    """Return what stands for this database in the name of its folder."""
    storage = storage.sudo()
    if storage.folder_names:
        return FolderNames.from_json(storage.folder_names)
    uuid = storage.env["backup.job"]._current_database_uuid() or ""
    return FolderNames.of(storage.env.cr.dbname, uuid)


def set_fields(storage):
    """Return the names of the fields that the profile sets."""
    parts = storage._kind().fields("host", "folder", "more", "options", "secrets")
    return {*parts, *LIMITS, "provider", "external_name"}


def refuse_set_fields(storages, vals):
    """Raise UserError when somebody changes what the profile sets. What it sets no
    longer may be changed."""
    if storages.env.su:
        return
    for storage in storages.sudo().filtered("in_profile"):
        if set_fields(storage) & vals.keys() and _is_set(storage):
            with translate_engine_errors(storages.env):
                raise SetByProfile(storage=storage.name)


def _is_set(storage):
    """Does the profile set the storage's fields? One that cannot be read may do so."""
    try:
        section_of(storage)
    except SectionGone:
        return False
    except EngineError:
        return True
    return True


def changes(storage):
    """Return the values in which a storage differs from what its operator says."""
    storage = storage.sudo()
    section, found = section_of(storage), storage._operator_address()
    vals = {
        name: value
        for name, value in found.items()
        if value != storage[name]
        and (value or storage[name])
        and _can_show(storage, name, value)
    }
    if bool(section) != storage.in_profile:
        vals["in_profile"] = bool(section)
    if section and not storage.folder_names:
        vals["folder_names"] = folder_names(storage).to_json()
    if section and storage.sealed_secrets:
        vals["sealed_secrets"] = False  # what was typed in is not for his address
    return vals


def make_folder(storage):
    """Make the folder of this database in the directory of a storage that follows the
    profile."""
    section = section_of(storage)
    if section and storage._is_near():
        section.require_base()
        storage._prepare_storage().prepare()


def _can_show(storage, name, value):
    """Tell whether a field takes a value: a list of choices may lack it."""
    field = storage._fields[name]
    is_list = bool(value) and field.type == "selection"
    return not is_list or value in field.get_values(storage.env)


# === THE ENVIRONMENT, ODOO.CONF === #


def secret_of(storage, name):
    """Return the secret that the operator has set, "" for none. Raise an error of
    ``errors.profile``."""
    section = section_of(storage)
    if section:
        return section.secret(name.removeprefix(f"{section.kind.name}_"))
    external = storage.sudo().external_name
    return odoo_config.operator_value(external, name) if external else ""


def has_secret(storage, name):
    """Tell whether the operator has set a secret, without using it."""
    external = storage.sudo().external_name
    if not external:
        return False
    try:
        section = section_of(storage)
    except EngineError:  # whatever uses it says why not
        return name in own_secret_names(storage)
    if section:
        return bool(secret_of(storage, name))
    return odoo_config.has_operator_value(external, name)


def address_of(storage):
    """Return the values of the address that the operator gives, by the names of
    fields, {} when he gives none. Raise PermanentError when he does not say where a
    secret of his may be sent, or by which databases."""
    section = section_of(storage)
    if section:
        return section.fields(folder_names(storage))
    if not any(has_secret(storage, name) for name in own_secret_names(storage)):
        return {}
    _require_bound(storage)
    kind = storage._kind()
    names = kind.fields("host", "folder", "more")
    given = {name: _value(storage, name) for name in names}
    return {
        name: _converted(storage, name, value)
        for name, value in given.items()
        if value or name in kind.fields("host")
    }


def _value(storage, name):
    return odoo_config.operator_value(storage.sudo().external_name, name)


def _require_bound(storage):
    kind = storage._kind()
    needed = kind.field(kind.needed or kind.host[0])
    database, name = storage.env.cr.dbname, storage.sudo().external_name
    allowed = _value(storage, "databases")
    if not allowed or not _value(storage, needed):
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


def _converted(storage, name, value):
    field = storage._fields[name]
    if field.type != "integer":
        return value
    try:
        return int(value) if value else field.default(storage)
    except ValueError:
        variable = f"DFR_BACKUP_{storage.sudo().external_name}_{name}".upper()
        raise BadOperatorValue(variable=variable) from None
