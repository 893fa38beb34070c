*Backups* shows dates instead of file names, until when each backup is kept, and why. On a phone they are cards.
