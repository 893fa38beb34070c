"""What an empty list says: why it is empty, and what its reader does next.

Each model has a function, given ``env`` of the superuser and whether a manager reads
it. What a list is about, in the ``help`` of its action, is the same for everybody and
stands between the title and the next step.
"""

from typing import NamedTuple

from markupsafe import Markup

from odoo import api, models

from ... import odoo_config
from ..moments import in_words
from ..rights import MANAGER

FACES = {
    "hidden": "o_view_nocontent_empty_folder",
    "intact": "o_view_nocontent_smiling_face",
}
SET_UP = "dfr_backup.backup_setup_action"
OVERVIEW = "dfr_backup.backup_overview_action"
PLANS = "dfr_backup.backup_plan_action"


class Empty(NamedTuple):
    """Why a list is empty: a state, a title, what is to be done, and the XML id and
    the words of the action that leads there, if one is needed."""

    state: str
    title: str
    next_step: str = ""
    action: str = ""
    button: str = ""


class BackupEmptyMixin(models.AbstractModel):
    """Records whose empty list says what is true now, and names no button that its
    reader has not got."""

    _name = "backup.empty.mixin"
    _description = "List That Says Why It Is Empty"

    @api.model
    def get_empty_list_help(self, help_message):
        """Return the help of an action, with a title and the next step around it."""
        message = super().get_empty_list_help(help_message)
        if not self.sudo(False).has_access("read"):
            return message
        manager = self.env.user.has_group(MANAGER)
        env = self.sudo().env
        if env[self._name].search_count([], limit=1):
            found = _HIDES.get(self._name, _hidden)(env, manager)
        else:
            found = _REASONS[self._name](env, manager)
        return _as_html(found, message)


def _as_html(empty, message):
    face = FACES.get(empty.state, "o_view_nocontent_neutral_face")
    title = Markup('<p class="{}" data-state="{}">{}</p>')
    about = Markup(message or "")  # noqa: S704 (a Html field of the action)
    html = title.format(face, empty.state, empty.title) + about
    if empty.next_step:
        html += Markup('<p class="o_backup_next_step">{}</p>').format(empty.next_step)
    if empty.action:
        link = Markup(
            '<p><a class="btn btn-primary" role="button" href="#" type="action"'
            ' name="{}">{}</a></p>'
        )
        html += link.format(empty.action, empty.button)
    return html


def _hidden(env, _manager):
    title = env._("Nothing matches")
    text = env._(
        "There are entries, but the current selection shows none of them. Remove a "
        "filter to see more."
    )
    return Empty("hidden", title, text)


# === PLANS AND STORAGES === #


def _no_plan(env, manager):
    archived = _archived(env, "backup.plan")
    title = env._("No plan yet")
    if archived:
        title = env._("All plans are archived")
    if not manager:
        return Empty("archived" if archived else "none", title, _ask_manager(env))
    if archived:
        text = env._(
            "Nothing is backed up. Use the filter “Archived” to find a plan and "
            "unarchive it, or press “New”."
        )
        return Empty("archived", title, text)
    text = env._("Nothing is backed up. The guided set-up creates a plan.")
    return Empty("none", title, text, SET_UP, env._("Set Up Backups"))


def _no_storage(env, manager):
    archived = _archived(env, "backup.storage")
    state, title = "none", env._("No storage yet")
    if archived:
        state, title = "archived", env._("All storages are archived")
    if not manager:
        return Empty(state, title, _ask_manager(env))
    if archived:
        text = env._(
            "Backups cannot be stored. Use the filter “Archived” to find a storage "
            "and unarchive it, or press “New”."
        )
    else:
        text = env._(
            "Press “New” to add one. Off-site is best: a bucket, an SFTP server or a "
            "mounted share."
        )
    return Empty(state, title, text)


def _archived(env, model):
    return env[model].search_count([("active", "=", False)], limit=1)


def _ask_manager(env):
    return env._("Nothing is backed up. Please tell a backup manager.")


