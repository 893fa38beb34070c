"""Attachment files of incremental backups, each stored once in a pack."""
