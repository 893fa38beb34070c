#!/usr/bin/env python3
"""Write docs/errors.rst: every message that the addon can end with, and what to do
about it; and dfr_backup/engine/errortable.py: the code of each.

It reads the source as a tree and runs nothing of it. What is filled in at run time is
shown as “…”. A code that was given stays: of a message that is reworded, reword the old
one in the table, too.
"""

import ast
import json
import re
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ADDON = REPO / "dfr_backup"
ERRORS = {
    "EngineError",
    "PermanentError",
    "RetryableError",
    "Mismatch",
    "Cancelled",
    "Postponed",
}
# findings before a restore that somebody may know better; to accept another one helps
# nobody
ACCEPTABLE = {"modules_missing", "postgres_older", "series", "space"}
AGAIN = {"RetryableError", "Postponed"}
PAGE = REPO / "docs/errors.rst"
TABLE = ADDON / "engine/errortable.py"
TABLE_HEAD = '''"""Every error message and its code. Kept by setup/dev/errors_page.py.

No code is taken away or given twice. Of a message that is reworded, reword the line here, too.
"""

CODES = {
'''
# the first word of a path that fits says which part of the page an error belongs to
SUBJECTS = [
    (
        "Database and dump",
        "DUMP",
        ("engine/postgres", "engine/dump", "engine/snapshot"),
    ),
    (
        "Archive and working directory",
        "ARCHIVE",
        (
            "engine/archive/writer",
            "engine/archive/journal",
            "engine/filestore",
            "flows/backup",
        ),
    ),
    (
        "Reading and fetching an archive",
        "FETCH",
        ("engine/archive", "engine/fetch", "engine/sidecar"),
    ),
    (
        "Restore",
        "RESTORE",
        ("engine/restore/preflight", "engine/restore", "models/backup_job_restore"),
    ),
    ("Encryption", "KEY", ("engine/encryption", "models/backup_job_keeping")),
    ("Stored secrets", "SECRET", ("engine/secretbox", "models/backup_secret_mixin")),
    (
        "Every storage",
        "STORAGE",
        (
            "engine/storages/base",
            "flows",
            "models/backup_copy",
            "models/backup_storage",
        ),
    ),
    ("Local directories", "LOCAL", ("engine/storages/local",)),
    ("S3", "S3", ("engine/storages/s3",)),
    ("SFTP", "SFTP", ("engine/storages/sftp",)),
    ("rclone", "RCLONE", ("engine/storages/rclone",)),
    ("Command line", "CLI", ("engine/storages/url", "console")),
    ("Monitors", "PING", ("engine/ping",)),
    ("Everything else", "OTHER", ("",)),
]
NOTHING = "The message says what there is to say."
HEAD = """\
===================================
Every error message, and its remedy
===================================

.. Made from the source by setup/dev/errors_page.py: do not edit.

Every error has a code, such as DUMP-01, which is the same in every language: it stands beside the
message in the run and its step, in mails, in the JSON of monitors, webhooks and commands. Look for
the code, or for a part of the message: “…” stands for a name, a path, a number or what a server has
answered. A line with *tried again* is one that goes on by itself: the run says so, and only fails
when it stays. Under a message is what to do.

What to look at when there is no message, or too many: `Troubleshooting <troubleshooting.rst>`__.
"""


