"""How all databases of a server are, asked in SQL."""
