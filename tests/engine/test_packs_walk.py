"""Short random walks, and what they are worth: with a rule less they find the gap.
``packs_walk.py`` does long ones."""

import pytest
from packs_walk import Broken, walk

from dfr_backup.engine.packs import prune
from dfr_backup.engine.packs.needed import read_needs

STEPS = 120


def walk_often(folder):
    for seed in range(1, 8):
        walk(folder / str(seed), seed, STEPS)


@pytest.mark.parametrize("seed", [7, 8])
def test_laws_hold(tmp_path, seed):
    assert walk(tmp_path, seed, STEPS)["night"]


def test_backup_that_is_not_counted_is_missed(tmp_path, monkeypatch):
    def all_but_one(*arguments):
        needs = read_needs(*arguments)
        for key in sorted(needs.packs)[:1]:
            del needs.packs[key]
        return needs

    monkeypatch.setattr(prune, "read_needs", all_but_one)
    with pytest.raises(Broken):
        walk_often(tmp_path)
