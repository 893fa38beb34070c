"""Who may do what with backups."""

MANAGER = "dfr_backup.group_manager"