class Source:
    """One file: what it raises."""

    def __init__(self, path):
        self.tree = ast.parse(path.read_text())
        for parent in ast.walk(self.tree):
            for child in ast.iter_child_nodes(parent):
                child.parent = parent
        self.scopes = {self.tree: _assignments(self.tree)}

    def entries(self):
        """Yield (message, remedies, tried again?, finding to accept) of each error."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Tuple):
                yield from self._table(node)

    def _call(self, node):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        hint = next((k.value for k in node.keywords if k.arg == "hint"), None)
        arguments = node.args
        if name == "Finding":
            yield from self._finding(node)
        elif name == "Meaning" and len(arguments) == 4:
            _pattern, kind, reason, hint = arguments
            again = getattr(kind, "id", "") in AGAIN
            for text in self._text(reason, node):
                yield f"Cannot … in …: {text}.", self._text(hint, node), again, ""
        elif len(arguments) == 2 and all(_is_sentence(part) for part in arguments):
            message, remedy = arguments  # of a helper that makes the error
            yield self._text(message, node)[0], self._text(remedy, node), False, ""
        elif arguments and (name in ERRORS or hint is not None):
            again = name in AGAIN
            for message in self._text(arguments[0], node):
                yield message, self._text(hint, node), again, ""

    def _finding(self, node):
        message, hint = node.args[1:3]
        name = node.args[0].value
        for text in self._text(message, node):
            yield (
                text,
                self._text(hint, node),
                False,
                name if name in ACCEPTABLE else "",
            )

    def _table(self, node):
        """A message and its hint, as two neighbours in a table."""
        if len(node.elts) in (2, 3) and all(
            _is_sentence(part) for part in node.elts[-2:]
        ):
            message, hint = node.elts[-2:]
            yield self._text(message, node)[0], self._text(hint, node), False, ""

    def _text(self, node, place):
        """Return the texts that an expression can be, "…" for what is only known at
        run time."""
        if node is None:
            return []
        if isinstance(node, ast.Constant):
            return [_plain(str(node.value))] if node.value else []
        if isinstance(node, ast.JoinedStr):
            parts = [
                p.value if isinstance(p, ast.Constant) else "…" for p in node.values
            ]
            return [_plain("".join(map(str, parts)))]
        if isinstance(node, ast.IfExp):
            return self._text(node.body, place) + self._text(node.orelse, place)
        if isinstance(node, ast.BinOp):
            return self._text(node.left, place)
        if isinstance(node, ast.Name):
            return self._named(node.id, place)
        if isinstance(node, ast.Dict):
            return [text for value in node.values for text in self._text(value, place)]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get":
            default = node.args[1] if len(node.args) > 1 else None
            return self._text(node.func.value, place) + self._text(default, place)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
            "_",
            "format",
        ):
            return self._text(
                node.args[0] if node.func.attr == "_" else node.func.value, place
            )
        return []

    def _named(self, name, place):
        """Return the texts that a name stands for, in the function around or in the
        module."""
        while place is not None:
            if isinstance(place, ast.FunctionDef | ast.Module):
                if place not in self.scopes:
                    self.scopes[place] = _assignments(place)
                if name in self.scopes[place]:
                    values = self.scopes[place][name]
                    return [
                        text for value in values for text in self._text(value, place)
                    ]
            place = getattr(place, "parent", None)
        return []


def _assignments(scope):
    """Return what is assigned to each name in a module or function, in order."""
    found = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and not isinstance(scope, ast.Module):
                    found.setdefault(target.id, []).append(node.value)
                elif isinstance(target, ast.Name) and node in scope.body:
                    found[target.id] = [node.value]
    return found


def _is_sentence(node):
    text = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.JoinedStr):
        text = "".join(p.value for p in node.values if isinstance(p, ast.Constant))
    return (
        isinstance(text, str)
        and text.count(" ") >= 2
        and text[:1].isupper()
        and text.endswith(".")
    )


def _plain(text):
    """Return a text with “…” for what is filled in later."""
    text = re.sub(r"%\(\w+\)\w|%s|%d|\{[\w.]*\}", "…", text)
    text = re.sub(r"…(?:[ /:]*…)+", "…", text)
    return re.sub(r"\s+", " ", text).strip()


def _escaped(text):
    """Return a text that is safe within reStructuredText."""
    return re.sub(r"([*`|\\])|_(?=\W|$)", lambda m: "\\" + m[0], text)


def _subject(path):
    name = path.relative_to(ADDON).as_posix()
    return next(title for title, _prefix, starts in SUBJECTS if name.startswith(starts))


def collect():
    """Return {subject: {message: (remedies, tried again?, finding to accept)}}."""
    found = {title: {} for title, _prefix, _starts in SUBJECTS}
    for folder in ("engine", "flows", "models", "console"):
        for path in sorted((ADDON / folder).rglob("*.py")):
            messages = found[_subject(path)]
            for message, remedies, again, accept in Source(path).entries():
                if len(re.findall(r"[a-z]\w+", message)) < 2:
                    continue  # all of it is only known at run time
                known, _again, known_accept = messages.get(message, ([], again, accept))
                remedies = list(dict.fromkeys([*known, *remedies]))
                messages[message] = (remedies, again, accept or known_accept)
    return found


def known_codes():
    """Return {message: code} as the table has it now."""
    if not TABLE.exists():
        return {}
    (table,) = (
        node
        for node in ast.parse(TABLE.read_text()).body
        if isinstance(node, ast.Assign)
    )
    return ast.literal_eval(table.value)


def give_codes(found, codes):
    """Return {message: code}: all of ``codes``, and a new one for each message
    without."""
    codes = dict(codes)
    for title, prefix, _starts in SUBJECTS:
        used = [
            number for kind, number in map(_parts, codes.values()) if kind == prefix
        ]
        number = max(used, default=0)
        for message in sorted(found[title], key=str.lower):
            if message not in codes:
                number += 1
                codes[message] = f"{prefix}-{number:02}"
    return codes


def _parts(code):
    """Return the prefix and the number of a code."""
    prefix, _dash, number = code.rpartition("-")
    return prefix, int(number)


def table(codes):
    """Return the content of the module with all codes, ordered by subject and
    number."""
    order = [prefix for _title, prefix, _starts in SUBJECTS]

    def place(item):
        prefix, number = _parts(item[1])
        return order.index(prefix), number

    ordered = sorted(codes.items(), key=place)
    # a string of JSON is one of Python, too
    lines = [
        f'    {json.dumps(text, ensure_ascii=False)}: "{code}",\n'
        for text, code in ordered
    ]
    return "".join([TABLE_HEAD, *lines, "}\n"])


def page(found, codes):
    """Return the page."""
    parts = [HEAD]
    for title, messages in found.items():
        if messages:
            parts.append(f"\n{title}\n{'=' * len(title)}\n")
            numbered = sorted(messages, key=lambda text: _parts(codes[text])[1])
            parts += [_entry(codes[text], text, *messages[text]) for text in numbered]
    return "\n".join(parts)


def _entry(code, message, remedies, again, accept):
    lines = [f"**{code}** {_escaped(message)}" + (" *(tried again)*" if again else "")]
    remedies = [_escaped(text) for text in remedies or [NOTHING]]
    remedies += [f"To go on all the same: ``--accept {accept}``."] if accept else []
    bullet = "* " if len(remedies) > 1 else ""
    lines += [f"    {bullet}{text}" for text in remedies]
    return "\n".join(lines) + "\n"


def main():
    found = collect()
    codes = give_codes(found, known_codes())
    wanted = {PAGE: page(found, codes), TABLE: table(codes)}
    for path, text in wanted.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
