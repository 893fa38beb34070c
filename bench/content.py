"""A database ``bench_<size>`` with that many MiB of SQL and as many of attachments,
made once.

The text is of words by Zipf's law, so that deflate makes a third of it. The attachments
are of real records, named by their checksums: half like photos, which do not shrink,
half like text and PDF files.
"""

import contextlib
import hashlib
import random
import shutil
import subprocess

import psycopg2
from psycopg2.extras import execute_values

from . import places

FORMAT = 2  # raise it when other content is made, so that what is cached is made again
MIB = 1 << 20
PARAGRAPHS = 20000
POOL = 16 * MIB  # characters of text from which files are cut
MESSAGE_SHARE = 0.8  # of the SQL; the rest is journal items, many short numbers
PHOTO = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
MODULES = ["base", "web", "mail", "dfr_backup"]

MESSAGES = """
INSERT INTO bench_mail_message SELECT g, nullif(mod(g, 7), 0),
  'Re: ' || left(p.body, 40),
  timestamp '2019-01-01' + g * interval '97 seconds',
  '<p>' || p.body || '</p><p>' || q.body || '</p>', left(p.body, 100),
  (ARRAY['sale.order', 'account.move', 'crm.lead', 'project.task', 'res.partner']
    )[1 + mod(g, 5)],
  g / 3, (random() * 9000)::int, '<' || md5(g::text) || '@example.com>',
  (ARRAY['comment', 'email', 'notification'])[1 + mod(g, 3)],
  'user' || mod(g, 900) || '@example.com', 2, now(), 2, now()
 FROM (SELECT g, (random() * %(last)s)::int a, (random() * %(last)s)::int b
         FROM generate_series(%(first)s, %(until)s) g OFFSET 0) s
 JOIN bench_paragraph p ON p.id = a JOIN bench_paragraph q ON q.id = b
"""
ITEMS = """
INSERT INTO bench_account_move_line SELECT g, g / 4, 1 + mod(g, 9), 1,
  (random() * 400)::int, (random() * 9000)::int, 1,
  'INV/2024/' || lpad((g / 4)::text, 7, '0'), left(p.body, 48), 'posted',
  date '2019-01-01' + mod(g, 2000), round(amount, 2), 0, round(amount, 2),
  round(amount, 2), 0,
  (random() * 20)::int, round(amount / 3, 2), round(amount * 0.21, 2), mod(g, 3) = 0,
  mod(g, 11), NULL, 'product', 2, now(), 2, now()
 FROM (SELECT g, (random() * %(last)s)::int a, (random() * 5000)::numeric amount
         FROM generate_series(%(first)s, %(until)s) g OFFSET 0) s
 JOIN bench_paragraph p ON p.id = a
"""
TABLES = """
CREATE TABLE bench_paragraph (id int PRIMARY KEY, body text);
CREATE TABLE bench_mail_message (id int PRIMARY KEY, parent_id int, subject varchar,
  date timestamp, body text, preview varchar, model varchar, res_id int, author_id int,
  message_id varchar, message_type varchar, email_from varchar, create_uid int,
  create_date timestamp, write_uid int, write_date timestamp);
CREATE TABLE bench_account_move_line (id int PRIMARY KEY, move_id int, journal_id int,
  company_id int, account_id int, partner_id int, currency_id int, move_name varchar,
  name varchar, parent_state varchar, date date, debit numeric, credit numeric,
  balance numeric,
  amount_currency numeric, amount_residual numeric, quantity numeric,
  price_unit numeric, tax_amount numeric, reconciled boolean, tax_line_id int,
  full_reconcile_id int,
  display_type varchar, create_uid int, create_date timestamp, write_uid int,
  write_date timestamp);
"""
MARKED = """
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s
"""


def ensure(size):
    """Return the name of the database, which is built if it is not there."""
    database = f"bench_{size}"
    oca = ["auto_backup"] if places.has_oca() else []
    mark = f"bench {FORMAT} {oca}"
    if not is_built(database, mark):
        build(database, size, MODULES + oca, _fill_filestore, mark)
    else:
        places.odoo(
            "-d",
            database,
            "-u",
            "dfr_backup",
            "--stop-after-init",
            "--no-http",
            log="build.log",
        )
    return database


def is_built(database, mark):
    """Tell whether a database was made to the end, with its files, and as ``mark``
    says."""
    connection = psycopg2.connect(dbname="postgres")
    with contextlib.closing(connection), connection.cursor() as cr:
        cr.execute(MARKED, [database])
        found = cr.fetchone()
    return found == (mark,) and places.filestore(database).is_dir()


