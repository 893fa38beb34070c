"""A pause: until somebody ends it, a database starts no scheduled run. Noted in the
database itself, as JSON."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors.server import Paused
from ..untrusted import parse_json

PARAMETER = "dfr_backup.paused"
FORM = "%Y-%m-%dT%H:%M:%SZ"
LONGEST = 500  # characters of a text


@dataclass(frozen=True)
class Pause:
    """Since when backups are paused, by whom, why ("" where nobody said it), and until
    when; None: until somebody resumes them."""

    since: datetime
    by: str
    reason: str = ""
    until: datetime | None = None

    def to_text(self) -> str:
        """Return what is noted in the database."""
        noted = {"since": f"{self.since:{FORM}}", "by": self.by, "reason": self.reason}
        if self.until:
            noted["until"] = f"{self.until:{FORM}}"
        return json.dumps(noted)

    def problem(self, database: str) -> Paused:
        """Return the same as what is wrong with a database."""
        command = f"odoo backup resume -d {shlex.quote(database)}"
        until = self.until and _said(self.until)
        return Paused(
            remedy=Paused.remedy_until if until else None,
            since=_said(self.since),
            by=self.by,
            reason=self.reason or "–",
            until=until or "",
            command=command,
        )


def read_pause(text: str | None, now: datetime) -> Pause | None:
    """Return the pause that is noted, None without one and when it is over. A note that
    nobody of us has written pauses nothing."""
    try:
        noted = parse_json((text or "").encode())
        found = Pause(
            since=_moment(noted["since"]),
            by=str(noted["by"])[:LONGEST],
            reason=str(noted["reason"])[:LONGEST],
            until=_moment(noted["until"]) if "until" in noted else None,
        )
    except (ValueError, KeyError, TypeError):
        return None
    return None if found.until and found.until <= now else found


def _moment(text: str) -> datetime:
    return datetime.strptime(text, FORM).replace(tzinfo=timezone.utc)


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
