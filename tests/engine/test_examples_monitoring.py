"""The rules for Prometheus do what they say, and the dashboard of Grafana is whole.

That the metrics exist is shown where they are: dfr_backup/tests/test_examples.py.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
PROMETHEUS = REPO / "examples/prometheus"
RULES = PROMETHEUS / "odoo_backup.rules.yml"
CASES = PROMETHEUS / "odoo_backup.test.yml"
DASHBOARD = REPO / "examples/grafana/odoo_backups.json"
DEV = Path(os.environ.get("DFR_DEV_DIR", REPO / ".dev"))


@pytest.fixture
def promtool():
    """What setup/dev/promtool.sh has fetched, or what is installed."""
    own = DEV / "promtool/usr/bin/promtool"
    found = own if own.exists() else shutil.which("promtool")
    if not found:
        pytest.skip("promtool cannot be had here")

    def run(*arguments):
        command = [found, *arguments]
        done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def rules():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return group["rules"]


def test_promtool_takes_the_rules(promtool):
    promtool("check", "rules", RULES.name)


def test_rules_say_what_is_wrong_and_nothing_else(promtool):
    promtool("test", "rules", CASES.name)


def test_each_rule_was_tried():
    cases = yaml.safe_load(CASES.read_text())["tests"]
    labels = [
        sample["labels"]
        for case in cases
        for expression in case["promql_expr_test"]
        for sample in expression["exp_samples"]
    ]
    fired = re.findall(r'alertname="(\w+)"', " ".join(labels))
    assert sorted(fired) == sorted(rule["alert"] for rule in rules())


def test_rules_tell_what_to_do():
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_the_example_of_prometheus_uses_the_rules():
    example = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert example["rule_files"] == [RULES.name]
    for scrape in example["scrape_configs"]:
        assert re.fullmatch("odoo_backup.*", scrape["job_name"])
        assert scrape["scheme"] == "https"


def test_dashboard_is_whole():
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    asked = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) - {"__all"}
    assert asked == known
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert all(target["expr"] for target in panel["targets"])
