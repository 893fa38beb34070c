"""Short random walks over servers that share a storage. ``make faults`` walks 10,000
steps and switches off each rule, one after the other."""

import pytest
from packs_rules import RULES, without
from packs_walk import steps_without, walk


def test_laws_hold(tmp_path):
    assert walk(tmp_path, 7, 100)["race"]


@pytest.mark.parametrize(
    "name",
    [
        "packs that a backup needs stay",
        "a backup of the catalogue is in the list",
        "the condemnation goes last",
        "packs are locked as long",
        "a pack for other keys",
        "they were verified",
    ],
)
def test_rule_is_missed(tmp_path, name):
    (rule,) = without(name)
    step, _error = steps_without(rule, tmp_path, 200)
    assert step is not None


def test_each_rule_is_in_the_source():
    for rule in RULES:
        with rule.switched_off():
            pass
    assert len({rule.name for rule in RULES}) == len(RULES)
