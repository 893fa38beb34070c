"""What somebody may do because he has just said who he is: the addresses that only one
user may open, for one record and for a while; and the records that a session has
opened."""

import time
from datetime import timedelta

from odoo.exceptions import AccessError
from odoo.http import request
from odoo.tools.misc import hash_sign, verify_hash_signed

from ..engine.errors.people import IdentityNotConfirmed
from .engine_messages import translate_engine_errors

OPENED = "dfr_backup-opened"  # the session's key
OPEN_SECONDS = 24 * 3600


def grant(record, scope, seconds):
    """Return the token with which this user, and nobody else, gets at ``record``."""
    granted = [record.id, record.env.uid]
    return hash_sign(record.env(su=True), scope, granted, timedelta(seconds=seconds))


def granted(model, scope, number, token):
    """Return the record that a token lets this user get at; empty when it does not.
    Raise AccessError for somebody who is no backup manager any more."""
    try:
        found = verify_hash_signed(model.env(su=True), scope, token)
    except ValueError:
        return model.browse()
    if found != [number, model.env.uid]:
        return model.browse()
    model.env["backup.copy"]._check_manager()
    return model.browse(number).exists()


def remember_opened(record):
    """Note in the user's session that he has entered his password for ``record``: the
    record itself does not know who works with it."""
    session, now = _session(), time.time()
    known = session.get(OPENED) or {}
    current = {key: until for key, until in known.items() if until > now}
    session[OPENED] = {**current, _key(record): now + OPEN_SECONDS}


def forget_opened(record):
    """Want the password again for ``record``."""
    session = _session()
    known = session.get(OPENED) or {}
    session[OPENED] = {k: until for k, until in known.items() if k != _key(record)}


def is_opened(record):
    """Tell whether this session has entered the password for ``record``."""
    until = (_session().get(OPENED) or {}).get(_key(record), 0)
    return until > time.time()


def require_opened(record):
    """Raise AccessError unless this session has entered the password for ``record``."""
    with translate_engine_errors(record.env, AccessError):
        if not is_opened(record):
            raise IdentityNotConfirmed()


def _key(record):
    return f"{record.env.uid},{record._name},{record.id}"


def _session():
    """Return the session of the present request; outside of one nobody has entered
    anything."""
    return request.session if request else {}
