"""An archive becomes a database and a filestore again."""
