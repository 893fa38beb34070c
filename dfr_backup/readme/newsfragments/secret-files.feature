What the environment and odoo.conf say of secrets may be in a file, as containers have it: `DFR_BACKUP_KEY_FILE`, `DFR_BACKUP_OFFSITE_S3_SECRET_KEY_FILE`.
