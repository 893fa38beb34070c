"""What the chats get, from a real HTTP server on loopback, held against what the
services document."""

import json
from urllib.parse import urlsplit

import pytest
from test_monitoring_ping import monitor  # noqa: F401

from dfr_backup.engine.errors.monitors import NoTopic
from dfr_backup.engine.monitoring import chat
from dfr_backup.engine.monitoring.ping import send_all

LINK = "https://odoo.example.com/odoo/backup-runs/7?a=1&b=2"
NOTICE = chat.Notice(
    "Backup failed: Nuit d’été (shop)",
    ("Upload: <!channel> [x](https://evil) is *full* & more", "Free some space."),
    "danger",
    LINK,
    "Open the Run",
)
# the properties that https://learn.microsoft.com/adaptive-cards/schema-explorer names
CARD = {
    "RichTextBlock": {"inlines"},
    "TextRun": {"text", "weight", "size", "color"},
    "Action.OpenUrl": {"title", "url"},
}


def said(monitor, made):  # noqa: F811
    """Send it; return what the server got as JSON."""
    assert send_all([made], 5) == []
    ((method, target, body),) = monitor.heard
    assert method == "POST"
    return target, json.loads(body)


def long(lines=4000):
    line = "é" * 60
    return chat.Notice("t" * 500, (line,) * lines, "warning", LINK, "Open")


def test_slack(monitor):  # noqa: F811
    target, body = said(monitor, chat.slack(monitor.url, NOTICE))
    assert target == "/s3cr3t"
    header, section, link = body["blocks"]
    assert header["type"] == "header"
    assert header["text"]["type"] == "plain_text"
    assert header["text"]["text"] == NOTICE.title
    # plain text: Slack reads no mention and no format in it
    assert section["text"]["type"] == "plain_text"
    assert section["text"]["text"] == "\n".join(NOTICE.lines)
    assert link["text"]["type"] == "mrkdwn"
    assert link["text"]["text"] == f"<{LINK.replace('&', '&amp;')}|Open the Run>"


def test_what_a_text_holds_mentions_nobody_in_slack(monitor):  # noqa: F811
    name = "<!channel> & <https://evil|here>"
    notice = chat.Notice(name, (), "danger", LINK, name)
    _target, body = said(monitor, chat.slack(monitor.url, notice))
    for text in (body["text"], body["blocks"][2]["text"]["text"]):
        assert "<!" not in text
        assert text.count("<") <= 1
        assert text.count("|") <= 1


def test_slack_takes_no_more_than_this(monitor):  # noqa: F811
    _target, body = said(monitor, chat.slack(monitor.url, long()))
    header, section, _link = body["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert 0 < len(section["text"]["text"]) <= 3000


def elements(found):
    """Yield every element of a card."""
    if isinstance(found, dict):
        yield found
        for value in found.values():
            yield from elements(value)
    elif isinstance(found, list):
        for value in found:
            yield from elements(value)


def test_teams(monitor):  # noqa: F811
    target, body = said(monitor, chat.teams(monitor.url, NOTICE))
    assert target == "/s3cr3t"
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    texts = [one for one in elements(card) if one.get("type") == "TextRun"]
    assert [one["text"] for one in texts] == [NOTICE.title, *NOTICE.lines]
    for one in elements([card["body"], card["actions"]]):
        assert one.keys() - {"type"} <= CARD[one["type"]]
    (action,) = card["actions"]
    assert action["url"] == LINK


def test_teams_takes_no_more_than_this(monitor):  # noqa: F811
    made = chat.teams(monitor.url, long())
    assert len(made.body) < 28 * 1024
    said(monitor, made)


def test_ntfy(monitor):  # noqa: F811
    target, body = said(monitor, chat.ntfy(f"{monitor.url}?auth=abc", NOTICE))
    assert target == "/?auth=abc"
    assert body["topic"] == "s3cr3t"
    assert body["title"] == NOTICE.title
    assert body["message"] == "\n".join(NOTICE.lines)
    assert body["click"] == LINK
    assert body["priority"] in range(1, 6)
    assert all(isinstance(tag, str) for tag in body["tags"])


def test_ntfy_takes_no_more_than_this(monitor):  # noqa: F811
    _target, body = said(monitor, chat.ntfy(monitor.url, long()))
    assert 0 < len(body["message"].encode()) <= 4096


@pytest.mark.parametrize("path", ["", "/", "/a/b"])
def test_ntfy_without_a_topic(path):
    with pytest.raises(NoTopic):
        chat.ntfy(f"https://ntfy.sh{path}", NOTICE)


@pytest.mark.parametrize("name", chat.CHATS)
def test_the_address_is_not_shown(name):
    made = chat.CHATS[name]("https://chat.example.com/s3cr3t", NOTICE)
    assert "s3cr3t" not in repr(made)
    assert urlsplit(made.url).hostname == "chat.example.com"
