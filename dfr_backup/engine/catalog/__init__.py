"""Stored backups: listed, fetched, received, looked into, compared."""
