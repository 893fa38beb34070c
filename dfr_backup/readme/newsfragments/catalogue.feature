Stored backups can be scanned, verified again (also on a schedule), protected, downloaded and deleted.
