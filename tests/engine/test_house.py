"""What can be read at a sitting: one class for each model, files that end; and what
stands in one place only."""

import ast
import importlib
import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ADDON = REPO / "dfr_backup"
MODELS = sorted((ADDON / "models").rglob("*.py"))
WIZARDS = sorted((ADDON / "wizards").rglob("*.py"))
MOST_METHODS = 60
MOST_CLASSES = 3
MOST_LINES = {"models": 600, "wizards": 600, "engine": 400, "runs": 400}
ONE_PLACE = {
    "engine/fileio/": {"os.fsync", "os.fdatasync", "os.sync"},
    "engine/concurrency/": {
        "Thread",
        "threading.Thread",
        "ThreadPoolExecutor",
        "futures.ThreadPoolExecutor",
    },
}
HOOK = "sys.addaudithook" + "("
# each in a process of its own; the first one is not measured: see setup/dev/test.sh
HOOKED = {
    "engine/power.py",
    "engine/drop_killed.py",
    "engine/killed.py",
    "engine/restore_killed.py",
    "engine/test_archive_writer.py",
    "engine/test_restore_steps.py",
    "storages/put_and_die.py",
    "storages/test_storage_sftp.py",
}
TOOLS = sorted(
    path for part in ("bench", "setup/dev") for path in REPO.glob(f"{part}/*.py")
)


def models_of(text, where):
    """Return what a source file declares of models, as dicts of its classes."""
    found = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.ClassDef):
            continue
        values = {
            target.id: value
            for part in node.body
            if isinstance(part, ast.Assign)
            for target, value in [(part.targets[0], part.value)]
            if isinstance(target, ast.Name)
        }
        name, parents = (_constant(values.get(n)) for n in ("_name", "_inherit"))
        parents = [parents] if isinstance(parents, str) else parents or []
        if name or parents:
            found.append(
                {
                    "where": f"{where}:{node.name}",
                    "model": name or parents[0],
                    "parents": parents,
                    "is_new": bool(name) and name not in parents,
                    "is_kind": _adds_a_kind(node),
                    "methods": sum(isinstance(m, ast.FunctionDef) for m in node.body),
                }
            )
    return found


def _constant(node):
    return ast.literal_eval(node) if node is not None else None


def _adds_a_kind(node):
    """Tell whether a class is a kind of storage: it adds itself to the selection."""
    return any(
        isinstance(part, ast.keyword) and part.arg == "selection_add"
        for part in ast.walk(node)
    )


def all_models():
    return [
        one
        for path in (*MODELS, *WIZARDS)
        for one in models_of(path.read_text(), path.relative_to(ADDON).as_posix())
    ]


def slices(found):
    """Return (model, class) of those that go on with a model of the same addon."""
    own = {one["model"] for one in found if one["is_new"]}
    return [
        (one["model"], one["where"])
        for one in found
        if not one["is_new"] and one["model"] in own and not one["is_kind"]
    ]


def sizes(found):
    """Return (classes, methods) of each model of the addon. A mixin that only one
    model has is a part of it."""
    own = {one["model"] for one in found if one["is_new"]}
    users = defaultdict(set)
    for one in found:
        for parent in one["parents"]:
            users[parent].add(one["model"])
    whole = defaultdict(lambda: [0, 0])
    for one in found:
        model = one["model"]
        if model not in own or one["is_kind"]:
            continue
        while len(users[model] - {model}) == 1:
            (model,) = users[model] - {model}
        whole[model][0] += 1
        whole[model][1] += one["methods"]
    return {model: tuple(size) for model, size in whole.items()}


def test_no_model_is_sliced():
    assert slices(all_models()) == []


def test_no_model_is_large():
    large = {
        model
        for model, (classes, methods) in sizes(all_models()).items()
        if methods > MOST_METHODS or classes > MOST_CLASSES
    }
    assert large == set()


