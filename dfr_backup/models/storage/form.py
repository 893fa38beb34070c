"""How a form says what a test of its storage has found."""

from ...engine.messages import Joined, to_json
from ..actions import notification
from ..engine_messages import format_error


def columns_of_test(error, found):
    """Return what a test writes down of its error, or of what it has noticed."""
    texts = {
        "last_test_error": error.in_full if error else Joined([]),
        "last_test_notes": Joined(found.notes if found else [], "\n"),
    }
    return {
        **{name: str(text) or False for name, text in texts.items()},
        "last_test_values": {name: to_json(text) for name, text in texts.items()},
        "last_test_error_code": (error and error.code) or False,
    }


def columns_of_probe(storage, found):
    """Return what is written down of what a probe has ``found``. What the administrator
    has confirmed ends when the storage tells it; only a lock that was extended ends
    what is known of one that was not."""
    extends = found.extends_locks
    return {
        "can_delete": found.can_delete,
        "can_list": found.can_list,
        "takes_away": found.takes_away,
        "expires_days": found.expires_after or 0,
        "rules_unknown": found.rules_unknown,
        "rules_confirmed": storage.rules_confirmed and found.rules_unknown,
        "locks_by_default": found.locks_by_default,
        "lock_refused": storage.lock_refused if extends is None else not extends,
    }


def propose_name(storage, place):
    """Name a storage that is being made by what it is, until somebody names it."""
    kind = storage.env.context.get("storage_kind")
    named = storage.name and storage.name.partition(": ")[0] != kind
    if kind and place and not named:
        storage.name = f"{kind}: {place}"


def show_test(storage, error, found):
    if error:
        message = format_error(storage.env, error)
    elif not found.can_list:
        message = storage.env._(
            "A probe was written and read back; listing the storage is not allowed."
        )
    elif found.can_delete:
        message = storage.env._("A probe was written, read back, listed and deleted.")
    else:
        message = storage.env._(
            "A probe was written, read back and listed; deleting it is not allowed."
        )
    return notification(
        storage.env._("The test failed") if error else storage.env._("It works"),
        message,
        "danger" if error else "success" if found.can_list else "warning",
    )
