"""Only the class of a kind of run knows what is special about it."""

import ast
from pathlib import Path

import pytest

from dfr_backup.engine.errors.runs import UnknownKind
from dfr_backup.engine.messages import Message
from dfr_backup.runs.registry import KINDS, STEPS, run_kind, step_kind

MODELS = Path(__file__).resolve().parents[2] / "dfr_backup"
OF_RUNS = ("backup.job", "backup.plan")
OTHER_KINDS = ("step", "s", "issue")  # names of records that have another ``kind``


def test_no_model_asks_for_the_kind_of_a_run():
    asks = [
        f"{path.name}:{node.lineno}"
        for folder in ("models", "wizards", "console", "controllers")
        for path in sorted((MODELS / folder).rglob("*.py"))
        for node in _questions(ast.parse(path.read_text()))
    ]
    assert not asks


def test_questions_are_seen():
    source = """
class Job(models.Model):
    _name = "backup.job"
    def one(self): return self.kind == "scan" or step.kind == "upload"

class Other(models.Model):
    _name = "backup.other"
    def two(self): return self.kind == "scan" or self.job_id.kind in ("a",)

def three(job): return job.kind != "backup"

def four(kind): return [("kind", "=", kind), ("kind", "=", "upload")]

def five(): return [("kind", "=", "backup"), ("kind", "in", ("drill",))]
"""
    assert [node.lineno for node in _questions(ast.parse(source))] == [4, 8, 10, 14, 14]


def _questions(tree):
    """Return what asks for the kind of a run: in a comparison, or in a domain."""
    classes = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef)]
    of_models = {node for cls in classes for node in ast.walk(cls)}
    of_runs = {n for cls in classes if _is_of_runs(cls) for n in ast.walk(cls)}
    found = [
        node
        for node in ast.walk(tree)
        if _is_domain_of_a_kind(node)
        or (
            any(_is_kind_of_run(one, node in of_runs) for one in _asked(node))
            and (node in of_models or _names_a_kind(node))
        )
    ]
    return sorted(found, key=lambda node: node.lineno)


def _names_a_kind(node):
    return any(getattr(one, "value", None) in KINDS for one in ast.walk(node))


def _is_domain_of_a_kind(node):
    """Tell whether this is a term such as ("kind", "=", "backup")."""
    if not isinstance(node, ast.Tuple) or len(node.elts) != 3:
        return False
    name, _operator, value = node.elts
    return getattr(name, "value", None) == "kind" and _names_a_kind(value)


def _is_of_runs(cls):
    return any(
        isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") in ("_name", "_inherit")
        and any(getattr(one, "value", None) in OF_RUNS for one in ast.walk(node.value))
        for node in cls.body
    )


def _asked(node):
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    if isinstance(node, ast.Match):
        return [node.subject]
    if isinstance(node, ast.Subscript):
        return [node.slice]
    return []


def _is_kind_of_run(node, of_runs):
    if not isinstance(node, ast.Attribute) or node.attr != "kind":
        return False
    owner = getattr(node.value, "attr", None) or getattr(node.value, "id", "")
    if owner == "self":
        return of_runs
    return owner.removesuffix("_id") not in OTHER_KINDS


def test_every_kind_says_all_that_others_ask():
    for kind, run in KINDS.items():
        assert run.label, kind
        assert run.STEPS, kind
        assert "again" in {name for cls in run.__mro__[:-2] for name in vars(cls)}, kind


def test_every_step_can_be_done():
    for kind, run in KINDS.items():
        for step in run.STEPS:
            done_by_engine = kind in ("restore", "drill")
            assert hasattr(run, step.key) or done_by_engine, (kind, step.key)
            assert STEPS[step.key] is step


def test_steps_are_planned_in_order_and_only_where_they_are_wanted():
    storages = [_Storage(id=1), _Storage(id=2)]
    planned = run_kind("backup").planned({"include_database": True}, storages)
    assert [(step["kind"], step["storage_id"]) for step in planned] == [
        ("initialize", False),
        ("dump_database", False),
        ("compress", False),
        ("upload", 1),
        ("upload", 2),
        ("verify", 1),
        ("verify", 2),
        ("cleanup", False),
    ]
    copies = [_Copy(id=7, storage_id=storages[0]), _Copy(id=8, storage_id=storages[1])]
    planned = run_kind("drill").planned(copies=copies)
    assert [step["copy_id"] for step in planned] == [7] * 8 + [8] * 8
    assert [step["storage_id"] for step in planned] == [1] * 8 + [2] * 8


def test_unknown_kind_is_an_error_that_says_so():
    run = run_kind("nobody")(_Record(job=_Job(kind="nobody")))
    for method in (run.run, run.again):
        with pytest.raises(UnknownKind) as raised:
            method()
        assert "nobody" in str(raised.value)
    assert not any([run.recover(), run.loud, run.tells_monitors, run.vouches])
    assert str(Message(step_kind("100%").name)) == "100%"


class _Record:
    def __init__(self, **values):
        vars(self).update(values)


_Storage = _Copy = _Job = _Record
