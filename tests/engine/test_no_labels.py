"""Tests find things by name, class or code, never by words that people read.

Wording and layout change later. What a test has made itself is data, and may be looked
for: it has a name there, and comes into a selector as the value of an f-string.
"""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SOURCES = [REPO / "setup/dev/screenshots.py"]
SOURCES += sorted(REPO.glob("tests/**/*.py"))
SOURCES += sorted(REPO.glob("dfr_backup/tests/**/*.py"))
# these test how texts are made, of templates of their own; this one looks for itself
SOURCES = [
    path
    for path in SOURCES
    if path.name not in ("test_messages.py", "test_no_labels.py")
]
WITH_PAGES = ("e2e", "faults", "dev")  # here a sentence is never data
TEXTS = "title|aria-label|placeholder|alt|string|data-tooltip|data-bs-original-title"
BY_WORDS = re.compile(
    r":has-text\(|:text(?:-is|-matches)?\(|(?<![\w-])text="
    rf"|\[(?:{TEXTS})[~|^$*]?=(?!['\"]?(?:\]|$))"
)
OPEN_QUOTE = re.compile(
    rf"""(?::(?:has-text|text|text-is)\(|\[(?:{TEXTS})[~|^$*]?=)['"]$"""
)
FINDERS = {
    "get_by_alt_text",
    "get_by_label",
    "get_by_placeholder",
    "get_by_text",
    "get_by_title",
}
WITH_WORDS = {*FINDERS, "get_by_role", "locator", "filter"}
# where people read: parts of a page, what a program prints, what a run or a form says
READ = {"inner_text", "text_content", "all_inner_texts", "stdout", "stderr"}
READ |= {"error", "hint", "log", "message", "subject", "title", "facts", "trouble"}
MATCHES = {"startswith", "endswith", "search", "match", "fullmatch", "findall"}
ASSERTS = {"assertIn", "assertNotIn", "assertEqual", "assertNotEqual", "assertRegex"}
REGEX_ASSERTS = {"assertRaisesRegex", "assertWarnsRegex"}
SENTENCE = re.compile(r"[A-Za-z“”’]+[,.:]? +[A-Za-z“”’]")
WORD = re.compile(r"[A-Z][a-z]{2,}[.:!…]?")
PATTERN = re.compile(r"[A-Za-z]{3,}[.:!…]?")
NOT_OURS = {"Traceback"}


def labels(source, strict=True):
    """Return the line of each place in ``source`` that looks for words.

    What a test has made is data: a value that is put into an f-string, one word that
    stands elsewhere in it, too, and, unless ``strict``, a sentence likewise.
    """
    tree = ast.parse(source)
    data = {part for node in ast.walk(tree) for part in _before_values(node)}
    read = _read_names(tree)
    looks = [(node, texts) for node in ast.walk(tree) for texts in _looks(node, read)]
    inside = {part for node, _texts in looks for part in ast.walk(node)}
    named = _only_looked_for(tree, inside)
    inside |= set(named.values()) | _docstrings(tree)
    made = [
        part.value if _is_text(part) else part.value.decode("latin-1")
        for part in ast.walk(tree)
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str | bytes)
        and part not in inside
    ]

    def is_label(text):
        if not isinstance(text, ast.JoinedStr):
            text = named.get(getattr(text, "id", ""), text)
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        values = [part.value for part in parts if _is_text(part)]
        values += [
            named[part.value.id].value
            for part in parts
            if isinstance(part, ast.FormattedValue)
            and getattr(part.value, "id", "") in named
        ]
        return any(is_words(value) for value in values)

    def is_words(value):
        if value in NOT_OURS or (not strict and any(value in text for text in made)):
            return False
        return SENTENCE.search(value) or (WORD.fullmatch(value) and value not in made)

    found = [node for node, texts in looks if any(map(is_label, texts))]
    for node in ast.walk(tree):
        if (
            (node not in data and _is_selector(node))
            or any(isinstance(text, ast.Constant) for text in _words_of_finder(node))
            or any(map(_is_pattern, _patterns(node)))
            or _names_a_label(node, named)
        ):
            found.append(node)
    return sorted({node.lineno for node in found})


def _read_names(tree):
    """Return the uses of names that functions give to what people read."""
    return {
        part
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for part in _uses_of_read(function)
    }