@pytest.mark.parametrize("part", MOST_LINES)
def test_no_file_is_long(part):
    assert not [
        path.relative_to(ADDON).as_posix()
        for path in (ADDON / part).rglob("*.py")
        if len(path.read_text().splitlines()) > MOST_LINES[part]
    ]


def used_in(text, names):
    """Return the lines of a source file that use one of these names."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in names
    ]


@pytest.mark.parametrize("place, names", ONE_PLACE.items())
def test_it_is_done_in_one_place(place, names):
    users = {
        path.relative_to(ADDON).as_posix()
        for path in ADDON.rglob("*.py")
        if "tests" not in path.parts and used_in(path.read_text(), names)
    }
    assert users
    assert {user for user in users if not user.startswith(place)} == set()


def test_uses_are_seen():
    text = "os.fsync(1)\nsession.fsync(2)\nThread()\nthreading.Thread()"
    assert used_in(text, ONE_PLACE["engine/fileio/"]) == [1]
    assert used_in(text, ONE_PLACE["engine/concurrency/"]) == [3, 4]


def imports_of_engine(text):
    """Return (module, name) of all that a source file imports of the engine."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("dfr_backup.engine")
        for alias in node.names
    ]


def is_there(module, name):
    if not importlib.util.find_spec(module):
        return False
    return hasattr(importlib.import_module(module), name) or bool(
        importlib.util.find_spec(f"{module}.{name}")
    )


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.name)
def test_what_tools_import_is_there(tool):
    wanted = imports_of_engine(tool.read_text())
    assert [one for one in wanted if not is_there(*one)] == []


SLICED_MODEL = """
class Plan(models.Model):
    _name = "x.plan"
    _inherit = ["x.mixin", "mail.thread"]
    def one(self): ...

class Mixin(models.AbstractModel):
    _name = "x.mixin"
    def two(self): ...

class Slice(models.Model):
    _inherit = "x.plan"
    def three(self): ...

class Repeated(models.Model):
    _name = "x.plan"
    _inherit = ["x.plan", "y.mixin"]

class Kind(models.Model):
    _inherit = "x.plan"
    kind = fields.Selection(selection_add=[("s3", "S3")])

class Users(models.Model):
    _inherit = "res.users"
"""


def test_slices_and_sizes_are_seen():
    found = models_of(SLICED_MODEL, "f")
    assert slices(found) == [("x.plan", "f:Slice"), ("x.plan", "f:Repeated")]
    assert sizes(found) == {"x.plan": (4, 3)}


def fields_tool():
    spec = importlib.util.spec_from_file_location("tool", REPO / "setup/dev/fields.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_stored_fields_are_those_of_the_version():
    """Else new code runs on tables that lack a column, and only fails there."""
    tool = fields_tool()
    assert tool.KNOWN.read_text() == tool.present(), tool.ADVICE


MODEL_WITH_FIELDS = """
class Plan(models.Model):
    _name = "x.plan"
    _inherit = ["x.mixin"]
    LIMIT = frozenset()
    _rule = models.Constraint("CHECK (true)", "never")
    name = fields.Char()
    shown = fields.Char(compute="_compute_shown")
    kept = fields.Char(compute="_compute_kept", store=True)
    line_ids = fields.One2many("x.line", "plan_id")
    note = MessageText(values_field="note_values")
    size = fields.Integer(related="copy_id.size")

class Users(models.Model):
    _inherit = "res.users"
    plan_id = fields.Many2one("x.plan")
"""


def test_columns_are_seen():
    assert fields_tool().columns_in(MODEL_WITH_FIELDS) == {
        "x.plan.name Char",
        "x.plan.kept Char",
        "x.plan.note MessageText",
        "res.users.plan_id Many2one",
    }


def test_no_other_test_hears_audit_events():
    """A hook stays, and beside it a thread that is measured may never begin."""
    tests = REPO / "tests"
    found = {
        str(path.relative_to(tests))
        for ring in ("engine", "storages")
        for path in (tests / ring).glob("*.py")
        if HOOK in path.read_text()
    }
    assert found == HOOKED
