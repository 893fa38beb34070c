"""What the operator of a server is told about its databases: kept for a while in a
folder of the server, so that what fails together is one mail.

No database holds another one's alerts: they are files that only the system user who
runs Odoo can read, and each is removed when it has been sent.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..fileio.durable import make_directory, open_private, write_private
from ..fileio.locking import try_lock
from ..messages import storable
from ..untrusted import Unusable, parse_json

GATHER = 900.0  # seconds that the first alert waits for others
MOST = 1000  # alerts that are kept; later ones are counted by nobody
LONGEST = 4000  # characters of a text
SUFFIX = ".alert"


@dataclass(frozen=True)
class Alert:
    """One sentence about a run or a plan of a database; ``details`` say what is wrong
    and what to do, ``link`` leads there. None of them holds a secret."""

    database: str
    summary: str
    details: str = ""
    link: str = ""

    def to_bytes(self) -> bytes:
        texts = {name: storable(text, LONGEST) for name, text in asdict(self).items()}
        return json.dumps(texts).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Alert | None":
        try:
            found = parse_json(data)
            return cls(*(str(found[name]) for name in cls.__dataclass_fields__))
        except (Unusable, TypeError, KeyError):
            return None


class Outbox:
    """The alerts below ``folder``. Raise OSError."""

    def __init__(self, folder: Path):
        self._folder = folder

    def put(self, alert: Alert, now: float) -> None:
        """Keep an alert until the next mail."""
        if len(self._names()) < MOST:
            name = f"{int(now):012d}-{secrets.token_hex(8)}{SUFFIX}"
            write_private(self._folder / name, alert.to_bytes(), over=True)

    def due(self) -> float | None:
        """Return when the next mail is due, None when there is nothing to tell."""
        names = self._names()
        return int(names[0].partition("-")[0]) + GATHER if names else None

    def deliver(self, send: Callable[[Sequence[Alert]], object], now: float) -> int:
        """Send what has gathered, if it is time and nobody else is doing so; return how
        many alerts that were. What ``send`` raises keeps them for the next time."""
        due = self.due()
        # a clock that was ahead must not keep them for years
        if due is None or now < due <= now + GATHER:
            return 0
        with contextlib.ExitStack() as stack:
            if not self._enter(stack):
                return 0
            names = self._names()
            found = [Alert.parse((self._folder / n).read_bytes()) for n in names]
            alerts = [alert for alert in found if alert]
            if alerts:
                send(alerts)
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
        return len(alerts)

    def _enter(self, stack: contextlib.ExitStack) -> bool:
        make_directory(self._folder)
        lock = open_private(self._folder / "lock", os.O_RDWR | os.O_CREAT)
        stack.callback(os.close, lock)
        return try_lock(lock)

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(
            name
            for name in names
            if name.endswith(SUFFIX) and name.partition("-")[0].isdecimal()
        )
