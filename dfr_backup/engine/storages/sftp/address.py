"""Which directory of which server: by the settings of a record, or by an address."""

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import SplitResult, unquote

from ...errors import reason_of
from ...errors.command_line import SftpAddressIncomplete, SftpKeyUnreadable
from ..by_hand import ByHand
from ..kind import Settings
from .keys import require_paramiko
from .link import SftpConfig


def config_of(settings: Settings) -> SftpConfig:
    """Return what a record says."""
    return SftpConfig(
        host=settings.value("host"),
        port=settings.value("port"),
        user=settings.value("user"),
        password=settings.secret("password"),
        private_key=settings.secret("private_key"),
        passphrase=settings.secret("passphrase"),
        directory=settings.value("directory"),
        host_key=settings.value("host_key"),
    )


def config_at(url: SplitResult, environ: Mapping[str, str]) -> SftpConfig:
    """Return what an address says. Raise PermanentError."""
    if not url.hostname or not url.username or url.password:
        raise SftpAddressIncomplete()
    port = url.port or 22
    return SftpConfig(
        host=url.hostname,
        port=port,
        user=unquote(url.username),
        password=environ.get("DFR_BACKUP_SFTP_PASSWORD") or "",
        private_key=_private_key(environ),
        passphrase=environ.get("DFR_BACKUP_SFTP_PASSPHRASE") or "",
        directory=url.path or "/",
        host_key=environ.get("DFR_BACKUP_SFTP_HOST_KEY")
        or _known_host(url.hostname, port),
    )


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


def by_hand(config: SftpConfig) -> ByHand:
    """Return how a person reaches the directory: scp asks for the password itself."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    folder = config.directory.rstrip("/") + "/" if config.directory else ""
    source = quote(f"{config.user}@{host}:{folder}")
    key = ' -i "$DFR_BACKUP_SFTP_KEY"' if config.private_key else ""
    secrets = {
        "DFR_BACKUP_SFTP_PASSWORD": config.password,
        "DFR_BACKUP_SFTP_PASSPHRASE": config.passphrase,
    }
    return ByHand(
        f'scp -P {config.port}{key} {source}"$1" files/',
        is_addressed=True,
        given={"DFR_BACKUP_SFTP_HOST_KEY": config.host_key} if config.host_key else {},
        asked=["DFR_BACKUP_SFTP_KEY"] if config.private_key else [],
        secrets=[name for name, value in secrets.items() if value],
    )
