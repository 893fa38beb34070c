"""Where the databases that a restore has made answer."""

from urllib.parse import quote, urlsplit

from odoo import http


def address_of(record, database):
    """Return where ``database`` answers, when the Odoo of ``record`` serves it."""
    return f"{record.get_base_url()}/web?db={quote(database)}"


def is_served(record, database):
    """Tell whether odoo.conf lets this Odoo serve ``database``."""
    host = urlsplit(record.get_base_url()).netloc
    return bool(http.db_filter([database], host=host))
