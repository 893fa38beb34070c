"""PostgreSQL: connections, client programs, the snapshot and the dump of it."""
