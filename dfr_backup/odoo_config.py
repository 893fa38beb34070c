"""What this Odoo server is: the one place that reads its configuration and its
addons path."""

import ast
import contextlib
import hashlib
import logging
import math
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from odoo import release
from odoo.modules.neutralize import get_neutralization_queries
from odoo.sql_db import connection_info_for
from odoo.tools import config

from . import compat
from .engine.concurrency.cores import usable_cores
from .engine.encryption.secret_box import (
    Key,
    LoadedKey,
    SecretBox,
    key_from_text,
    load_key,
    load_or_create_key,
)
from .engine.errors import EngineError, reason_of
from .engine.errors.command_line import DataFolderUnusable
from .engine.errors.identity import OtherServer
from .engine.errors.runs import LimitUnusable
from .engine.identity import Identity
from .engine.manifest.signature import Signer
from .engine.monitoring.outbox import Outbox
from .engine.monitoring.watch import WatchRules
from .engine.outbound import OutboundRules
from .engine.ownership import right_server
from .engine.ownership.originals import Original, Originals
from .engine.ownership.owners import Owners
from .engine.postgres import connection as postgres
from .engine.postgres import installed
from .engine.profile.ini import Source
from .engine.profile.model import Profile
from .engine.profile.read import ProfileFile
from .engine.queue.folder import Folder
from .engine.queue.reservations import Reservations
from .engine.restore.database_location import DatabaseLocation
from .engine.sources.addons import AddonSource
from .engine.storages.local.storage import LocalRules
from .engine.storages.rclone.storage import RcloneConfig

_logger = logging.getLogger(__name__)

STANDARD_ADDONS = ("base", "web", "web_enterprise", "theme_common")
LOCAL_ROOTS = ("/var/backups", "/mnt", "/media", "/srv")
HANG_MINUTES = 120
REPLICA_SECONDS = 60.0
KEY_FILE = "secret.key"
SWITCHED_OFF = ("false", "0", "no", "off")
SWITCHED_ON = ("true", "1", "yes", "on")
HERE = "DFR_BACKUP_HERE"
# of the code that runs: the file may be a newer one by now
CODE_VERSION = ast.literal_eval(
    Path(__file__).with_name("__manifest__.py").read_text()
)["version"]
NOT_LIBPQ = ("database", "dbname", "dsn", "application_name")


def data_root() -> Path:
    """Return the directory below which everything of this addon lies."""
    return Path(config["data_dir"], "dfr_backup")


def conf_file() -> str:
    """Return the path of odoo.conf, "" when this Odoo was started without one."""
    return config["config"] or ""


def data_dir() -> str:
    """Return Odoo's own data directory."""
    return str(config["data_dir"])


def work_path(job_uuid: str) -> Path:
    """Return the directory of a run's archive under construction."""
    return data_root() / "work" / job_uuid


def upload_path(database: str, number: int) -> Path:
    """Return the directory of an upload, which no other database of this server has:
    also none whose name differs by a character that paths do not take."""
    return work_path(f"upload-{quote(database, safe='')}-{number}")


def log_path(job_uuid: str) -> Path:
    """Return the file into which a detached runner writes."""
    return data_root() / "log" / f"{job_uuid}.log"


def packs_path(place_id: str) -> Path:
    """Return the directory that remembers what the packs of a location hold."""
    return data_root() / "packs" / place_id


def owners() -> Owners:
    """Return what this server has written down about who owns which location."""
    return Owners(data_root() / "owners")


def default_storage_path(database: str, uuid: str) -> Path:
    """Return where a new installation keeps its backups: the first folder below the
    data directory that is free, of its name and of its name with a part of its uuid.
    """
    name = re.sub(r"[^\w.-]", "_", database)
    paths = [data_root() / "backups" / n for n in (name, f"{name}-{uuid[:8]}")]
    free = [path for path in paths if not path.exists() or not any(path.iterdir())]
    return free[0] if free else paths[-1]


def filestore_path(database: str) -> Path:
    """Return the directory of a database's attachment files."""
    return Path(config.filestore(database))


def mail_server_is_guessed() -> bool:
    """Tell whether odoo.conf names no outgoing mail server, so that Odoo tries
    localhost."""
    return config["smtp_server"] in (None, "", "localhost")


def hang_seconds() -> float:
    """Return how long a run may show no sign of life before its process is ended.
    Raise ValueError when odoo.conf says no such time: with it, no run would live or
    none would end."""
    minutes = config.get("dfr_backup_hang_minutes") or HANG_MINUTES
    with contextlib.suppress(ValueError):
        if 0 < float(minutes) < math.inf:
            return 60 * float(minutes)
    raise ValueError(
        f"dfr_backup_hang_minutes in odoo.conf is no number above 0: {minutes}"
    )


