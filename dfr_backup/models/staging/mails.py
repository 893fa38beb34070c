"""The mail about a staging copy that is going to be deleted, to its owner."""

from ..moments import in_words
from ..plan.mails import YELLOW, link_to, make_mails, queue
from ..plan.recipients import alert_users, recipients_among
from ..rights import MANAGER


def tell(staging):
    """Queue a mail to the owner; to all backup managers when he has no address."""
    none = staging.env["res.groups"]
    owner = alert_users(staging.user_id, none)
    people = recipients_among(staging, owner, "")
    if not people:
        managers = alert_users(owner.browse(), staging.env.ref(MANAGER))
        people = recipients_among(staging, managers, "")
    queue(staging.env, make_mails(staging, compose, people))


def compose(staging):
    """Return the values of the mail, in the language of ``staging``."""
    env, name = staging.env, {"database": staging.database}
    todo = env._("To keep it, open it in the list and change its days.")
    why = env._(
        "It is dropped with everything that was changed in it, unless it is no longer "
        "a harmless copy."
    )
    return {
        "title": env._("Staging copy to be deleted: %(database)s", **name),
        "color": YELLOW,
        "intro": env._("On %s at the earliest.", in_words(env, staging.delete_on)),
        "problems": [{"what": False, "why": why, "todo": todo}],
        "facts": [
            (env._("Database"), staging.database),
            (env._("Made"), in_words(env, staging.made_at)),
            (env._("Size"), staging._size_in_words()),
        ],
        "link": link_to(staging, staging),
        "button": env._("Open the Staging Copy"),
        "settings": env._(
            "You receive this email because you made this staging copy, or "
            "because you manage the backups of this Odoo."
        ),
    }
