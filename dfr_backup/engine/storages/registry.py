"""The kinds of storage that there are. An addon adds one of its own by ``register``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .kind import StorageKind
from .local.storage import LocalStorage
from .rclone.storage import RcloneStorage
from .s3.storage import S3Storage
from .sftp.storage import SftpStorage


@dataclass(frozen=True)
class Kind:
    """A kind of storage: its name, its class, and what its settings are.

    ``host`` are those that say where secrets are sent, ``folder`` the place there, with
    its path as the last one, and ``more`` goes with them; ``secrets`` are those that
    nobody may read. ``needed`` is what the server's operator gives at least beside a
    secret of his (else the first of the host). ``trusted`` has to be there before
    anything is sent. ``directory`` is the one that names a directory of this server,
    where a kind has one: such storages are near. A model has each as a field that
    begins with the name.
    ``options`` is what else the server's operator may set in a profile, and
    ``defaults`` what stands there unless he does.
    ``scheme`` begins the addresses of storages, where they have any.
    """

    name: str
    engine: type[StorageKind]
    host: tuple[str, ...] = ()
    folder: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    defaults: Mapping[str, str | int] = field(default_factory=dict, hash=False)
    needed: str = ""
    trusted: str = ""
    directory: str = ""
    scheme: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*", self.name):
            raise TypeError(f"{self.name}: a kind has a name of small letters")
        if self.secrets and not self.host:
            # whoever may choose where a storage leads could have them sent there
            raise TypeError(f"The storage kind {self.name} has secrets and no address")

    @property
    def path(self) -> str:
        """The setting that names a folder in which others can be found, "" for none."""
        return self.folder[-1] if self.folder and self.engine.has_folders() else ""

    def field(self, setting: str) -> str:
        """Return the name of the field that has a setting, "" for none."""
        return setting and f"{self.name}_{setting}"

    def fields(self, *parts: str) -> tuple[str, ...]:
        """Return the fields of the parts "host", "folder", "more", "options" and
        "secrets"."""
        return tuple(self.field(name) for part in parts for name in getattr(self, part))


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Add a kind. Raise TypeError for a name or a scheme that another one has."""
    for known in _kinds.values():
        same = known.name == kind.name or (kind.scheme and known.scheme == kind.scheme)
        if same and _class_name(known) != _class_name(kind):
            raise TypeError(f"There is a storage kind {known.name} already")
    _kinds[kind.name] = kind


def _class_name(kind: Kind) -> str:
    """Return what stays the same when a module is loaded again."""
    return f"{kind.engine.__module__}.{kind.engine.__qualname__}"


def kinds() -> tuple[Kind, ...]:
    return tuple(_kinds.values())


def kind_of(name: str) -> Kind:
    """Return the kind of this name. Raise KeyError."""
    return _kinds[name]


register(Kind("local", LocalStorage, folder=("path",), directory="path"))
register(
    Kind(
        "s3",
        S3Storage,
        host=("endpoint",),
        folder=("bucket", "prefix"),
        more=("region", "access_key"),
        secrets=("secret_key",),
        options=(
            "addressing",
            "ca_certificate",
            "storage_class",
            "encryption",
            "kms_key",
            "lock_mode",
            "lock_days",
            "verify",
        ),
        defaults={"addressing": "auto", "lock_days": 14, "verify": "auto"},
        needed="bucket",
        scheme="s3",
    )
)
register(
    Kind(
        "sftp",
        SftpStorage,
        host=("host", "port"),
        folder=("user", "directory"),
        more=("host_key",),
        secrets=("password", "private_key", "passphrase"),
        defaults={"port": 22},
        trusted="host_key",
        scheme="sftp",
    )
)
register(Kind("rclone", RcloneStorage, host=("remote",), folder=("directory",)))
