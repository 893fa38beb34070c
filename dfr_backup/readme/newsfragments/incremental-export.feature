``odoo backup export`` makes one complete zip of a stored backup, incremental or encrypted, which Odoo itself restores.
