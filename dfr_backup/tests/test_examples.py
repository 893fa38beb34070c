"""Rules and dashboard of ``examples/`` name metrics and labels that there are."""

import json
import re
from collections import defaultdict
from datetime import datetime, timezone
from pathlib import Path

import promql_parser as promql
import yaml
from prometheus_client.parser import text_string_to_metric_families

from odoo import fields
from odoo.tests import HttpCase, tagged

from ..engine.monitoring.metrics import exposition
from ..engine.status.metrics import metrics_of
from .test_backup_alerts import AlertCase

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# what Prometheus itself adds, and what its configuration may add
OUTSIDE = {"job", "instance", "database"}
FROM_PROMETHEUS = {"up": set()}
VARIABLES = re.compile(r"\$\{?\w+\}?")
LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
LEGEND_LABEL = re.compile(r"\{\{(\w+)\}\}")


class Names:
    """The metrics that an expression names, each with the labels that are wanted of
    it; ``labels`` are those of the whole."""

    def __init__(self, expression):
        self.metrics = defaultdict(set)
        self.grouped = set()
        self._read(promql.parse(VARIABLES.sub("x", expression)))

    def _read(self, node):
        if isinstance(node, promql.VectorSelector):
            self.metrics[node.name] |= {m.name for m in node.matchers.matchers}
            return
        modifier = getattr(node, "modifier", None)
        labels = getattr(modifier, "matching", modifier)
        self.grouped |= set(labels.labels) if labels else set()
        for part in parts_of(node):
            self._read(part)


def parts_of(node):
    """Return the expressions that an expression is made of."""
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr):
        return [node.expr]
    if isinstance(node, promql.NumberLiteral):
        return []
    raise TypeError(f"a form that is not known here: {type(node).__name__}")


@tagged("post_install", "-at_install")
class TestExamples(AlertCase, HttpCase):
    def exported(self):
        """Return {metric: its labels}, as a scraper reads them at the address, and what
        a server tells beside its databases."""
        token = self.env["backup.monitor"]._new_token("metrics")
        bearer = {"Authorization": f"Bearer {token}"}
        answer = self.url_open("/dfr_backup/metrics", headers=bearer)
        self.assertEqual(answer.status_code, 200)
        found = defaultdict(set)
        server = exposition(metrics_of([], datetime.now(timezone.utc)))
        for family in text_string_to_metric_families(answer.text + server):
            for sample in family.samples:
                found[sample.name] |= sample.labels.keys()
        return found

    def everything_has_happened(self):
        job, _mails = self.ended()
        job.archive_size = 5000
        self.storage.write({"free_space": 1e9, "space_at": fields.Datetime.now()})
        tested = {"kind": "drill", "uuid": "tested", "state": "success"}
        job.copy({**tested, "date_end": fields.Datetime.now()})

    def expressions(self):
        """Return (expression, labels that are shown of its result) of every rule,
        panel and variable."""
        rules = yaml.safe_load(
            (EXAMPLES / "prometheus/odoo_backup.rules.yml").read_text()
        )
        dashboard = json.loads((EXAMPLES / "grafana/odoo_backups.json").read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                shown = " ".join(rule["annotations"].values())
                yield rule["expr"], set(TEMPLATE_LABEL.findall(shown))
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                legend = target.get("legendFormat", "")
                yield target["expr"], set(LEGEND_LABEL.findall(legend))
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = LABEL_VALUES.fullmatch(
                    variable["query"]["query"]
                ).groups()
                yield metric, {label}

    def test_every_metric_and_label_is_exported(self):
        if not EXAMPLES.exists():
            self.skipTest("only the addon is here, without its repository")
        self.everything_has_happened()
        exported = {**FROM_PROMETHEUS, **self.exported()}
        used = set()
        for expression, shown in self.expressions():
            with self.subTest(expression):
                names = Names(expression)
                used |= names.metrics.keys()
                self.assertLessEqual(names.metrics.keys(), exported.keys())
                known = [exported[metric] for metric in names.metrics]
                for metric, labels in names.metrics.items():
                    self.assertLessEqual(labels - OUTSIDE, exported[metric])
                wanted = (names.grouped | shown) - OUTSIDE
                self.assertLessEqual(wanted, set().union(*known))
        self.assertLessEqual(exported.keys(), used, "nobody looks at it")
