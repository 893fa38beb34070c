"""A plan in words: when it runs, and what it saves."""


def schedule_in_words(plan):
    """Return when the plan runs, for example "Every day at 02:00
    (Europe/Paris)"."""
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
    return plan.env._(
        "%(every)s at %(hours)02d:%(minutes)02d (%(zone)s)",
        every=_days_in_words(plan, name),
        hours=hours,
        minutes=minutes,
        zone=plan.tz,
    )


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
