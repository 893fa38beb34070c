"""Messages of the engine: kept as values, read in the language of whoever looks."""

from contextlib import contextmanager

from odoo import fields
from odoo.exceptions import UserError
from odoo.tools.translate import code_translations

from ..engine.errors import EngineError
from ..engine.messages import Joined, Size, from_json, render, to_json

MODULE = "dfr_backup"


def translate(env, text):
    """Return a text of the engine in the language of ``env``; without a translation it
    is English."""
    lang = env.lang or "en_US"
    if lang.startswith("en"):
        return str(text)
    known = code_translations.get_python_translations(MODULE, lang)
    point = env["res.lang"]._get_data(code=lang).decimal_point or "."
    return render(text, lambda template: known.get(template) or template, point)


def size_in_words(env, count):
    """Return a number of bytes in the language of ``env``."""
    return translate(env, Size(int(count)))


def format_error(env, error):
    """Return what an EngineError says, and below it what to do."""
    return translate(env, Joined([error.message, error.hint], "\n"))


@contextmanager
def translate_engine_errors(env, error_class=UserError):
    """Let an EngineError within leave as ``error_class``, in the user's language and
    with its code, which the documentation lists; a client of the RPC finds the code in
    the ``context`` of the answer as well."""
    try:
        yield
    except EngineError as error:
        shown = format_error(env, error)
        refusal = error_class(f"{shown}\n[{error.code}]" if error.code else shown)
        refusal.context = {"error_code": error.code or None}
        raise refusal from error


def error_columns(error):
    """Return the values of ``backup.error.mixin`` for an EngineError, or for none."""
    if error is None:
        return dict.fromkeys(("error", "hint", "error_code", "error_values"), False)
    return {
        "error": str(error.message),
        "hint": str(error.hint),
        "error_code": error.code or False,
        "error_values": {
            "error": to_json(error.message),
            "hint": to_json(error.hint),
        },
    }


def stored_error(record, error_class=EngineError):
    """Return the error that a record keeps, None when it keeps none."""
    if not record.error:
        return None
    error = error_class()
    error.code = record.error_code or ""
    error.message, error.hint = (
        stored_text(record, "error"),
        stored_text(record, "hint"),
    )
    return error


def stored_text(record, name):
    """Return what a ``MessageText`` keeps: a message, or the English where it has no
    values or is from before there were any."""
    field = record._fields[name]
    values = record.sudo()[field.values_field]
    if isinstance(values, list):
        values = {name: {"joined": values, "by": "\n"}}
    try:
        return from_json(values[name])
    except (KeyError, TypeError, ValueError):
        return record[name] or ""


def displayed(record, name):
    """Return a ``MessageText`` in the language of the record's environment."""
    return record._fields[name].convert_to_read(record[name], record)


class MessageMixin:
    """English as it was rendered, for search, export to monitors and SQL; and the
    values of the message in another column, for whoever reads it in Odoo.

    ``values_field`` is the name of that column (Json): a dict with ``to_json`` of each
    field that shares the column, or a list of it, one for each line.
    """

    values_field = None

    def convert_to_read(self, value, record, use_display_name=True):
        english = super().convert_to_read(value, record, use_display_name)
        if not english or (record.env.lang or "en_US").startswith("en"):
            return english
        return translate(record.env, stored_text(record, self.name))

    def convert_to_export(self, value, record):
        return self.convert_to_read(value, record) or ""


class MessageChar(MessageMixin, fields.Char):
    """One line of the engine's."""


class MessageText(MessageMixin, fields.Text):
    """Lines of the engine's."""
