"""The documentation is held to the code: what it names exists, and what exists is
named."""

import ast
import importlib
import importlib.util
import pkgutil
import re
import struct
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

REPO = Path(__file__).resolve().parents[2]
DESCRIPTION = REPO / "dfr_backup/static/description"
PAGES = [REPO / "README.rst", REPO / "dfr_backup/README.rst"]
PAGES += sorted((REPO / "docs").glob("*.rst"))
WARNING = 2  # docutils' number for it
LARGEST = 6 << 20  # bytes of all pictures together


def page_name(path):
    return path.relative_to(REPO).as_posix()


@pytest.fixture(params=PAGES, ids=page_name)
def page(request):
    return request.param


@lru_cache
def parsed(path):
    settings = {"report_level": 2, "halt_level": 5, "warning_stream": False}
    return publish_doctree(
        path.read_text(), source_path=str(path), settings_overrides=settings
    )


def literal_blocks():
    for path in PAGES:
        for block in parsed(path).findall(nodes.literal_block):
            yield path, block.astext()


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_sound(page):
    found = parsed(page).findall(nodes.system_message)
    assert [message.astext() for message in found if message["level"] >= WARNING] == []


def test_links_and_pictures_exist(page):
    tree = parsed(page)
    targets = [
        node["refuri"] for node in tree.findall(nodes.reference) if "refuri" in node
    ]
    targets += [node["uri"] for node in tree.findall(nodes.image)]
    local = [t for t in targets if not re.match(r"[a-z]+:", t)]
    assert [t for t in local if not leads_somewhere(page.parent, t)] == []


def leads_somewhere(folder, link):
    """Tell whether a file of the repository is there, and the heading in it."""
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve()
    return target.exists() and (not anchor or anchor in parsed(target).ids)


def test_every_picture_says_what_it_shows(page):
    assert [
        n["uri"] for n in parsed(page).findall(nodes.image) if not n.get("alt")
    ] == []


def test_every_page_is_in_the_index():
    index = (REPO / "docs/index.rst").read_text()
    missing = [
        p.name for p in (REPO / "docs").glob("*.rst") if f"<{p.name}>" not in index
    ]
    assert missing == ["index.rst"]
    assert "docs/index.rst" in (REPO / "README.rst").read_text()


def test_readme_is_short_and_has_the_two_commands():
    readme = REPO / "README.rst"
    assert 900 <= len(readme.read_text().split()) <= 1200
    blocks = [text for path, text in literal_blocks() if path == readme]
    lines = [line.split() for text in blocks for line in text.splitlines()]
    assert ["make", "demo"] in [words[:2] for words in lines]
    assert ["make", "test"] in [words[:2] for words in lines]


def test_every_picture_is_shown_and_none_is_large():
    text = "".join(path.read_text() for path in PAGES)
    pictures = list((REPO / "docs/images").iterdir())
    assert [p.name for p in pictures if f"images/{p.name}" not in text] == []
    everything = [*pictures, *DESCRIPTION.glob("*.png")]
    assert sum(path.stat().st_size for path in everything) < LARGEST


# === ERRORS === #


def test_page_of_errors_is_of_this_source():
    errors = load(REPO / "setup/dev/errors_page.py")
    assert errors.PAGE.read_text() == errors.page(), (
        "an error was added or reworded: run “make docs”"
    )


def test_every_code_has_its_place_on_the_page():
    engine = load(REPO / "setup/dev/errors_page.py").engine()
    for module in pkgutil.iter_modules(engine.__path__):
        importlib.import_module(f"{engine.__name__}.{module.name}")
    anchors = re.findall(
        r"(?m)^\.\. _([A-Z0-9-]+):$", (REPO / "docs/errors.rst").read_text()
    )
    # tests may have made classes of their own
    codes = [
        code
        for code, kind in engine.error_classes().items()
        if kind.__module__.startswith("dfr_backup.")
    ]
    assert sorted(anchors) == sorted(codes)


