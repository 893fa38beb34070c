"""What the pages for developers name is there, and every part of the engine is on the
map."""

import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ADDON = REPO / "dfr_backup"
MAP = REPO / "ARCHITECTURE.md"
PAGES = [MAP, REPO / "CONTRIBUTING.md"]
PAGES += sorted((REPO / "docs").glob("internals/*.md"))
PAGES += sorted((REPO / "docs").glob("adr/*.md"))
# those that speak of this release: one tells what another series of Odoo has
OF_TODAY = [page for page in PAGES if page.name != "series.md"]
# where a path in code quotes may begin
ROOTS = [REPO, ADDON, ADDON / "engine"]
PATH = re.compile(r"`((?:[\w.-]+/)*[\w-]+(?:\.(?:py|sh|md|rst|toml)|/))`")
NAME = re.compile(r"`([A-Za-z_][\w.]*)(?:\(\))?`")
ELSEWHERE = {"limit_time_real", "queue_job", "SFTPClient"}  # Odoo's, OCA's, paramiko's
LINK = re.compile(r"\]\(([^)#:]+)\)")


def page_name(path):
    return path.relative_to(REPO).as_posix()


@pytest.mark.parametrize("page", OF_TODAY, ids=page_name)
def test_paths_and_links_lead_somewhere(page):
    text = page.read_text()
    missing = [
        path
        for path in PATH.findall(text)
        if not any((root / path).exists() for root in ROOTS)
    ]
    missing += [
        link for link in LINK.findall(text) if not (page.parent / link).exists()
    ]
    assert not missing


@pytest.fixture(scope="module")
def known_words():
    """Every word of the sources, and the names of their files."""
    kept = [REPO / "pyproject.toml", REPO / "Makefile"]
    for part in (ADDON, REPO / "tests", REPO / "setup"):
        kept += [path for path in part.rglob("*") if path.suffix in (".py", ".sh")]
    kept = [path for path in kept if path != Path(__file__)]
    text = " ".join(f"{path.stem} {path.read_text()}" for path in kept)
    return set(re.findall(r"\w+", text)) | ELSEWHERE


@pytest.mark.parametrize("page", OF_TODAY, ids=page_name)
def test_names_are_those_of_the_code(page, known_words):
    named = {
        word
        for name in NAME.findall(page.read_text())
        if not (REPO / name).exists()
        for word in name.split(".")
    }
    assert named - known_words - {""} == set()


def test_every_module_of_the_engine_is_on_the_map():
    table = MAP.read_text().partition("| engine module |")[2]
    named = PATH.findall(table)
    engine = ADDON / "engine"
    missing = [
        module
        for path in engine.rglob("*.py")
        if path.name != "__init__.py"
        for module in [path.relative_to(engine).as_posix()]
        if module not in named
        and not any(name.endswith("/") and module.startswith(name) for name in named)
    ]
    assert not missing


def test_every_page_is_linked_from_the_map():
    linked = {(MAP.parent / link).resolve() for link in LINK.findall(MAP.read_text())}
    assert {page for page in PAGES if "internals" in page.parts} <= linked
