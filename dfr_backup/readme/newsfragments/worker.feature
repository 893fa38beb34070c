`odoo backup worker`: a process in the foreground that starts waiting runs, for a container or a service with limits of its own; with `dfr_backup_spawn = False` in odoo.conf, Odoo itself starts none.
