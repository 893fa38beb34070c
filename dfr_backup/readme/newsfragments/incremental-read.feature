Incremental backups are restored, tested, verified, looked into, compared and used for repairs as complete ones are. What is lost in a pack is taken from another one that has it.
