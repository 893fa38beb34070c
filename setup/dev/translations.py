"""Bring dfr_backup/i18n up to date with a fresh export, and say what is still to
translate.

Used as: translations.py EXPORTED.pot. The exit status is 1 when a translation is not
complete.
"""

import sys
from pathlib import Path

import polib

FOLDER = Path(__file__).parents[2] / "dfr_backup" / "i18n"
# what changes with each export, and says nothing
DATES = ("POT-Creation-Date", "PO-Revision-Date")


def main() -> int:
    template = polib.pofile(sys.argv[1], wrapwidth=78)
    for name in DATES:
        template.metadata.pop(name, None)
    template.sort(key=lambda entry: entry.msgid)
    template.save(str(FOLDER / "dfr_backup.pot"))
    print(f"dfr_backup.pot: {len(template)} terms")
    return max(
        [update(path, template) for path in sorted(FOLDER.glob("*.po"))], default=0
    )


def update(path: Path, template: polib.POFile) -> int:
    """Give a translation the terms of the template. What is translated already
    stays."""
    translation = polib.pofile(str(path), wrapwidth=78)
    translation.merge(template)
    for entry in translation.obsolete_entries():
        translation.remove(entry)
    translation.sort(key=lambda entry: entry.msgid)
    translation.save()
    missing = [entry.msgid for entry in translation if not entry.msgstr or entry.fuzzy]
    print(
        f"{path.name}: {len(translation) - len(missing)} translated, {len(missing)} to "
        "do"
    )
    for term in missing[:10]:
        print(f"    {term[:100]!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