def is_enabled() -> bool:
    """Tell whether backups are switched on: a server for tests or a standby may say
    ``dfr_backup_enabled = False`` in odoo.conf."""
    value = config.get("dfr_backup_enabled")
    return str(value).strip().lower() not in SWITCHED_OFF


def starts_runs() -> bool:
    """Tell whether this process may start processes for runs: where odoo.conf says
    ``dfr_backup_spawn = False``, only ``odoo backup worker`` does."""
    value = config.get("dfr_backup_spawn")
    return str(value).strip().lower() not in SWITCHED_OFF


def be_worker() -> None:
    """Let this process start runs, whatever odoo.conf leaves to a worker."""
    config["dfr_backup_spawn"] = "True"


def is_right_server() -> bool:
    """Tell whether the operator says that this is the server of its databases,
    whatever its filestore lacks: ``dfr_backup_here = True``, or the option of the
    command."""
    value = os.environ.get(HERE) or config.get("dfr_backup_here")
    return str(value).strip().lower() in SWITCHED_ON


def be_right_server() -> None:
    """Let this process, and those that it starts, take runs whatever the filestore
    lacks."""
    os.environ[HERE] = "True"


def other_server(database: str, ask: Callable[[], list[str]]) -> OtherServer | None:
    """Return why the runs of a database are another server's, None when they are this
    one's. ``ask`` returns its newest attachment files, each time as they are then."""
    if is_right_server():
        return None
    return right_server.objection(ask, filestore_path(database))


def max_running() -> int:
    """Return how many runs may be performed at a time: what odoo.conf says, or one per
    two cores that this process may use. Raise LimitUnusable."""
    value = config.get("dfr_backup_max_running")
    if value in (None, "", False):
        return default_max_running()
    with contextlib.suppress(ValueError):
        if int(value) >= 1:
            return int(value)
    raise LimitUnusable(value=value, default=default_max_running())


