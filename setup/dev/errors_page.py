#!/usr/bin/env python3
"""Write docs/errors.rst: every error of the engine and of runs, and what to do about
it. It is made from the classes in dfr_backup/engine/errors."""

import importlib
import pkgutil
import re
import sys
import types
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs/errors.rst"
# the modules of the package, in the order of the page
SUBJECTS = {
    "dump": "Database and dump",
    "archive": "Archive and working directory",
    "packs": "Incremental backups",
    "fetch": "Reading and fetching an archive",
    "restore": "Restore",
    "staging": "Staging copies",
    "encryption": "Encryption",
    "secrets": "Stored secrets",
    "storage": "Every storage",
    "places": "Locations",
    "local": "Local directories",
    "s3": "S3",
    "sftp": "SFTP",
    "rclone": "rclone",
    "command_line": "Command line",
    "identity": "Which database is the original",
    "trust": "Trust in stored files",
    "people": "Rights and passwords",
    "outbound": "Outgoing calls",
    "monitors": "Monitors",
    "watching": "Other servers",
    "server": "All databases of a server",
    "runs": "Runs",
    "profile": "One file for a server",
    "other": "Everything else",
}
PLACE = re.compile(r"%\(\w+\)s")
NOTHING = "The message says what there is to say."
HEAD = """\
===================================
Every error message, and its remedy
===================================

.. Made from the source by setup/dev/errors_page.py: do not edit.

Every error has a code, such as DUMP-01, which is the same in every language: it stands
beside the message in the run and its step, in emails, in the JSON of monitors, webhooks
and commands. Look for the code, or for a part of the message: “…” stands for a name, a
path, a number or what a server has answered. A line with *tried again* is one that goes
on by itself: the run says so, and only fails when it stays. Under a message is what to
do.

When there is no message, or too many: `Troubleshooting <troubleshooting.rst>`__.
"""


def engine():
    """Return the package of errors, imported without Odoo."""
    package = types.ModuleType("dfr_backup")
    package.__path__ = [str(REPO / "dfr_backup")]
    sys.modules.setdefault("dfr_backup", package)
    errors = importlib.import_module("dfr_backup.engine.errors")
    for module in pkgutil.iter_modules(errors.__path__):
        importlib.import_module(f"{errors.__name__}.{module.name}")
    return errors


def page():
    """Return the page."""
    errors = engine()
    again = (errors.RetryableError, errors.Deferred)
    places = {f"{errors.__name__}.{name}" for name in SUBJECTS}
    modules = {cls.__module__ for cls in errors.error_classes().values()}
    homeless = {name for name in modules - places if name.startswith("dfr_backup.")}
    if homeless:
        raise SystemExit(f"no place on the page: {', '.join(sorted(homeless))}")
    parts = [HEAD]
    for name, title in SUBJECTS.items():
        module = importlib.import_module(f"{errors.__name__}.{name}")
        own = [
            cls
            for cls in errors.error_classes().values()
            if cls.__module__ == module.__name__
        ]
        parts.append(f"\n{title}\n{'=' * len(title)}\n")
        parts += [_entry(cls, again) for cls in sorted(own, key=_number)]
    return "\n".join(parts)


def _number(cls):
    return int(cls.code.rpartition("-")[2])


def _entry(cls, again):
    tried = " *(tried again)*" if issubclass(cls, again) else ""
    names = [
        name for name in dir(cls) if name == "remedy" or name.startswith("remedy_")
    ]
    remedies = list(dict.fromkeys(filter(None, (getattr(cls, name) for name in names))))
    remedies = [_shown(text) for text in remedies or [NOTHING]]
    if getattr(cls, "acceptable", False):
        remedies.append(f"To go on all the same: ``--accept {cls.finding}``.")
    bullet = "* " if len(remedies) > 1 else ""
    lines = [f".. _{cls.code}:\n", f"**{cls.code}** {_shown(cls.template)}{tried}"]
    return "\n".join([*lines, *(f"    {bullet}{text}" for text in remedies)]) + "\n"


def _shown(template):
    """Return a template as reStructuredText, with “…” for what is filled in."""
    text = PLACE.sub("…", template) % ()
    text = re.sub(r"\s+", " ", re.sub(r"…(?:[ /:]*…)+", "…", text)).strip()
    return re.sub(r"([*`|\\])|_(?=\W|$)", lambda match: "\\" + match[0], text)


if __name__ == "__main__":
    PAGE.write_text(page())
