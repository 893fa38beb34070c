"""Give the errors of runs from before this release their code, found by their text,
which they keep; and note which storages have been prepared."""

import json
import re
from pathlib import Path

GAP = "…"  # stands in the table for what was filled in
LETTERS = 7  # a text with fewer of them outside of its gaps would fit anything
# a storage that has worked is not made again where it is missing
PREPARED = """
    UPDATE backup_storage
       SET prepared_at = coalesce(last_test, now() AT TIME ZONE 'UTC')
     WHERE last_test IS NOT NULL AND last_test_error IS NULL
"""
LONGEST = 2000  # characters of an error that may still be one text


def migrate(cr, version):
    if not version:
        return
    cr.execute(PREPARED)
    codes = json.loads((Path(__file__).parent / "codes.json").read_text("utf-8"))
    patterns = _patterns(codes)
    for table in ("backup_step", "backup_job"):
        cr.execute(
            f"SELECT DISTINCT error FROM {table}"  # noqa: S608 (one of two constants)
            " WHERE error IS NOT NULL AND error_code IS NULL"
        )
        for (error,) in cr.fetchall():
            code = _find(error, patterns)
            if code:
                cr.execute(
                    f"UPDATE {table} SET error_code = %s WHERE error = %s"  # noqa: S608
                    " AND error_code IS NULL",
                    [code, error],
                )


def _patterns(codes):
    """Return (pattern, code) of each text, those that say most first."""
    found = []
    for code, text in codes.items():
        pieces = text.split(GAP)
        letters = sum(map(str.isalpha, "".join(pieces)))
        if letters >= LETTERS or len(pieces) == 1:
            pattern = "(?s:.*?)".join(map(re.escape, pieces))
            found.append((letters, re.compile(pattern), code))
    return [(pattern, code) for _letters, pattern, code in sorted(found, key=_rank)]


def _rank(entry):
    return -entry[0]


def _find(error, patterns):
    """Return the code of an error, which may stand behind the name of its step."""
    text = " ".join(error[: LONGEST + 1].split())
    if len(text) > LONGEST:
        return None
    endings = [text, *(text[at.end() :] for at in re.finditer(": ", text))]
    for ending in endings:
        for pattern, code in patterns:
            if pattern.fullmatch(ending):
                return code
    return None
