"""What people and other servers write for a server: its profile, the tickets and slots
of its queue, and what the servers that it watches answer."""

import contextlib
import json
import os
from dataclasses import replace

import pytest
from fuzzing import LARGEST, changed, changed_json, changed_value, either, fuzz
from test_monitoring_health import GOOD
from test_profile import BUCKET, SECRET, SERVER

from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.errors.profile import ProfileMalformed, ProfileUnreadable
from dfr_backup.engine.monitoring import ping
from dfr_backup.engine.monitoring.health import (
    LONGEST_PROBLEM,
    MOST_SECONDS,
    heard,
    read_health,
)
from dfr_backup.engine.monitoring.watch import WatchRules, health_address
from dfr_backup.engine.profile.model import FolderNames
from dfr_backup.engine.profile.read import ProfileFile
from dfr_backup.engine.queue.estimate import FORESEEABLE
from dfr_backup.engine.queue.folder import Folder
from dfr_backup.engine.queue.tickets import LONGEST_TEXT, Ticket, read_ticket
from dfr_backup.engine.queue.turns import Queue
from dfr_backup.engine.untrusted import Unusable, parse_json

NAMES = FolderNames("shop", "1a2b3c4d")
PROFILE = f"""{BUCKET}
timeout = 30

[schedule]
frequency = daily
time = 02:30
weekday = sunday
monthday = 31
timezone = Europe/Paris

[retention]
keep_daily = 7
keep_minimum = 3

[encryption]
public_keys = age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p

[alerts]
recipients = it@dfr.org, boss@dfr.org
plan_recipients = it@dfr.org
""".encode()
ODD_LINES = (
    *(b"[storage other]", b"[schedule]", b"[]", b"[storage \xc3\xa9]", b"kind = local"),
    *(b"= x", b"key", b"  folded", b"# note", b"secret_key_file = /dev/zero", b"[a"),
    *(b"secret_key_file = relative", b"prefix = {uuid8}{other}", b"timeout = 1e9"),
    *(b"bucket = %(home)s", b"databases = ,,", b"keep = ten_years", b"\0", b"a = \xff"),
)
TICKET = Ticket("here", "shop", 7, "5424c813", 1764000000.0, 1, 60.0)
ABOUT = {"database": "shop", "run": "5424c813", "since": 1764000000.0, "seconds": 9.0}
NOW = 1764000100.0
URL = b"https://odoo.example:8443/base/dfr_backup/health"


def lines_changed(valid, chance):
    """Return a profile of which a line or a value has changed, moved, or gone."""
    lines = valid.splitlines()
    for _number in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(lines))
        key, equals, _value = lines[at].partition(b" = ")
        odd = chance.choice(
            (b"", b"0", b"-1", b"x" * 3000, b"{database}", b"a,b", b"/")
        )
        lines[at] = chance.choice((key + equals + odd, chance.choice(ODD_LINES), b""))
    return b"\n".join(lines)


def require_no_secret(text, data):
    """A secret that is still one is shown by nobody."""
    if f"\nsecret_key = {SECRET}\n".encode() in data:
        assert SECRET not in text


def profile_reader(folder):
    path = folder / "profile.ini"

    def read(data, _chance):
        path.write_bytes(data)
        path.chmod(0o600)
        try:
            found = ProfileFile(path, SERVER, [folder]).profile()
        except EngineError as error:
            require_no_secret(f"{error.in_full}{error.log}", data)
            raise
        require_no_secret(repr(found), data)
        for section in found.storages.values():
            assert all(isinstance(v, str | int) for v in section.fields(NAMES).values())

    return read


def is_ini(_data, error):
    return not isinstance(error, ProfileMalformed | ProfileUnreadable)


def is_usable_json(data, _error):
    try:
        parse_json(data)
    except Unusable:
        return False
    return True


def read_report(data, _chance):
    """What is shown and stored of a report are plain lines and possible numbers."""
    with contextlib.suppress(Unusable):
        health = read_health(data)
        heard(health)
        assert 0 <= (health.age or 0) <= MOST_SECONDS
        assert 0 <= (health.size or 0) < LARGEST
        for text in (health.problem, health.database, health.version, health.code):
            assert len(text) <= LONGEST_PROBLEM
            assert not text or text.isprintable()


def queue_reader(folder):
    """Let others write a ticket and a slot; each call of the queue still answers."""
    queue = Queue(Folder(folder), 2, "here", lambda: NOW)
    turn = queue.next(replace(TICKET, run="mine"))

    def read(data, chance):
        for left in folder.glob("*.ticket"):  # each look reads what nobody can
            left.unlink()
        with contextlib.suppress(Unusable, TypeError, KeyError):
            parts = parse_json(data)
            name = Ticket(**{**parts, "job": 1}).name
            found = read_ticket(name, data)
            assert found is None or len(found.database) <= LONGEST_TEXT
            (folder / name).write_bytes(data)
        (folder / f"{'0' * 32}.ticket").write_bytes(data)
        about = dict(ABOUT)
        changed_value(about, chance)
        os.pwrite(turn.files[0], json.dumps(about).encode().ljust(4096), 0)
        place = queue.place(replace(TICKET, run="last", since=NOW))
        assert place.expected is None or NOW <= place.expected <= NOW + FORESEEABLE
        for holder in place.holders:
            assert holder.database.isprintable()
        for ticket in queue.waiting():
            queue.leave(ticket.name)
        with contextlib.closing(queue.next(TICKET)) as next_one:
            assert next_one.ticket == TICKET

    return read


def read_address(data, _chance):
    """An address that was typed: what is taken can be asked."""
    text = data.decode("utf-8", "surrogateescape")
    with contextlib.suppress(EngineError):
        ping.check_url(text)
        ping.healthchecks(text, "start", {"uuid": "1"})
    url = health_address(text)
    WatchRules.from_text("*").check(url)
    url.encode("ascii")


def is_web(data, _error):
    return data.lower().startswith((b"http:", b"https:"))


@pytest.mark.parametrize(
    "kind, valid, change, first, share",
    [
        ("profile", PROFILE, either(lines_changed, changed), is_ini, 1),
        ("report", GOOD, either(changed, changed_json), is_usable_json, 1),
        ("queue", TICKET.to_json(), either(changed, changed_json), is_usable_json, 2),
        ("address", URL, changed, is_web, 1),
    ],
)
def test_nothing_crashes(tmp_path, kind, valid, change, first, share):
    reads = {
        "profile": lambda: profile_reader(tmp_path),
        "report": lambda: read_report,
        "queue": lambda: queue_reader(tmp_path),
        "address": lambda: read_address,
    }
    valid = json.dumps(valid).encode() if isinstance(valid, dict) else valid
    fuzz(kind, reads[kind](), valid, change, first, share)
