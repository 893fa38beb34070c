"""A plan in words: when it runs, and what it saves."""

from zoneinfo import ZoneInfo, available_timezones

from ..moments import from_odoo_datetime


def schedule_in_words(plan):
    """Return when the plan runs, for example "Every day at 02:00 (Europe/Paris)"; to
    a reader in another time zone also when that is there."""
    plan.ensure_one()
    frequencies = dict(plan._fields["frequency"]._description_selection(plan.env))
    name = frequencies[plan.frequency]
    if plan.frequency == "manual":
        return name
    hours, minutes = divmod(round(plan.time * 60), 60)
    if plan.frequency == "hourly":
        return plan.env._(
            "%(every)s at minute %(minutes)s", every=name, minutes=minutes
        )
    words = plan.env._(
        "%(every)s at %(hours)02d:%(minutes)02d (%(zone)s)",
        every=_days_in_words(plan, name),
        hours=hours,
        minutes=minutes,
        zone=plan.tz,
    )
    there = _for_reader(plan)
    return (
        plan.env._("%(schedule)s, %(time)s for you", schedule=words, time=there)
        if there
        else words
    )


def _for_reader(plan):
    """Return the time of the next run where the reader is, "" where it is the
    plan's."""
    zone = plan.env.context.get("tz") or plan.env.user.tz
    moment = from_odoo_datetime(plan.next_run)
    if not moment or zone not in available_timezones():
        return ""
    here, there = (
        moment.astimezone(ZoneInfo(plan.tz)),
        moment.astimezone(ZoneInfo(zone)),
    )
    return "" if here.utcoffset() == there.utcoffset() else f"{there:%H:%M}"


def _days_in_words(plan, frequency):
    if plan.frequency == "weekly":
        days = dict(plan._fields["weekday"]._description_selection(plan.env))
        return f"{frequency}, {days[plan.weekday]}"
    if plan.frequency == "monthly":
        return plan.env._("%(every)s, day %(day)s", every=frequency, day=plan.monthday)
    return frequency


def contents_in_words(plan):
    """Return what the plan saves, for example "Database, Attachments"."""
    names = ("include_database", "include_filestore", "include_addons")
    fields_of = plan.fields_get(names, ["string"])
    return ", ".join(fields_of[name]["string"] for name in names if plan[name])