def build(database, size, modules, fill_files, mark):
    """Make a database with so many MiB of SQL, and the files that ``fill_files``
    makes. Its comment says that it is complete, so that the one goes with the other."""
    subprocess.run(["dropdb", "--if-exists", database], check=True)
    shutil.rmtree(places.filestore(database), ignore_errors=True)
    install = [
        "-d",
        database,
        "-i",
        ",".join(modules),
        "--stop-after-init",
        "--no-http",
    ]
    places.odoo(*install, log="build.log")
    chance = random.Random(size)
    text = make_text(chance)
    connection = psycopg2.connect(dbname=database)
    with connection, connection.cursor() as cr:
        cr.execute(TABLES)
        _fill_tables(cr, chance, text, size * MIB)
        fill_files(cr, chance, text.encode(), size * MIB, places.filestore(database))
    connection.autocommit = True
    with connection.cursor() as cr:
        cr.execute("VACUUM (FREEZE, ANALYZE)")
        cr.execute(f"COMMENT ON DATABASE {database} IS %s", [mark])
    connection.close()


def make_text(chance):
    """Return words by Zipf's law, with the punctuation of prose."""
    letters = "eeeetttaaooiinnsshhrrddlucmfwypvbgkqjxz"
    words = [
        "".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(30000)
    ]
    words[:200] = [word[:3] for word in words[:200]]  # frequent words are short
    words = [word + chance.choice(["", "", "", "", ",", "."]) for word in words]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    return " ".join(chance.choices(words, weights, k=POOL // 6))


def _fill_tables(cr, chance, text, size):
    starts = (chance.randrange(len(text) - 1000) for _ in range(PARAGRAPHS))
    paragraphs = [
        (n, text[at : at + chance.randint(100, 900)]) for n, at in enumerate(starts)
    ]
    execute_values(
        cr, "INSERT INTO bench_paragraph VALUES %s", paragraphs, page_size=1000
    )
    _fill_table(cr, "bench_mail_message", MESSAGES, size * MESSAGE_SHARE)
    _fill_table(cr, "bench_account_move_line", ITEMS, size * (1 - MESSAGE_SHARE))
    cr.execute("DROP TABLE bench_paragraph")


def _fill_table(cr, table, insert, size, sample=2000):
    """Insert rows of ``size`` bytes in all, as text; a sample tells how long a row
    is."""
    cr.execute("SET LOCAL enable_mergejoin = off")
    cr.execute(insert, {"last": PARAGRAPHS - 1, "first": 1, "until": sample})
    cr.execute(f"SELECT avg(octet_length(t::text)) FROM {table} t")
    rows = int(size / float(cr.fetchone()[0]))
    if rows > sample:
        cr.execute(insert, {"last": PARAGRAPHS - 1, "first": sample + 1, "until": rows})


def _fill_filestore(cr, chance, text, size, root):
    rows = []
    for make, mimetype, share in (
        (_photo, "image/jpeg", size // 2),
        (_plain, "text/plain", size // 4),
        (_pdf, "application/pdf", size // 4),
    ):
        while share > 0:
            content = make(chance, text)
            rows.append(
                (f"file {len(rows)}", "binary", mimetype, *store(root, content))
            )
            share -= len(content)
    execute_values(
        cr,
        "INSERT INTO ir_attachment (name, type, mimetype, checksum, store_fname, "
        "file_size, create_uid, write_uid, create_date, write_date) VALUES %s",
        [(*row, 1, 1, "2024-01-01", "2024-01-01") for row in rows],
        page_size=1000,
    )


def store(root, content):
    """Store a file of a filestore; return its checksum, its name, and its bytes."""
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    path = root / digest[:2] / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest, f"{digest[:2]}/{digest}", len(content)


def _photo(chance, _text):
    return PHOTO + chance.randbytes(chance.randint(100, 500) << 10)


def _length(chance):
    """Between 2 KB and 1 MB, small ones as often as large ones."""
    return int(2048 * 512 ** chance.random())


def _plain(chance, text):
    at = chance.randrange(len(text) - MIB)
    return chance.randbytes(8).hex().encode() + text[at : at + _length(chance)]


def _pdf(chance, text):
    """Objects of text with streams between them that are compressed already."""
    parts, left = [b"%PDF-1.4\n"], _length(chance)
    while left > 0:
        at = chance.randrange(len(text) - MIB)
        parts += [text[at : at + chance.randint(1500, 6000)], b"\nstream\n"]
        parts += [chance.randbytes(chance.randint(1000, 6000)), b"\nendstream\n"]
        left -= sum(map(len, parts[-4:]))
    return b"".join(parts)
