"""Compare a database with its restored copy: rows of every table, and every attachment
file.

    compare.py RESTORED DATA_DIR MANIFEST

The original goes on living after its backup, so the rows are compared with those that
the manifest has counted in the backup's own snapshot. Exit status 1 when something
differs.
"""

import hashlib
import json
import sys
from pathlib import Path

import psycopg2
from psycopg2 import sql

# What "odoo db load" itself changes in the copy: it gives the copy a new identity, and
# loads its modules once
CHANGED_BY_LOAD = {
    '"public"."ir_config_parameter"': "new uuid and secret",
    '"public"."base_registry_signaling"': "the registry was loaded",
    '"public"."orm_signaling_registry"': "the registry was loaded",
}


def rows(database):
    """Return {table: number of rows}."""
    with psycopg2.connect(dbname=database) as session, session.cursor() as cr:
        cr.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        )
        counts = {}
        for names in cr.fetchall():
            table = sql.Identifier(*names)
            cr.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(table))
            counts[table.as_string(session)] = cr.fetchone()[0]
        return counts


def attachments(database):
    """Return the attachment files that the database refers to."""
    with psycopg2.connect(dbname=database) as session, session.cursor() as cr:
        cr.execute(
            "SELECT DISTINCT store_fname FROM ir_attachment WHERE store_fname IS NOT "
            "NULL"
        )
        return {name for (name,) in cr.fetchall()}


def broken_files(database, data_dir):
    """Return the files that are missing or whose content is not what their name
    says."""
    root = Path(data_dir, "filestore", database)
    return [
        name
        for name in sorted(attachments(database))
        if not (root / name).is_file() or _sha1(root / name) != Path(name).name
    ]


def _sha1(path):
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def _sha1(path):
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def main(restored, data_dir, manifest):
    expected = json.loads(Path(manifest).read_text())["dfr_backup"]["rows"]
    found = rows(restored)
    different = [
        f"{table}: {expected.get(table)} rows when saved, {found.get(table)} restored"
        for table in sorted(expected.keys() | found.keys())
        if expected.get(table) != found.get(table) and table not in CHANGED_BY_LOAD
    ]
    broken = broken_files(restored, data_dir)
    print(
        f"{len(found)} tables, {sum(found.values()):,} rows; "
        f"{len(attachments(restored))} files"
    )
    print(
        "\n".join(different + [f"broken file: {name}" for name in broken])
        or "All the same."
    )
    return 1 if different or broken else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
