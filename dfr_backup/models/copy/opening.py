"""A stored archive, opened where it is."""

from contextlib import contextmanager

from ...engine.encryption.files import Passphrase, open_decrypted, parse_identities
from ...engine.errors.fetch import KeyNeeded
from ...engine.packs.looking import look_into_backup
from ..engine_messages import translate_engine_errors


def key_of(copy):
    """Return what this server has to decrypt the archive of a copy with, "" when it
    has nothing. Raise EngineError."""
    plan = copy.plan_id
    if not plan:
        return ""
    by_passphrase = (copy.job_id.encryption or plan.encryption) == "passphrase"
    return plan._read_secret("age_passphrase" if by_passphrase else "age_identity")


def identities_of(copy, given=""):
    """Return what decrypts the archive: the key that somebody has ``given``, or the one
    of this server. None when there is none. Raise PermanentError when it is not one."""
    text = given or key_of(copy)
    if not text or not copy.encrypted:
        return None
    if "AGE-SECRET-KEY-" in text or "PRIVATE KEY" in text:
        return parse_identities(text)
    return Passphrase(text)


def require_key(copy, given=""):
    """Raise PermanentError unless the key that somebody has ``given``, or the one of
    this server, opens the archive: its first bytes tell, and nothing else is read."""
    if not copy.encrypted:
        return
    identities = identities_of(copy, given)
    if identities is None:
        raise KeyNeeded()
    storage = copy.storage_id._get_storage()
    with storage.open(copy.key) as stream, open_decrypted(stream, identities) as plain:
        plain.read(1)


@contextmanager
def looked_into(copy, given=""):
    """Open the archive. Raise UserError, also for what the body meets."""
    with translate_engine_errors(copy.env):
        identities = identities_of(copy, given)
        storage, known = copy.storage_id._get_storage(), copy._catalogued()
        with look_into_backup(storage, copy.key, identities, known) as reader:
            yield reader
