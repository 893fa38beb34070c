Old backups are deleted by rules (hourly to yearly, a minimum, protected ones never), with a preview and a
reason for each, and only after a new one has been verified in the same storage.
