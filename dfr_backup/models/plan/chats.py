"""What a plan says in a chat: what its mails say, in the language of the company."""

from functools import partial

from ...engine.concurrency.background import in_thread
from ...engine.monitoring.chat import CHATS, Notice
from . import mails
from .mails import RED, YELLOW
from .monitors import send_and_log

# what their addresses look like
EXAMPLES = {
    "slack": "https://hooks.slack.com/services/…",
    "teams": "https://….logic.azure.com/workflows/…",
    "ntfy": "https://ntfy.sh/my-backups",
}
TONES = {RED: "danger", YELLOW: "warning"}


def chat_messages(plan, compose):
    """Return the requests that say in the chat of ``plan`` what a mail would say, none
    without a chat. ``compose`` is as for ``make_mails``. Raise EngineError."""
    plan = plan.sudo()
    url = plan.chat_service and plan._read_secret("chat_url")
    if not url:
        return []
    lang = plan.env.company.partner_id.lang or "en_US"
    localized = plan.with_context(lang=lang, tz=plan.tz)
    return [CHATS[plan.chat_service](url, notice_of(compose(localized)))]


def notice_of(values):
    """Return the values of a mail as what stands in a chat."""
    lines = [values["intro"]]
    for problem in values["problems"]:
        parts = (problem["what"], problem["why"])
        lines += [": ".join(filter(None, parts)), problem["todo"]]
    lines += [f"{label}: {text}" for label, text in values["facts"]]
    return Notice(
        values["title"],
        tuple(line for line in lines if line),
        TONES.get(values["color"], "success"),
        values["link"],
        values["button"],
    )


def say_after_commit(plan, messages):
    """Send them when the transaction is committed, in a thread: nobody here may wait
    for it."""
    if messages:
        send = partial(send_and_log, messages)
        plan.env.cr.postcommit.add(lambda: in_thread(send, "dfr_backup chat"))


def compose_test(plan):
    return {
        **mails.compose_test(plan),
        "title": plan.env._("Test: messages about backups arrive"),
        "intro": plan.env._(
            "Everything is fine. Someone has pressed “Send a Test Message”."
        ),
    }
