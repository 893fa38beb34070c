"""What people read in a chat: a notice in the form that Slack, Microsoft Teams and ntfy
expect.

What stands in a notice comes from errors and names: nothing of it may become a link, a
mention or a format.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors.monitors import NoTopic
from .ping import Ping

HEADER = 150  # characters of a header of Slack
SECTION = 3000  # characters of a section of Slack
TEAMS_TEXT = 8000  # characters: a message of Teams may have 28 KB
NTFY_TEXT = 4096  # bytes of a message of ntfy; a longer one becomes a file
PRIORITIES = {"danger": 4, "warning": 4, "success": 3}  # of ntfy; 3 is the usual one
TAGS = {"danger": "rotating_light", "warning": "warning", "success": "white_check_mark"}
COLORS = {"danger": "Attention", "warning": "Warning", "success": "Good"}  # of Teams


@dataclass(frozen=True)
class Notice:
    """What is said: ``lines`` in plain text, ``tone`` one of "danger", "warning" and
    "success", ``button`` what stands on the ``link``."""

    title: str
    lines: tuple[str, ...]
    tone: str
    link: str
    button: str


def slack(url: str, notice: Notice) -> Ping:
    """Return what an incoming webhook of Slack gets."""
    blocks = [
        {"type": "header", "text": _plain(notice.title[:HEADER])},
        {"type": "section", "text": _plain("\n".join(notice.lines)[:SECTION])},
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": f"<{_escaped(notice.link)}|{_escaped(notice.button)}>",
            },
        },
    ]
    body = {"text": _escaped(notice.title), "blocks": blocks}
    return _posted("Slack", url, body)


def teams(url: str, notice: Notice) -> Ping:
    """Return what a workflow of Teams gets that posts "when a webhook request is
    received": a message with one adaptive card."""
    title = {
        "type": "TextRun",
        "text": notice.title,
        "weight": "Bolder",
        "size": "Medium",
        "color": COLORS[notice.tone],
    }
    lines = "\n".join(notice.lines)[:TEAMS_TEXT].splitlines()
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        # runs of text: a text block would read Markdown
        "body": [
            {"type": "RichTextBlock", "inlines": [title]},
            *(
                {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": one}]}
                for one in lines
                if one
            ),
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": notice.button, "url": notice.link}
        ],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    body = {"type": "message", "attachments": [attachment]}
    return _posted("Microsoft Teams", url, body)


def ntfy(url: str, notice: Notice) -> Ping:
    """Return what the server of a topic gets, given the address of the topic. Raise
    PermanentError for an address without one."""
    parts = urlsplit(url)
    topic = unquote(parts.path.strip("/"))
    if not topic or "/" in topic:
        raise NoTopic()
    body = {
        "topic": topic,
        "title": notice.title,
        "message": _bytes("\n".join(notice.lines), NTFY_TEXT) or notice.title,
        "priority": PRIORITIES[notice.tone],
        "tags": [TAGS[notice.tone]],
        "click": notice.link,
    }
    root = urlunsplit((parts.scheme, parts.netloc, "/", parts.query, ""))
    return _posted("ntfy", root, body)


CHATS = {"slack": slack, "teams": teams, "ntfy": ntfy}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text or "–", "emoji": False}


def _escaped(text: str) -> str:
    """Return a text that Slack shows as it is."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "¦")):
        text = text.replace(sign, name)
    return text


def _bytes(text: str, most: int) -> str:
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def _posted(service: str, url: str, body: Mapping[str, Any]) -> Ping:
    text = json.dumps(body, ensure_ascii=False)
    return Ping(service, "POST", url, text.encode("utf-8", "replace"))
