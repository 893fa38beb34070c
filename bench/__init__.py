"""Side by side: our backup, Odoo's own dump and OCA's auto_backup, on the same
database."""
