"""The archive: a zip that Odoo restores, written and read back without being
believed."""
