"""Addresses that only one user may open, for one record and for a while."""

from datetime import timedelta

from odoo.tools.misc import hash_sign, verify_hash_signed


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
