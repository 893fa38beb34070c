"""One file of the server's operator: what the backups of all databases have in
common."""