def _uses_of_read(function):
    """Yield each use of a name that stands for what people read."""
    names = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and _is_read(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in names:
            yield node


def _looks(node, read):
    """Yield the texts that are compared with, or looked for in, what people read, or
    by which a page is searched."""
    parts = []
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in MATCHES:
            parts = [node.func.value, *node.args]
        elif node.func.attr in ASSERTS:
            parts = node.args[:2]
    if any(_is_read(part) or read & set(ast.walk(part)) for part in parts):
        yield [text for part in parts for text in _texts(part)]
    if texts := [*_words_of_finder(node), *_patterns(node)]:
        yield texts


def _texts(node):
    """Yield the texts of which an expression is one, or holds some."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for part in node.elts:
            yield from _texts(part)
    elif isinstance(node, ast.Constant | ast.JoinedStr | ast.Name):
        yield node


def _only_looked_for(tree, inside):
    """Return the texts that have a name, and are used for nothing but to look."""
    quoted = [value for node in ast.walk(tree) for value in _values_in_quotes(node)]
    looking = inside | {part for value in quoted for part in ast.walk(value)}
    texts, used, others, more = {}, set(), set(), Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_text(node.value):
            names = [name.id for name in node.targets if isinstance(name, ast.Name)]
            texts.update(dict.fromkeys(names, node.value))
            more.subtract(names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            more[node.id] += 1
        elif isinstance(node, ast.Name):
            (used if node in looking else others).add(node.id)
    others |= {name for name, count in more.items() if count}  # also something else
    return {name: texts[name] for name in texts.keys() & used - others}


def _values_in_quotes(node):
    """Yield the values of an f-string that stand in quotes after a search for words."""
    if isinstance(node, ast.JoinedStr):
        for part, following in zip(node.values, node.values[1:], strict=False):
            if isinstance(following, ast.FormattedValue) and _ends_open(part):
                yield following


def _names_a_label(node, named):
    return any(
        getattr(value.value, "id", "") in named for value in _values_in_quotes(node)
    )


def _docstrings(tree):
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _before_values(node):
    """Yield the parts of an f-string that end where a value is put in quotes."""
    if not isinstance(node, ast.JoinedStr):
        return
    for part, following in zip(node.values, node.values[1:], strict=False):
        if isinstance(following, ast.FormattedValue) and _ends_open(part):
            yield part


def _ends_open(part):
    if not (_is_text(part) and OPEN_QUOTE.search(part.value)):
        return False
    return not BY_WORDS.search(OPEN_QUOTE.sub("", part.value))


def _is_selector(node):
    return _is_text(node) and BY_WORDS.search(node.value)


def _words_of_finder(node):
    """Return by which words a page is searched."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return []
    if node.func.attr not in WITH_WORDS:
        return []
    words = [word.value for word in node.keywords if word.arg in ("name", "has_text")]
    return words + (node.args[:1] if node.func.attr in FINDERS else [])


def _patterns(node):
    """Return by which pattern an error is told from others."""
    if not isinstance(node, ast.Call):
        return []
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in ("raises", "warns"):
        return [word.value for word in node.keywords if word.arg == "match"]
    return node.args[1:2] if name in REGEX_ASSERTS else []


def _is_pattern(node):
    """Does a pattern hold a sentence or a word, other than what a name has?"""
    return any(
        SENTENCE.search(part.value) or PATTERN.fullmatch(part.value)
        for part in ([node] if _is_text(node) else getattr(node, "values", []))
        if _is_text(part)
    )


def _is_read(node):
    parts = list(ast.walk(node))
    if any(getattr(part, "attr", "") == "values" for part in parts):
        return False  # of a message: these are data
    return any(_name(part) in READ or _is_attribute(part) for part in parts)


def _is_attribute(node):
    """Is it an attribute of an element that people read?"""
    return (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "get_attribute"
        and any(_is_text(arg) and arg.value in TEXTS.split("|") for arg in node.args)
    )


def _name(node):
    if isinstance(node, ast.Subscript):
        return getattr(node.slice, "value", None)
    return getattr(node, "attr", getattr(node, "id", None))


@pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(REPO).as_posix()
)
def test_nothing_is_found_by_its_label(path):
    strict = path.parent.name in WITH_PAGES
    assert labels(path.read_text(), strict) == []


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
        # one word
        """assert "Running" in page.inner_text("h1")""",
        """assert page.inner_text("h1") in ("Failed", "Succeeded")""",
        """self.assertEqual(problem["title"], "Overdue")""",
        # attributes
        """page.click("button[title='Stop']")""",
        """page.click("[aria-label=Close]")""",
        """page.fill("input[placeholder^='Name of']", "x")""",
        """page.click(f"[title='{name}'] [aria-label='Close']")""",
        """assert page.get_attribute("button", "title") == "Stop this run" """,
        # texts that have a name
        """LABEL = "Run Backup"; page.get_by_text(LABEL)""",
        """LABEL = "Cancel"; page.click(f"button:has-text('{LABEL}')")""",
        """LABEL = "No backup"; assert LABEL in page.inner_text("h1")""",
        """def test(): told = page.inner_text("h1"); assert "No backup" in told""",
        # what an error says
        """pytest.raises(PermanentError, match="is gone")""",
        """pytest.raises(PermanentError, match="gone")""",
        """self.assertRaisesRegex(UserError, "no plan")""",
        """self.assertIn("is gone", job.error)""",
        """assert caught.value.log == f"{name}: it is gone" """,
    ],
)
def test_labels_are_seen(line):
    assert labels(line) == [1]


def test_a_sentence_that_a_test_has_made_is_data_without_pages():
    line = """job.error = "It broke."; assert "It broke." in mail.subject"""
    assert labels(line) == [1]
    assert labels(line, strict=False) == []


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
        """page.click(f"td[title='{name}']")""",
        """NAME = "Far host"; make(NAME); page.get_by_text(NAME)""",
        """make(name="Nightly"); assert "Nightly" in page.inner_text("h1")""",
        """assert error.message.values["storage"] == "Far host" """,
        """pytest.raises(OSError, match=os.strerror(errno.EIO))""",
        """self.assertRaisesRegex(UserError, self.plan.name)""",
        """assert "Traceback" not in done.stderr""",
    ],
)
def test_names_and_data_are_no_labels(line):
    assert labels(line) == []
