"""Moments of the database, without a time zone and in UTC, and those of the engine,
which have one."""

from datetime import timezone
from zoneinfo import ZoneInfo

from babel.dates import format_date

from odoo.tools.misc import babel_locale_parse, format_time, get_lang


def from_odoo_datetime(value):
    """Return a value of a Datetime field with its time zone, None for an empty one."""
    return value.replace(tzinfo=timezone.utc) if value else None


def to_odoo_datetime(timestamp):
    """Return the value of a Datetime field, to the second; False for no timestamp."""
    if not timestamp:
        return False
    return timestamp.astimezone(timezone.utc).replace(tzinfo=None, microsecond=0)


def as_iso(value):
    """Return a value of a Datetime field as monitors read it, None for an empty one."""
    return f"{value.isoformat(timespec='seconds')}Z" if value else None


def in_words(env, value):
    """Return a value of a Datetime field to the minute, in the reader's language and
    time zone; "" for an empty one."""
    if not value:
        return ""
    tz = env.context.get("tz") or "UTC"
    locale = babel_locale_parse(get_lang(env).code)
    day = from_odoo_datetime(value).astimezone(ZoneInfo(tz)).date()
    return f"{format_date(day, locale=locale)} {format_time(env, value, tz, 'short')}"
