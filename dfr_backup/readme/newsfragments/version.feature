New code without an upgrade of the database is no longer silent: the overview, `odoo backup`, the health endpoint and a
mail to those who look after backups say which command upgrades it, and the scheduled action stays on.
