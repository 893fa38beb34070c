"""What the engine has worded, in the language of whoever reads it."""

from contextlib import contextmanager
from functools import lru_cache

from odoo import fields
from odoo.exceptions import UserError
from odoo.tools.translate import code_translations

from ..engine.errors import EngineError
from ..engine.phrasebook import Phrasebook
from .engine_terms import TERMS

MODULE = "dfr_backup"


class SpokenMixin:
    """A text that the engine has made. It is kept in English, as code and monitors
    see it, and read by the web client in the user's language."""

    def convert_to_read(self, value, record, use_display_name=True):
        return say(record.env, super().convert_to_read(value, record, use_display_name))

    def convert_to_export(self, value, record):
        return say(record.env, super().convert_to_export(value, record))


class EngineChar(SpokenMixin, fields.Char):
    """One line of the engine's."""


class EngineText(SpokenMixin, fields.Text):
    """Lines of the engine's."""


def say(env, text):
    """Return a text of the engine in the language of ``env``, as far as it is
    translated."""
    if not text or not env.lang or env.lang.startswith("en"):
        return text
    return "\n".join(_say_line(env, line) for line in text.split("\n"))


def explain(env, error):
    """Return in the language of ``env`` what an EngineError says, and what to do
    about it."""
    return "\n".join(say(env, text) for text in (error.message, error.hint) if text)


@contextmanager
def told(env, error_class=UserError):
    """Let whoever looks at a form hear in ``error_class`` what the engine says
    within."""
    try:
        yield
    except EngineError as error:
        raise error_class(explain(env, error)) from error


def _say_line(env, line):
    phrasebook = _phrasebook(env.lang)
    kind, separator, rest = line.partition(": ")
    label = separator and _step_kinds(env).get(kind)
    if label:  # a run that failed says which step it was
        return f"{label}: {phrasebook.translate(rest)}"
    return phrasebook.translate(line)


@lru_cache(maxsize=32)
def _phrasebook(lang):
    translations = code_translations.get_python_translations(MODULE, lang)
    # what models have worded for a run, which has no language either
    worded = (term for term in translations if " " in term)
    return Phrasebook(dict.fromkeys([*TERMS, *worded]), translations)


def _step_kinds(env):
    field = env["backup.step"]._fields["kind"]
    english = field._description_selection(
        env(context={**env.context, "lang": "en_US"})
    )
    own = field._description_selection(env)
    return {
        label: own_label
        for (_, label), (_, own_label) in zip(english, own, strict=True)
    }
