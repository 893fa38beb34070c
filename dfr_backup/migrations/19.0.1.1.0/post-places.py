"""Note which storages are older than the owners of locations: they may go on where
backups of theirs are."""


def migrate(cr, version):
    if version:
        cr.execute("UPDATE backup_storage SET was_there = true WHERE place_id IS NULL")