# === WHAT RUNS LEAVE === #


def _no_run(env, manager):
    title = env._("No backup has run yet")
    return _without_plan(env, title, manager) or Empty(
        "none", title, _first_run(env, manager)
    )


def _no_backup(env, manager):
    title = env._("No backup yet")
    found = _without_plan(env, title, manager) or Empty(
        "none", title, _next_run(env) or _only_by_hand(env)
    )
    if manager and not found.action:
        button = env._("Open Overview")  # it has the button that starts a run
        found = found._replace(action=OVERVIEW, button=button)
    return found


def _no_staging(env, manager):
    title = env._("There are no staging copies")
    copies = env["backup.copy"]
    if not copies.search_count(copies._countable(), limit=1):
        return _no_backup(env, manager)._replace(title=title)
    if not manager:
        return Empty("none", title, env._("A backup manager can make one."))
    text = env._(
        "Choose a backup and make one from it, or press “Make a Staging Copy” on the "
        "overview."
    )
    return Empty("none", title, text, OVERVIEW, env._("Open Overview"))


def _unchecked(env, manager):
    checks = [("kind", "=", "archive_files"), ("state", "in", ("success", "warning"))]
    last = env["backup.step"].search(checks, limit=1, order="id desc")
    if last:
        return _intact(env, last.date_end)
    return _no_backup(env, manager)._replace(
        state="unchecked", title=env._("No attachment has been checked yet")
    )


def _intact(env, checked_at=None):
    title = env._("No attachment is known to be missing or damaged")
    text = checked_at and env._("Last checked: %s", in_words(env, checked_at))
    return Empty("intact", title, text or "")


def _nothing_open(env, manager):
    if env["backup.filestore.issue"].search_count([("state", "=", "open")], limit=1):
        return _hidden(env, manager)
    return _unchecked(env, manager)


def _without_plan(env, title, manager):
    """Return why nothing will come by itself, None when there is a plan."""
    if env["backup.plan"].search_count([], limit=1):
        return None
    if not manager:
        return Empty("no_plan", title, _ask_manager(env))
    text = env._("Nothing is backed up: there is no active plan.")
    if _archived(env, "backup.plan"):
        return Empty("no_plan", title, text, PLANS, env._("Open Plans"))
    return Empty("no_plan", title, text, SET_UP, env._("Set Up Backups"))


def _first_run(env, manager):
    if not manager:
        return _next_run(env) or _only_by_hand(env)
    press = env._("You need not wait for a schedule: press “Run Backup Now” above.")
    return " ".join(filter(None, (_next_run(env), press)))


def _next_run(env):
    plan = env["backup.plan"].search(
        [("next_run", "!=", False)], order="next_run", limit=1
    )
    return plan and env._("Next scheduled backup: %s.", in_words(env, plan.next_run))


def _only_by_hand(env):
    return env._("No backup is scheduled: plans run only when somebody starts them.")


# === THE REST === #


def _no_change(env, _manager):
    return Empty("none", env._("Nothing has been recorded yet"))


def _no_server(env, _manager):
    title = env._("No server is watched yet")
    if not odoo_config.watch_rules():
        text = env._(
            "odoo.conf names no server that may be watched: add "
            "dfr_backup_watch_hosts there and restart Odoo."
        )
        return Empty("off", title, text)
    text = env._(
        "On the other server, open Settings / General Settings / Backups and switch "
        "the health endpoint on. Copy the address and the token that are shown "
        "there, press “New” here, and enter both."
    )
    return Empty("none", title, text)


_REASONS = {
    "backup.audit": _no_change,
    "backup.backup": _no_backup,
    "backup.copy": _no_backup,
    "backup.filestore.issue": _unchecked,
    "backup.job": _no_run,
    "backup.plan": _no_plan,
    "backup.server": _no_server,
    "backup.staging": _no_staging,
    "backup.storage": _no_storage,
}
_HIDES = {"backup.filestore.issue": _nothing_open}
