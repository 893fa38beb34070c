"""Who a database is, and which locations belong to it."""
