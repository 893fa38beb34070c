"""The models have what runs, whose types are checked, take for granted."""

import inspect
from collections.abc import Mapping, Sequence
from datetime import datetime

from odoo.tests import TransactionCase, tagged

from ..runs import context
from ..runs.records import (
    CopyRecord,
    IssueRecord,
    JobRecord,
    PlanRecord,
    StepRecord,
    StorageRecord,
)

MODELS = {
    PlanRecord: "backup.plan",
    IssueRecord: "backup.filestore.issue",
    StorageRecord: "backup.storage",
    CopyRecord: "backup.copy",
    StepRecord: "backup.step",
    JobRecord: "backup.job",
}
TYPES = {  # of fields
    str: ("char", "selection", "text"),
    int: ("integer",),
    float: ("float",),
    bool: ("boolean",),
    datetime: ("datetime",),
    Sequence[str]: ("json",),
    Mapping[str, object]: ("json",),
}


@tagged("post_install", "-at_install")
class TestRunRecords(TransactionCase):
    def test_fields_are_there_and_of_their_type(self):
        for records, name in MODELS.items():
            for field, kind in inspect.get_annotations(records).items():
                with self.subTest(model=name, field=field):
                    self.assert_is(self.env[name], field, kind)

    def assert_is(self, model, name, kind):
        if name == "id":
            return
        field = model._fields[name]
        if kind in MODELS:
            self.assertEqual(field.comodel_name, MODELS[kind])
        else:  # a text that may be empty is str | Literal[False]
            plain = kind if kind in TYPES else kind.__args__[0]
            self.assertIn(field.type, TYPES[plain])

    def test_methods_take_what_runs_give(self):
        for records, name in MODELS.items():
            for method, declared in inspect.getmembers(records, inspect.isfunction):
                if method.startswith("__") or method in ("browse", "filtered"):
                    continue
                with self.subTest(model=name, method=method):
                    given = self.parameters(declared)
                    taken = self.parameters(getattr(type(self.env[name]), method))
                    self.assertEqual(taken[: len(given)], given)
                    # what a run never gives has a value of its own
                    self.assertTrue(all(one[2] for one in taken[len(given) :]))

    def test_context_has_the_parts_that_runs_use(self):
        found = self.env["backup.job"]._run_context()
        for name in vars(found):
            wanted = getattr(context, name.capitalize(), None)
            for method, declared in inspect.getmembers(wanted, inspect.isfunction):
                if method.startswith("__"):
                    continue
                with self.subTest(part=name, method=method):
                    given = self.parameters(declared)
                    taken = self.parameters(getattr(type(getattr(found, name)), method))
                    self.assertEqual(taken[: len(given)], given)
                    self.assertTrue(all(one[2] for one in taken[len(given) :]))

    def test_context_is_whole(self):
        found = vars(self.env["backup.job"]._run_context())
        parts = [name for name in vars(context.RunContext) if not name.startswith("_")]
        self.assertEqual(sorted(found), sorted(parts))

    def parameters(self, function):
        return [
            (one.name, one.kind, one.default is not one.empty)
            for one in inspect.signature(function).parameters.values()
        ]
