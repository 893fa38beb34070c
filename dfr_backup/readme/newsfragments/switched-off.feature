`dfr_backup_enabled = False` in odoo.conf switches backups off on a server: no run starts there, nothing is deleted and nobody is notified.
