"""A storage from an address on the command line; what is secret comes from the
environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors.command_line import AddressUnclear, UnknownScheme
from .base import Storage
from .local.storage import LocalRules, LocalStorage
from .registry import kinds

EXAMPLES = "/var/backups/odoo/, s3://bucket/folder/, sftp://user@host/folder/"


def storage_at(
    address: str, environ: Mapping[str, str] | None = None, *, folder: bool = False
) -> tuple[Storage, str]:
    """Return the storage that ``address`` leads to, and the key of the object in it.

    A path, or an address such as ``s3://bucket/prefix/key`` whose scheme is that of a
    kind. The key is "" when the address ends with "/" or ``folder`` is true: then all
    of it names the storage. Raise PermanentError.
    """
    environ = os.environ if environ is None else environ
    if "\0" in address:
        raise AddressUnclear(examples=EXAMPLES)
    if "://" not in address:
        return _local(Path(address), folder or address.endswith("/"))
    parts = _split(address)
    path = parts.path if parts.path.endswith("/") or not folder else f"{parts.path}/"
    folder_path, _slash, key = unquote(path).rpartition("/")
    for kind in kinds():
        if kind.scheme and parts.scheme == kind.scheme:
            return kind.engine.from_url(parts._replace(path=folder_path), environ), key
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
