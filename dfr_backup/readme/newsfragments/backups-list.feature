*Backups* shows dates instead of file names, until when each backup is kept, and why.
