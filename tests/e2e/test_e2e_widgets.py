"""The tests of our widgets, in Odoo's own runner for them: dfr_backup/static/tests."""

import re
from pathlib import Path

from pages import log_in

LATER = 300_000  # ms: the bundle has the tests of all modules, and is made first
SUITE = "@dfr_backup"
ENDED = re.compile(r"Test suite succeeded|\[HOOT\] Failed \d+ test")
SOURCES = Path(__file__).resolve().parents[2] / "dfr_backup/static/tests"
WRITTEN = re.compile(r"^ *test\(", re.MULTILINE)
PASSED = re.compile(r"\[HOOT\] Passed (\d+) tests")


def hash_of(name):
    """Return the identifier of a suite, as the runner computes it."""
    found = 0
    for char in name:
        found = ((found << 5) - found + ord(char)) & 0xFFFFFFFF
    return f"{found:08x}"


def test_each_widget_does_what_its_tests_say(shared_instance, browser):
    lines = []
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    try:
        page.on("console", lambda message: lines.append(message.text))
        with shared_instance.serve():
            log_in(page, shared_instance)
            with page.expect_console_message(
                lambda message: ENDED.search(message.text), timeout=LATER
            ):
                page.goto(
                    f"{shared_instance.url}/web/tests?headless&loglevel=2"
                    f"&preset=desktop&timeout=15000&id={hash_of(SUITE)}",
                    timeout=LATER,
                )
    finally:
        page.close()
    said = "\n".join(line for line in lines if "HOOT" in line)
    assert "Test suite succeeded" in said, said[-5000:]
    passed = PASSED.search(said)
    assert passed, said[-2000:]
    sources = [path.read_text() for path in SOURCES.glob("*.test.js")]
    written = sum(len(WRITTEN.findall(source)) for source in sources)
    assert int(passed[1]) >= written, "tests were left out"
