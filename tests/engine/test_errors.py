"""Errors as values: codes that never change, templates that can be exported."""

import ast
import errno
import importlib
import json
import os
import pkgutil
import re
from pathlib import Path

import polib
import pytest

from dfr_backup.engine import errors
from dfr_backup.engine.errors import EngineError, PermanentError
from dfr_backup.engine.messages import Message, places
from dfr_backup.engine.storages.local.storage import LocalRules, LocalStorage

ADDON = Path(__file__).resolve().parents[2] / "dfr_backup"
SOURCES = [path for part in ("engine", "runs") for path in (ADDON / part).rglob("*.py")]
RAISING = [
    path
    for path in ADDON.rglob("*.py")
    if not {"tests", "migrations"} & set(path.relative_to(ADDON).parts)
]
# what says whether to try again; what is raised has a code
KINDS = {"EngineError", "PermanentError", "RetryableError", "Mismatch", "Deferred"}
# a sentence, a question, a value (in parentheses at times), or what is to be typed
ENDS = re.compile(r"(?s:.*)([.?]|%\(\w+\)s\)?|: [^.?]+)")
# the codes of release 19.0.1.0.0
KNOWN = json.loads((ADDON / "migrations/19.0.1.1.0/codes.json").read_text("utf-8"))
RETIRED: dict[str, str] = {}  # code: why nothing raises it any more

for module in pkgutil.iter_modules(errors.__path__):
    importlib.import_module(f"{errors.__name__}.{module.name}")

CLASSES = errors.error_classes()


def templates_of(cls):
    names = [
        name for name in dir(cls) if name == "remedy" or name.startswith("remedy_")
    ]
    return [cls.template, *filter(None, (getattr(cls, name) for name in names))]


def test_no_code_of_an_earlier_release_is_lost():
    assert not set(KNOWN) - set(CLASSES) - set(RETIRED)


def test_a_code_is_given_once():
    with pytest.raises(TypeError):
        type("Another", (PermanentError,), {}, code="DUMP-01")
    with pytest.raises(TypeError):
        type("NoCode", (PermanentError,), {}, code="dump 1")


def test_each_error_has_a_remedy():
    assert [code for code, cls in CLASSES.items() if not cls.remedy.strip()] == []


@pytest.mark.parametrize("code", CLASSES)
def test_a_template_is_one(code):
    for template in templates_of(CLASSES[code]):
        assert ENDS.fullmatch(template)
        assert template == template.strip()
        values = dict.fromkeys(places(template), "value")
        assert template % values
        assert "%s" not in template


def test_what_is_raised_gives_every_value():
    """Each call of a class of errors names the values of its template, and of the
    remedy where that is the class's own."""
    classes = {cls.__name__: cls for cls in CLASSES.values()}
    calls, lacking = 0, []
    for path in RAISING:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and not isinstance(node.exc, ast.Call):
                raised = classes.get(getattr(node.exc, "id", ""))
                if raised and places(raised.template + raised.remedy):
                    lacking.append(f"{path.name}:{node.lineno} {node.exc.id}")
            name = isinstance(node, ast.Call) and called(node)
            if name in KINDS:
                lacking.append(f"{path.name}:{node.lineno} {name}: no code")
            if name not in classes:
                continue
            calls += 1
            given = {keyword.arg for keyword in node.keywords}
            needed = places(classes[name].template)
            if "remedy" not in given:
                needed |= places(classes[name].remedy)
            if None not in given and needed - given:
                lacking.append(f"{path.name}:{node.lineno} {name} {needed - given}")
            if node.args:
                lacking.append(f"{path.name}:{node.lineno} {name}: positional")
    assert calls > 100
    assert not lacking


def called(call):
    """Return the name of what is called, without where it is from."""
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def literals(path):
    """Yield each template that stands in a call of ``_``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
            (literal,) = node.args
            assert isinstance(literal, ast.Constant), f"{path}:{node.lineno}"
            yield literal.value


def test_each_template_is_in_the_pot():
    terms = {e.msgid for e in polib.pofile(str(ADDON / "i18n" / "dfr_backup.pot"))}
    found = {text for path in SOURCES for text in literals(path)}
    assert len(found) > 300
    assert not found - terms


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ADDON).as_posix())
def test_messages_are_made_of_templates(path):
    """An f-string, a bare literal or what something has said is no term: it would stay
    English for ever."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if called(node) in ("Message", "log", "warn"):
            said = node.args[0]
            bare = isinstance(said, ast.JoinedStr | ast.Constant)
            bare = bare and getattr(said, "value", True) != ""
            bare |= isinstance(said, ast.Call) and called(said) in ("str", "repr")
            assert not bare, f"{path.name}:{node.lineno}: a template needs _()"


def test_an_error_rewrapped_says_the_same_with_its_code():
    class Full(PermanentError, code="TEST-01"):
        template = "%(name)s is full"
        remedy = "Free some space."

    cause = Full(name="disk", log="ENOSPC")
    wrapped = errors.Deferred.because(cause)
    assert isinstance(wrapped, errors.Deferred)
    assert (wrapped.code, wrapped.log) == ("TEST-01", "ENOSPC")
    assert (wrapped.message, wrapped.hint) == (cause.message, cause.hint)
    assert errors.Deferred.code == ""
    assert errors.error_class("TEST-01") is Full


def test_a_remedy_can_be_chosen():
    class Lost(EngineError, code="TEST-02"):
        template = "%(name)s is lost"
        remedy = "Look for it."
        remedy_known = "Look for it in %(place)s."

    assert str(Lost(name="key").hint) == "Look for it."
    chosen = Lost(name="key", place="the safe", remedy=Lost.remedy_known)
    assert chosen.hint.values == {"place": "the safe"}


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("the tape ends here"), "the tape ends here"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_the_system_refuses_always_has_words(error, words):
    assert errors.reason_of(error) == words


def test_no_file_is_blamed_when_memory_has_run_out(tmp_path):
    said = os.strerror(errno.ENOMEM)
    lacking = OSError(errno.ENOMEM, said)
    storage = LocalStorage(tmp_path, LocalRules([tmp_path]))
    with (
        pytest.raises(OSError, match=said) as raised,
        storage._explained(Message("read")),
    ):
        raise lacking
    assert raised.value is lacking


def test_nobody_asks_an_error_for_words_that_it_may_not_have():
    """``strerror`` is None in an error that a library has made."""
    asking = [
        f"{path.relative_to(ADDON)}:{node.lineno}"
        for path in RAISING
        if path != ADDON / "engine/errors/__init__.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "strerror"
        if not (isinstance(node.value, ast.Name) and node.value.id == "os")
    ]
    assert not asking
