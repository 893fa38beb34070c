Incremental backups: a plan can store each attachment once. A backup then stores what its storage does not have yet, and shares the rest with the backups before it.
