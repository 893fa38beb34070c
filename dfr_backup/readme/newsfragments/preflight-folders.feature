The check before a restore also finds a filestore or addons folder that cannot be written, and a ``db_template`` that cannot be used.
