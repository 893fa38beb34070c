"""Let the server note which database is the original: of several of the cluster with
one uuid that accept connections, the one with the lowest OID."""

from odoo import SUPERUSER_ID, api


def migrate(cr, version):
    if version:
        api.Environment(cr, SUPERUSER_ID, {})["backup.identity"]._remember()