def default_max_running() -> int:
    """Return how many runs may be performed at a time where odoo.conf does not say."""
    return max(1, usable_cores() // 2)


def slots_folder() -> Folder:
    """Return where it is noted who runs and who waits: a folder of this server, or one
    that odoo.conf names, which servers with other data directories share."""
    shared = config.get("dfr_backup_slots_dir")
    return Folder(Path(shared), True) if shared else Folder(data_root() / "slots")


def reservations(run: str) -> Reservations:
    """Return where runs of this host reserve disk space, for the run ``run``."""
    return Reservations(slots_folder(), run)


def server_name() -> str:
    """Return what tells this server from others on its host: whoever has the same data
    directory and the same PostgreSQL may start its runs."""
    postgres = [str(config[name] or "") for name in ("db_host", "db_port")]
    where = repr([str(Path(config["data_dir"]).resolve()), *postgres])
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def pg_path() -> str | None:
    """Return the directory that odoo.conf names for PostgreSQL's programs, if any."""
    return config["pg_path"] or None


def secret_box() -> SecretBox:
    """Return what encrypts secrets at rest. Its key lies outside of the database and
    of every backup: in the environment, in odoo.conf, or in a file of the data
    directory that is made when it is first needed."""
    text = _setting("dfr_backup_key")
    former = _former_keys()
    if text:
        return SecretBox(key_from_text(text), *former)
    return SecretBox(_key_in(load_or_create_key(data_root() / KEY_FILE)), *former)


def _former_keys() -> list[Key]:
    """Return the keys that were in use before the present one: what they have encrypted
    and signed is still read. Each is a text, or the absolute path of a key file."""
    texts = re.split(r"[,\n]", _setting("dfr_backup_former_keys"))
    return [
        _key_in(load_key(Path(entry)))
        if entry.startswith("/")
        else key_from_text(entry)
        for entry in map(str.strip, texts)
        if entry
    ]


def _key_in(loaded: LoadedKey) -> Key:
    if loaded.warning:
        _logger.warning(loaded.warning)
    return loaded.key


def signer() -> Signer:
    """Return what signs the manifests of backups, with a key that is derived from that
    of the secrets."""
    return Signer(*secret_box().keys)


def known_signer() -> Signer | None:
    """Return the same without making a key where there is none: a command may run as
    another user. None without a key. Raise PermanentError when it cannot be read."""
    return signer() if has_secret_key() else None


def secret_key_file() -> Path | None:
    """Return the file that has the key for secrets, None where the environment or
    odoo.conf gives the key."""
    return None if _has_setting("dfr_backup_key") else data_root() / KEY_FILE


def has_secret_key() -> bool:
    """Tell whether there is a key for secrets: the first use makes one."""
    return _has_setting("dfr_backup_key") or (data_root() / KEY_FILE).exists()


def outbound_rules() -> OutboundRules:
    """Return which addresses databases may let this server call. Odoo's own settings
    let an administrator call any, so the operator says where that is too much."""
    text = os.environ.get("DFR_BACKUP_PRIVATE_HOSTS")
    return OutboundRules.from_text(
        str(text or config.get("dfr_backup_private_hosts") or "")
    )


def watch_rules() -> WatchRules:
    """Return which other servers databases may let this one watch: without the option,
    none."""
    text = os.environ.get("DFR_BACKUP_WATCH_HOSTS")
    return WatchRules.from_text(str(text or config.get("dfr_backup_watch_hosts") or ""))


def operator_value(name: str, field: str) -> str:
    """Return what the server's administrator has set for the field of the storage
    ``name``: a secret, or where it may be sent; else "".

    Only names with our prefix are looked up: who administers a database could otherwise
    read any variable of the server by sending it somewhere.
    """
    return _setting(f"dfr_backup_{name}_{field}")


def has_operator_value(name: str, field: str) -> bool:
    """Tell whether ``operator_value`` has something to return, without reading the
    file that may hold it."""
    return _has_setting(f"dfr_backup_{name}_{field}")


def _setting(name: str) -> str:
    """Return a value of the environment or of odoo.conf, "" when there is none. It may
    stand in a file that is named there, as secrets of containers do. Raise
    PermanentError when that cannot be read, or others can read it."""
    for look_up in (_from_environment, _from_conf):
        if given := look_up(name):
            return given
        if named := look_up(f"{name}_file"):
            return Source(Path(named)).read(Path(named), secret=True).strip()
    return ""


def _has_setting(name: str) -> bool:
    return bool(_given(name) or _given(f"{name}_file"))


def _given(name: str) -> str:
    return _from_environment(name) or _from_conf(name)


def _from_environment(name: str) -> str:
    return os.environ.get(name.upper()) or ""


def _from_conf(name: str) -> str:
    return str(config.get(name.lower()) or "")


def profile() -> Profile | None:
    """Return what the operator says of all databases of this server, None when
    odoo.conf names no profile. Raise an error of ``errors.profile``."""
    path = _given("dfr_backup_profile")
    if not path:
        return None
    if path not in _profiles:
        _profiles[path] = ProfileFile(Path(path), sys.modules[__name__])
    return _profiles[path].profile()


_profiles: dict[str, ProfileFile] = {}


def operator_lines(name: str, values: dict[str, str]) -> str:
    """Return the lines of odoo.conf that set these fields of the storage ``name``."""
    prefix = f"dfr_backup_{name}_".lower()
    return "\n".join(f"{prefix}{field} = {value}" for field, value in values.items())


def certificate_path(pem: str | None) -> str:
    """Return the path of a file with these certificates, "" for none: libraries want
    a file."""
    if not pem:
        return ""
    content = pem.encode()
    path = data_root() / "certificates" / f"{hashlib.sha256(content).hexdigest()}.pem"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
    return str(path)


def rclone_config(remote: str = "", directory: str = "") -> RcloneConfig:
    """Return how to reach a remote that the server's administrator has configured.
    The system user's own configuration of rclone is used, unless odoo.conf names
    another."""
    names = ("dfr_backup_rclone_config", "dfr_backup_rclone")
    config_file, binary = (
        Path(path) if (path := config.get(name)) else None for name in names
    )
    return RcloneConfig(remote, directory, config_file, binary)


def alert_outbox() -> Outbox:
    """Return what gathers alerts for the operator of this server."""
    return Outbox(data_root() / "alerts")


def mail_host() -> str:
    """Return the mail server of odoo.conf, which no database has set."""
    return config["smtp_server"] or "localhost"


def mail_sender() -> str:
    """Return the address that this server sends mails from, "" for none."""
    return config["email_from"] or ""


def connection(database: str, application_name: str) -> postgres.Connection:
    """Return how this server reaches ``database``, for connections outside Odoo's
    pool."""
    return _connection(database, application_name)


def replica(database: str, application_name: str) -> postgres.Connection | None:
    """Return how this server reaches the read replica that Odoo has, None without one
    and unless the operator wants dumps to come from it (``dfr_backup_use_replica``): a
    dump keeps it from replaying for a while, or is cancelled by that."""
    wanted = str(config.get("dfr_backup_use_replica")).strip().lower() in SWITCHED_ON
    if not wanted or not config["db_replica_host"]:
        return None
    return _connection(database, application_name, readonly=True)


def replica_seconds() -> float:
    """Return for how long a replica that is behind is awaited."""
    with contextlib.suppress(ValueError):
        seconds = float(config.get("dfr_backup_replica_wait") or REPLICA_SECONDS)
        if 0 <= seconds < math.inf:
            return seconds
    return REPLICA_SECONDS


def _connection(database, application_name, readonly=False):
    _name, info = connection_info_for(database, readonly=readonly)
    params = {key: value for key, value in info.items() if key not in NOT_LIBPQ}
    return postgres.Connection(database, params, application_name)


def require_installed(database: str) -> None:
    """Raise an EngineError unless this addon is installed in the database, in the
    version of this code."""
    name = "dfr_backup check"
    installed.require_installed(
        connection(database, name), connection("postgres", name), CODE_VERSION
    )


@contextlib.contextmanager
def data_folder_explained():
    """Let what the system refuses in our data directory leave as an EngineError."""
    try:
        yield
    except OSError as error:
        name = os.fsdecode(error.filename or "")
        if not Path(name).is_relative_to(data_root()):
            raise
        reason = reason_of(error)
        raise DataFolderUnusable(file=name, reason=reason, log=str(error)) from error


def place(database: str) -> DatabaseLocation:
    """Return where a restored database, and its filestore, go."""
    return DatabaseLocation(database, filestore_path(database))


def restored_addons_path(database: str, job_uuid: str) -> Path:
    """Return where the custom addons of a restored database are unpacked: a
    directory that no Odoo loads from, because who administers a database does not
    administer the server."""
    return data_root() / "addons" / f"{database}-{job_uuid[:8]}"


def addons_line(path: Path) -> str:
    """Return the line of odoo.conf with which this Odoo loads addons from ``path``,
    too."""
    return f"addons_path = {','.join([*compat.addons_path(), str(path)])}"


def markers() -> Path:
    """Return the directory in which restores of this server note what they make."""
    return data_root() / "restores"


def originals() -> Originals:
    """Return what this server knows of which database is the original of which
    identity."""
    return Originals(data_root() / "originals")


def hand_over(identity: Identity) -> Original | None:
    """Let a database be the original of its uuid from now on, and let it have the
    locations of the one that was; return that one, None when there was none. Either
    both or, when an EngineError is raised, nothing."""
    known = originals()
    before = known.of(identity.uuid)
    known.hand_over(identity)
    try:
        owners().move_to(identity)
    except EngineError:
        known.put_back(identity.uuid, before)
        raise
    return before


def moved_command(database: str) -> str:
    """Return the command with which the operator says that a database is the original
    now."""
    return f"odoo backup moved -d {shlex.quote(database)}"


def restore_command(location: str, database: str) -> str:
    """Return the command with which the operator lets a backup take the place of a
    database, which is kept under another name."""
    words = ["odoo", "backup", "restore", location, "--to", database]
    return shlex.join([*words, "--replace", "--same-identity"])


def modules_on_disk() -> list[str]:
    """Return the names of all modules that this server could load."""
    return compat.addons_on_disk()


def neutralization(modules: list[str]) -> list[str]:
    """Return Odoo's SQL that makes a copy with these modules harmless."""
    return [query for query in get_neutralization_queries(modules) if query]


def database_template() -> dict:
    """Return how this server makes new databases, as options of a restore."""
    return {"template": config["db_template"], "unaccent": bool(config["unaccent"])}


def local_rules() -> LocalRules:
    """Return where local storages may be, with the roots that odoo.conf adds."""
    extra = str(config.get("dfr_backup_local_roots") or "").split(",")
    allowed = [data_root() / "backups", *LOCAL_ROOTS, *(root.strip() for root in extra)]
    forbidden = [Path(config["data_dir"], "filestore"), *_addons_paths()]
    return LocalRules([Path(root) for root in allowed if root], forbidden)


def _addons_paths() -> list[str]:
    paths = [*compat.own_addons_paths(), *compat.addons_path()]
    return [path for path in paths if os.path.isdir(path)]


def custom_addons(env) -> list[AddonSource]:
    """Return the installed addons that do not come with Odoo, and where they lie on
    disk.

    Odoo's own rule (``odoo.tools.cloc``): a directory that holds "base" or "web" is
    standard.
    """
    modules = env["ir.module.module"].search(
        [("state", "=", "installed")], order="name"
    )
    folders = compat.addon_folders(modules.mapped("name"))
    return [
        AddonSource(name, folder.resolve())
        for name, folder in folders.items()
        if not _is_standard(folder.parent)
    ]


def _is_standard(addons_path: Path) -> bool:
    return any((addons_path / name).is_dir() for name in STANDARD_ADDONS)


def odoo_manifest(cr) -> dict:
    """Return the keys that Odoo's own database manager writes into
    ``manifest.json``."""
    cr.execute(
        "SELECT name, latest_version FROM ir_module_module WHERE state = 'installed'"
    )
    version = cr.connection.server_version
    return {
        "odoo_dump": "1",
        "db_name": cr.dbname,
        "version": release.version,
        "version_info": release.version_info,
        "major_version": release.major_version,
        "pg_version": f"{version // 10000}.{version % 10000}",
        "modules": dict(sorted(cr.fetchall())),
    }