def test_tables_of_rights_are_of_this_source():
    tables = load(REPO / "setup/dev/rights_page.py")
    assert tables.PAGE.read_text() == tables.page(), "run “make docs”"
    for who, (outcomes, test) in tables.rights().OUTSIDE.items():
        assert len(outcomes) == len(tables.rights().ACTS), who
        path, _colons, name = test.partition("::")
        assert f"def {name}(" in (REPO / path).read_text(), test


def test_readme_of_the_addon_is_of_its_fragments():
    readme = load(REPO / "setup/dev/addon_readme.py")
    assert (REPO / "dfr_backup/README.rst").read_text() == readme.page(), (
        "run “make docs”"
    )


# === COMMANDS === #


def _strings(call):
    return [
        a.value
        for a in call.args
        if isinstance(a, ast.Constant) and isinstance(a.value, str)
    ]


def test_every_command_and_option_is_described():
    tree = ast.parse((REPO / "dfr_backup/console/__init__.py").read_text())
    functions = {f.name: f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
    functions.pop("_add_internal")
    calls = [
        c for f in functions.values() for c in ast.walk(f) if isinstance(c, ast.Call)
    ]
    commands = [_strings(c)[0] for c in calls if getattr(c.func, "id", "") == "_add"]
    options = [
        o
        for c in calls
        if getattr(c.func, "attr", "") == "add_argument"
        for o in _strings(c)
    ]
    assert {"run", "restore"} <= set(commands)
    assert "--neutralize" in options
    text = (REPO / "docs/commands.rst").read_text()
    assert [c for c in commands if f"odoo backup {c} " not in text] == []
    assert [o for o in options if o.startswith("-") and o not in text] == []


def test_commands_of_the_documentation_are_run_by_a_test():
    """Each ``odoo backup`` with its options stands in a test that runs it."""
    tests = [
        p.read_text() for p in (REPO / "tests").rglob("*.py") if p != Path(__file__)
    ]
    found = set()
    for _path, block in literal_blocks():
        for command, rest in re.findall(r"odoo backup ([a-z]+)\b(.*)", block):
            ours = re.split(r" #| &&", rest)[0]
            found |= {
                (command, option)
                for option in re.findall(r"(?<= )--?[a-z][\w-]*", ours)
            }
    assert ("restore", "--same-identity") in found
    untested = [
        (command, option)
        for command, option in sorted(found)
        if option not in ("-d", "--help")
        and not any(f'"{command}"' in text and f'"{option}"' in text for text in tests)
    ]
    assert untested == []


def test_make_targets_of_the_documentation_exist():
    makefile = (REPO / "Makefile").read_text()
    pattern = re.compile(r"(?:``|^    )make (?:-s )?([a-z0-9]+)", re.MULTILINE)
    named = {target for path in PAGES for target in pattern.findall(path.read_text())}
    assert "serve" in named
    assert [target for target in sorted(named) if f"\n{target}: " not in makefile] == []


# === THE PAGE OF THE APPS STORE === #


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.addresses = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "srcset")
        ]


def test_page_of_the_store_needs_nothing_from_outside():
    found = _Tags()
    found.feed((DESCRIPTION / "index.html").read_text())
    assert not found.tags & {"script", "style", "link", "iframe", "form", "a"}
    assert [a for a in found.addresses if not (DESCRIPTION / a).is_file()] == []


def test_pictures_of_the_manifest():
    manifest = ast.literal_eval((REPO / "dfr_backup/__manifest__.py").read_text())
    assert [
        i for i in manifest["images"] if not (REPO / "dfr_backup" / i).is_file()
    ] == []
    assert _size(DESCRIPTION / "banner.png") == (560, 280)
    assert _size(DESCRIPTION / "icon.png") == (256, 256)


def _size(path):
    return struct.unpack(">II", path.read_bytes()[16:24])
