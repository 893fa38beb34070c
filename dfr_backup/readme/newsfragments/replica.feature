With `dfr_backup_use_replica = True` in odoo.conf, dumps come from the read replica that `db_replica_host` names, and from the primary when that one is behind or cancels them.
