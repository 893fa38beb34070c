"""Give the errors of runs from before this release their code, found by their text,
which they keep; and note which storages have been prepared."""

import json
import re
from pathlib import Path

GAP = "…"  # stands in the table for what was filled in
NAME_ENDS = ": "  # a text that begins with a value would take a step's name for it
LETTERS = 7  # a text with fewer of them outside of its gaps would fit anything
# a storage that has worked is not made again where it is missing
PREPARED = """
    UPDATE backup_storage
       SET prepared_at = coalesce(last_test, now() AT TIME ZONE 'UTC')
     WHERE last_test IS NOT NULL AND last_test_error IS NULL
"""
# a run that failed says what its first failed step says, mostly behind its name
OF_STEP = """
    UPDATE backup_job job SET error_code = said.error_code
      FROM (SELECT DISTINCT ON (failed.id) failed.id, step.error_code
              FROM backup_job failed JOIN backup_step step ON step.job_id = failed.id
             WHERE failed.error_code IS NULL AND step.state = 'failure'
               AND (failed.error = step.error
                    OR right(failed.error, length(step.error) + 2)
                       = ': ' || step.error)
             ORDER BY failed.id, step.sequence, step.id) said
     WHERE job.id = said.id
"""
LONGEST = 2000  # characters of an error that may still be one text


def migrate(cr, version):
    if not version:
        return
    cr.execute(PREPARED)
    patterns = _patterns()
    _fill(cr, "backup_step", patterns)
    cr.execute(OF_STEP)
    _fill(cr, "backup_job", patterns)


def _fill(cr, table, patterns):
    """Give each error of a table without a code that of its text."""
    missing = "error IS NOT NULL AND error_code IS NULL"
    cr.execute(f"SELECT DISTINCT error FROM {table} WHERE {missing}")  # noqa: S608
    for (error,) in cr.fetchall():
        code = _find(error, patterns)
        if code:
            cr.execute(
                f"UPDATE {table} SET error_code = %s"  # noqa: S608 (two constants)
                f" WHERE error = %s AND {missing}",
                [code, error],
            )


def _patterns():
    """Return (pattern, text, code) of each text of the release before."""
    codes = json.loads((Path(__file__).parent / "codes.json").read_text("utf-8"))
    found = []
    for code, text in codes.items():
        pieces = text.split(GAP)
        if sum(map(str.isalpha, text)) >= LETTERS or len(pieces) == 1:
            pattern = "(?s:(.*?))".join(map(re.escape, pieces))
            found.append((re.compile(pattern), text, code))
    return found


def _find(error, patterns):
    """Return the code of an error: of the texts that fit, the one that is a case of
    all others. None where there is no such text: then it may be any of them."""
    said = " ".join(error[: LONGEST + 1].split())
    if len(said) > LONGEST:
        return None
    fitting = [entry for entry in patterns if entry[0].fullmatch(said)]
    for found, text, code in fitting:
        if all(pattern.fullmatch(text) for pattern, _text, _code in fitting):
            named = text.startswith(GAP) and NAME_ENDS in found.fullmatch(said)[1]
            return None if named else code
    return None
