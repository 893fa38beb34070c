"""Directories of this server."""
