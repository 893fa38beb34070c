Incremental backups work in buckets with Object Lock: the packs that a backup needs stay locked as long as the backup, and a prune leaves what is still locked until it may be deleted.
