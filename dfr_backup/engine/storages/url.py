"""A storage from an address on the command line; what is secret comes from the
environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import reason_of
from ..errors.command_line import (
    AddressUnclear,
    SftpAddressIncomplete,
    SftpKeyUnreadable,
    UnknownScheme,
)
from .base import Storage, TransferLimits
from .local.storage import LocalRules, LocalStorage
from .s3.config import S3Config
from .s3.storage import S3Storage
from .sftp.keys import require_paramiko
from .sftp.link import SftpConfig
from .sftp.storage import SftpStorage

EXAMPLES = "/var/backups/odoo/, s3://bucket/folder/, sftp://user@host/folder/"


def storage_at(
    address: str, environ: Mapping[str, str] | None = None, *, folder: bool = False
) -> tuple[Storage, str]:
    """Return the storage that ``address`` leads to, and the key of the object in it.

    A path, ``s3://bucket/prefix/key`` or ``sftp://user@host:port/directory/key``. The
    key is "" when the address ends with "/" or ``folder`` is true: then all of it names
    the storage.

    S3 takes its credentials from boto3's own chain, and the endpoint from
    AWS_ENDPOINT_URL. SFTP takes DFR_BACKUP_SFTP_PASSWORD, or the private key in the
    file DFR_BACKUP_SFTP_KEY (else ~/.ssh/id_ed25519); the host must be in
    ~/.ssh/known_hosts, or DFR_BACKUP_SFTP_HOST_KEY must hold its key. Raise
    PermanentError.
    """
    environ = os.environ if environ is None else environ
    if "\0" in address:
        raise AddressUnclear(examples=EXAMPLES)
    if "://" not in address:
        return _local(Path(address), folder or address.endswith("/"))
    parts = _split(address)
    path = parts.path if parts.path.endswith("/") or not folder else f"{parts.path}/"
    place, _slash, key = unquote(path).rpartition("/")
    if parts.scheme == "s3":
        return _s3(parts, place, environ), key
    if parts.scheme == "sftp":
        return _sftp(parts, place, environ), key
    raise UnknownScheme(scheme=parts.scheme, examples=EXAMPLES)


def _split(address: str) -> SplitResult:
    """Return the parts of an address. In these, “?” and “#” are letters like any
    other."""
    try:
        parts = urlsplit(address.replace("?", "%3F").replace("#", "%23"))
        _port = parts.port  # raises for what is no number
    except ValueError:  # its text may hold a part of the address, and that a password
        raise AddressUnclear(examples=EXAMPLES) from None
    return parts


def _local(path: Path, folder: bool) -> tuple[Storage, str]:
    """Whoever uses the command line may read all that the system lets him read."""
    path = Path(os.path.realpath(path))  # he may name a link, too
    anywhere = LocalRules([Path("/")])
    if folder or path.is_dir():
        return LocalStorage(path, anywhere), ""
    return LocalStorage(path.parent, anywhere), path.name


def _s3(parts: SplitResult, place: str, environ: Mapping[str, str]) -> Storage:
    endpoint = (
        environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    )
    config = S3Config(
        bucket=parts.netloc,
        prefix=place.strip("/"),
        endpoint=endpoint,
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "",
        ca_bundle=environ.get("AWS_CA_BUNDLE") or "",
        addressing="path" if endpoint else "auto",
    )
    return S3Storage(config, TransferLimits())


def _sftp(parts: SplitResult, place: str, environ: Mapping[str, str]) -> Storage:
    if not parts.hostname or not parts.username or parts.password:
        raise SftpAddressIncomplete()
    port = parts.port or 22
    config = SftpConfig(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username),
        password=environ.get("DFR_BACKUP_SFTP_PASSWORD") or "",
        private_key=_private_key(environ),
        passphrase=environ.get("DFR_BACKUP_SFTP_PASSPHRASE") or "",
        directory=place or "/",
        host_key=environ.get("DFR_BACKUP_SFTP_HOST_KEY")
        or _known_host(parts.hostname, port),
    )
    return SftpStorage(config, TransferLimits())


def _private_key(environ: Mapping[str, str]) -> str:
    if environ.get("DFR_BACKUP_SFTP_PASSWORD"):
        return ""
    named = environ.get("DFR_BACKUP_SFTP_KEY")
    path = Path(named) if named else Path.home() / ".ssh" / "id_ed25519"
    if not named and not path.exists():
        return ""
    try:
        return path.read_text()
    except OSError as error:
        raise SftpKeyUnreadable(path=path, reason=reason_of(error)) from error


def _known_host(host: str, port: int) -> str:
    """Return the key of a host as this user's SSH knows it, "" when it does not."""
    require_paramiko()
    import paramiko

    known = paramiko.HostKeys()
    try:
        known.load(str(Path.home() / ".ssh" / "known_hosts"))
    except OSError:
        return ""
    found: Mapping[str, Any] = (
        known.lookup(host if port == 22 else f"[{host}]:{port}") or {}
    )
    for kind in sorted(found, key=lambda name: "ed25519" not in name):
        return f"{kind} {found[kind].get_base64()}"
    return ""
