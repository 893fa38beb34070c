"""A database ``days_<size>`` like that of an office, and what a day does to it.

Attachments are many and mostly small (lognormal around 14 KiB), five times the SQL
in all. The base is made once; each round works on a copy of it.
"""

import math
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache

import psycopg2
from psycopg2.extras import execute_values

from . import content, places

FORMAT = 1  # raise it when other content is made, so that what is cached is made again
FILES = 100_000  # with 1 GiB of SQL, and so in proportion
MEDIAN = 14 << 10  # bytes of a file
SPREAD = 1.6  # of the logarithm: then the mean is 50 KiB
LARGEST = 15 << 20  # bytes: less than there is text
NEW, DELETED = 0.003, 0.0005  # of the files, each day
WORK = "days_work"
PHOTOS = 0.5  # of the files, which do not shrink; the rest is text, and half text

UPDATE = """
UPDATE bench_mail_message SET preview = md5(id::text || %(day)s),
    write_date = now() WHERE id %% 200 = %(day)s;
UPDATE bench_account_move_line SET reconciled = NOT reconciled,
    write_date = now() WHERE id %% 200 = %(day)s;
"""
INSERT = """
INSERT INTO bench_mail_message SELECT (SELECT max(id) FROM bench_mail_message)
    + row_number() OVER (), parent_id, subject, now(), body || md5(id::text), preview,
    model, res_id, author_id, message_id || %(day)s, message_type, email_from,
    create_uid, now(), write_uid, now()
  FROM bench_mail_message WHERE id %% 1000 = %(day)s;
INSERT INTO bench_account_move_line SELECT (SELECT max(id) FROM
    bench_account_move_line) + row_number() OVER (), move_id, journal_id, company_id,
    account_id, partner_id, currency_id, move_name, name, parent_state, now(), debit,
    credit, balance, amount_currency, amount_residual, quantity, price_unit, tax_amount,
    reconciled, tax_line_id, full_reconcile_id, display_type, create_uid, now(),
    write_uid, now()
  FROM bench_account_move_line WHERE id %% 1000 = %(day)s;
"""
ATTACHMENTS = (
    "INSERT INTO ir_attachment (name, type, mimetype, checksum, store_fname, "
    "file_size, create_uid, write_uid, create_date, write_date) VALUES %s"
)


def ensure(size):
    """Return the name of the base, which is built if it is not there."""
    database = f"days_{size}"
    mark = f"days {FORMAT}"
    if not content.is_built(database, mark):
        content.build(database, size, content.MODULES, _fill, mark)
    return database


def begin(base):
    """Let ``WORK`` be as the base is."""
    drop(WORK)
    subprocess.run(["createdb", "-T", base, WORK], check=True)
    copy = ["cp", "-al", places.filestore(base), places.filestore(WORK)]
    subprocess.run(copy, check=True)  # links: no file of a filestore ever changes


def drop(database):
    """Delete a database, if there is one, and its files."""
    silent = {**os.environ, "PGOPTIONS": "-c client_min_messages=error"}
    command = ["dropdb", "--if-exists", database]
    subprocess.run(command, env=silent, check=True)
    shutil.rmtree(places.filestore(database), ignore_errors=True)


def live(size, day):
    """Let a day of work go by in ``WORK``: rows change and are added, files come and
    go, and the server cleans up."""
    chance, text = random.Random(f"{size} {day}"), _text()
    connection = psycopg2.connect(dbname=WORK)
    with connection, connection.cursor() as cr:
        cr.execute(UPDATE + INSERT, {"day": day})
        _delete(cr, chance, max(1, round(files(size) * DELETED)))
        _add(cr, chance, text, max(3, round(files(size) * NEW)))
    connection.autocommit = True
    with connection.cursor() as cr:
        cr.execute("VACUUM (ANALYZE)")
    connection.close()


@lru_cache
def _text():
    return content.make_text(random.Random(1)).encode()


def files(size):
    """Return how many files a base of that size has."""
    return FILES * size // 1024


def _fill(cr, chance, text, size, root):
    rows = list(_stored(chance, text, files(size >> 20), root))
    execute_values(cr, ATTACHMENTS, rows, page_size=1000)


def _add(cr, chance, text, count):
    rows = list(_stored(chance, text, count, places.filestore(WORK)))
    execute_values(cr, ATTACHMENTS, rows, page_size=1000)


def _delete(cr, chance, count):
    cr.execute(
        "SELECT id, store_fname FROM ir_attachment WHERE name LIKE 'file %' ORDER BY id"
    )
    for number, store_fname in chance.sample(cr.fetchall(), count):
        cr.execute("DELETE FROM ir_attachment WHERE id = %s", [number])
        (places.filestore(WORK) / store_fname).unlink()


def _stored(chance, text, count, root) -> Iterator[tuple]:
    """Make so many files; yield the row of each."""
    for number in range(count):
        mimetype, data = _file(chance, text)
        stored = content.store(root, data)
        about = f"file {number}", "binary", mimetype, *stored
        yield *about, 1, 1, "2024-01-01", "2024-01-01"


def _file(chance, text):
    size = min(LARGEST, int(chance.lognormvariate(math.log(MEDIAN), SPREAD)) + 16)
    if chance.random() < PHOTOS:
        return "image/jpeg", content.PHOTO + chance.randbytes(size)
    unlike = chance.randbytes(8).hex().encode()  # no two files are alike
    at = chance.randrange(len(text) - size)
    if chance.random() < PHOTOS:
        return "text/plain", unlike + text[at : at + size]
    return "application/pdf", unlike + text[at : at + size // 2] + chance.randbytes(
        size - size // 2
    )
