"""What a file is, by its first bytes: an archive, or what others take for a backup."""

import re

from ..errors.archive import CompressedFile, PlainDump
from ..errors.fetch import PgDumpFormat

HEAD = 1024  # bytes: enough to know a format, and age's kind of key
ZIP = b"PK\x03\x04"
AGE, ARMOUR = b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"
GZIP = b"\x1f\x8b"
CUSTOM = b"PGDMP"
# how pg_dump begins, or whoever has taken its comments away
SQL = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:--|SET |CREATE |\\restrict )")


def is_age(head: bytes) -> bool:
    """Tell whether a file that begins like this is encrypted by age; before an armour
    there may be white space."""
    return head.startswith(AGE) or head.lstrip().startswith(ARMOUR)


def refuse_dumps(head: bytes) -> None:
    """Raise PermanentError for a file that begins like a dump, packed or not."""
    if head.startswith(CUSTOM):
        raise PgDumpFormat
    if head.startswith(GZIP):
        raise CompressedFile
    if SQL.match(head) and not is_age(head):
        raise PlainDump
