"""What a button returns to the web client."""


def form_action(record, name=None, *, dialog=False, view=None, **context):
    """Return the action that shows the form of a record: in a dialog if asked, and by
    another ``view`` than its first."""
    action = {
        "type": "ir.actions.act_window",
        "res_model": record._name,
        "res_id": record.id,
        "views": [(view.id if view else False, "form")],
    }
    given = {"name": name, "target": dialog and "new", "context": context}
    return {**action, **{key: value for key, value in given.items() if value}}


def notification(title, message, kind):
    """Return the action that shows a message, and then the changed record."""
    return {
        "type": "ir.actions.client",
        "tag": "display_notification",
        "params": {
            "type": kind,
            "sticky": kind == "danger",
            "title": title,
            "message": message,
            "next": {"type": "ir.actions.client", "tag": "soft_reload"},
        },
    }
