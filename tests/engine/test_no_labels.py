"""Tests of a whole Odoo find things by name or code, never by words that people read.

Wording and layout change later. What a test has made itself is data, and may be looked
for: it has a name there, and comes into a selector as the value of an f-string.
"""

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = [REPO / "setup/dev/screenshots.py"]
SOURCES += sorted(REPO.glob("tests/e2e/*.py")) + sorted(REPO.glob("tests/faults/*.py"))
BY_WORDS = re.compile(r":has-text\(|:text(?:-is|-matches)?\(|(?<![\w-])text=")
OPEN_QUOTE = re.compile(r""":(?:has-text|text|text-is)\(['"]$""")
FINDERS = {
    "get_by_alt_text",
    "get_by_label",
    "get_by_placeholder",
    "get_by_text",
    "get_by_title",
}
# where people read: parts of a page, what a program prints, what a run or a form says
READ = {"inner_text", "text_content", "all_inner_texts", "stdout", "stderr"}
READ |= {"error", "hint", "log", "message", "subject", "title", "facts", "trouble"}
MATCHES = {"startswith", "endswith", "search", "match", "fullmatch", "findall"}
SENTENCE = re.compile(r"[A-Za-z“”’]+[,.:]? +[A-Za-z“”’]")


def labels(source):
    """Return the line of each place in ``source`` that looks for words.

    A value that is put into an f-string is data: a key, a name that the test has made.
    """
    tree = ast.parse(source)
    data = {part for node in ast.walk(tree) for part in _before_values(node)}
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if (node not in data and _is_selector(node))
        or _finds_by_words(node)
        or _reads_a_sentence(node)
    )


def _before_values(node):
    """Yield the parts of an f-string that end where a value is put in quotes."""
    if not isinstance(node, ast.JoinedStr):
        return
    for part, following in zip(node.values, node.values[1:], strict=False):
        if isinstance(following, ast.FormattedValue) and _ends_open(part):
            yield part


def _ends_open(part):
    if not (isinstance(part, ast.Constant) and OPEN_QUOTE.search(part.value)):
        return False
    return not BY_WORDS.search(OPEN_QUOTE.sub("", part.value))


def _is_selector(node):
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and BY_WORDS.search(node.value)
    )


def _finds_by_words(node):
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    name = node.func.attr
    names = [word.value for word in node.keywords if word.arg in ("name", "has_text")]
    texts = names + (node.args[:1] if name in FINDERS else [])
    if name not in {*FINDERS, "get_by_role", "locator", "filter"}:
        return False
    return any(isinstance(text, ast.Constant) for text in texts)


def _reads_a_sentence(node):
    """Is a literal sentence compared with, or looked for in, what people read?"""
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        parts = [node.func.value, *node.args] if node.func.attr in MATCHES else []
    else:
        return False
    return any(map(_is_sentence, parts)) and any(map(_is_read, parts))


def _is_sentence(node):
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return any(
        isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and SENTENCE.search(part.value)
        for part in parts
    )


def _is_read(node):
    return any(_name(part) in READ for part in ast.walk(node))


def _name(node):
    if isinstance(node, ast.Subscript):
        return getattr(node.slice, "value", None)
    return getattr(node, "attr", getattr(node, "id", None))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_found_by_its_label(path):
    assert labels(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        """page.click("button:has-text('Run Backup Now')")""",
        """page.click(f"{BUSY} button:has-text('Cancel')")""",
        """page.click(f".modal:has-text('Restore') [name={name}]")""",
        """page.click(f"button:has-text('Save') td:has-text('{name}')")""",
        """page.wait_for_selector("text=No backup has run yet")""",
        """page.click(".o_menu_sections >> text=Runs")""",
        """page.wait_for_selector("span:text('Running')")""",
        """page.get_by_text("Running")""",
        """page.get_by_role("button", name="Cancel")""",
        """page.locator("button").filter(has_text="Cancel")""",
        """assert "no backup yet" in page.inner_text("h1")""",
        """assert "is a database" in done.stderr""",
        """assert step["error"] == f"The bucket {name} is gone." """,
        """assert done.stdout.startswith("There is no backup yet")""",
        """assert re.search(r"MiB of SQL", page.inner_text("pre"))""",
    ],
)
def test_labels_are_seen(line):
    assert labels(line) == [1]


@pytest.mark.parametrize(
    "line",
    [
        """page.click(f"label:has-text('{name}')")""",
        """page.get_by_text(archive.name)""",
        """page.click("button[name=action_cancel]")""",
        """subprocess.run(argv, text=True)""",
        """assert archive.name in page.inner_text(".o_backup_log")""",
        """assert "[FETCH-04]" in done.stderr""",
        """assert step["error_code"] == "DUMP-08" """,
        """cr.execute("SELECT error FROM backup_step WHERE log IS NULL")""",
    ],
)
def test_names_and_data_are_no_labels(line):
    assert labels(line) == []
