"""What is scraped, read by the parser of Prometheus' own client."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dfr_backup.engine.monitoring.metrics import Metric, exposition


def parsed(*metrics):
    return list(text_string_to_metric_families(exposition(metrics)))


def test_a_scraper_reads_it():
    metric = Metric(
        "a_seconds", "gauge", "How long.", [({"plan": "A"}, 1.5), ({"plan": "B"}, 0)]
    )
    (family,) = parsed(metric)
    assert (family.name, family.type, family.documentation) == (
        "a_seconds",
        "gauge",
        "How long.",
    )
    assert [(s.labels, s.value) for s in family.samples] == [
        ({"plan": "A"}, 1.5),
        ({"plan": "B"}, 0),
    ]


@pytest.mark.parametrize(
    "name", ['say "hi"', "a\\b", "two\nlines", "Nuit d’été", "a,b}c"]
)
def test_names_of_any_kind(name):
    (family,) = parsed(
        Metric("x", "gauge", f"About {name}", [({"plan": name, "s": "1"}, 3)])
    )
    assert family.samples[0].labels == {"plan": name, "s": "1"}


@pytest.mark.parametrize(
    "value", [0.1 + 0.2, 1_764_000_000.25, 2.0**53, 123_456_789_012]
)
def test_no_digit_is_lost(value):
    assert (
        parsed(Metric("x", "gauge", "h", [({"plan": "p"}, value)]))[0].samples[0].value
        == value
    )


def test_what_is_not_known_is_left_out():
    assert exposition([Metric("x", "gauge", "h", [({"plan": "p"}, None)])]) == ""
    mixed = Metric("x", "gauge", "h", [({"plan": "p"}, None), ({"plan": "q"}, 1)])
    assert [s.labels for s in parsed(mixed)[0].samples] == [{"plan": "q"}]


def test_counters_keep_their_name():
    text = exposition(
        [Metric("runs_total", "counter", "Runs.", [({"state": "success"}, 4)])]
    )
    assert text.splitlines()[-1] == 'runs_total{state="success"} 4.0'
    assert (
        parsed(Metric("runs_total", "counter", "Runs.", [({"s": "1"}, 4)]))[0].type
        == "counter"
    )
