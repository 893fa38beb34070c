"""What a small object tells about a storage: whether it can be listed, and deleted."""

import secrets
from collections.abc import Callable

from ..errors.storage import NotPermitted, ProbeDiffers
from ..messages import Message, _
from .base import Capabilities, Storage

CANNOT_LIST = _(
    "The credentials do not allow listing %(location)s: lost backups are not "
    "noticed, old ones are not deleted, and none can be incremental."
)
CANNOT_DELETE = _(
    "Nothing can be deleted in %(location)s: old backups have to be removed by its "
    "owner, and so has the test file %(key)s."
)


def probe(storage: Storage, key: str, deletes: Callable[[str], bool]) -> Capabilities:
    """Write, read back and list an object of this key, and delete it by ``deletes``,
    which tells whether that is allowed. Raise EngineError."""
    token = secrets.token_bytes(1024)
    storage.put_bytes(token, key)
    can_list, keys = True, {key}
    try:
        with storage.open(key) as stream:
            intact = stream.read() == token
        try:
            keys = {found.key for found in storage.list()}
        except NotPermitted:
            can_list = False
        if not intact or key not in keys:
            raise ProbeDiffers(location=storage.location(""))
    finally:
        can_delete = deletes(key)
    about = {"location": storage.location(""), "key": key}
    told = (CANNOT_LIST, can_list), (CANNOT_DELETE, can_delete)
    notes = [Message(template, **about) for template, allowed in told if not allowed]
    return Capabilities(can_delete, notes=tuple(notes), can_list=can_list)
