"""Ask other servers how their backups are: many in little time, however they
answer."""

import contextlib
import fnmatch
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ..concurrency.worker_pool import WaitingPool
from ..errors import EngineError
from ..errors.outbound import AnswerTooLong
from ..errors.watching import (
    HealthOff,
    HostNotWatched,
    NotHealth,
    NotHealthAddress,
    NotPrintable,
    TokenRefused,
    WatchedLate,
    WatchedRefused,
    WatchedUnreachable,
    WatchingOff,
)
from ..outbound import OutboundRules, guarded_pools
from ..untrusted import Unusable
from .health import LONGEST_ANSWER, Health, read_health

AT_ONCE = 16  # 100 silent servers are asked in time
EACH_SECONDS = 5.0
TOTAL_SECONDS = 60.0
GRACE_SECONDS = 1.0  # for those that are ended to say so
PATH = "/dfr_backup/health"
PORTS = {"http": 80, "https": 443}
CHUNK = 16 << 10
WELL_FORMED = re.compile(r"https?://[!-~]+", re.IGNORECASE)
PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True)
class WatchRules:
    """Which servers may be asked: (pattern of host names, port) pairs. The port is None
    for the ordinary ones, "*" for any."""

    entries: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def from_text(cls, text: str) -> "WatchRules":
        """Return the rules of an option: ``host``, ``host:port`` or ``host:*``, with
        commas between, where ``*`` and ``?`` in a host stand for any characters."""
        entries = (entry.strip().lower() for entry in text.split(","))
        return cls(tuple(_entry(entry) for entry in entries if entry))

    def __bool__(self) -> bool:
        return bool(self.entries)

    def require(self) -> None:
        """Raise PermanentError when nobody may be asked."""
        if not self:
            raise WatchingOff()

    def check(self, url: str) -> None:
        """Raise PermanentError for an address that may not be asked."""
        self.require()
        parts = urlsplit(url)
        host, port = _host(parts), parts.port or PORTS[parts.scheme]
        if not any(_takes(entry, host, port) for entry in self.entries):
            raise HostNotWatched(host=_where(parts))

    def outbound(self, rules: OutboundRules) -> OutboundRules:
        """Return ``rules`` with the hosts that are named here in full: who has named
        them may lead this server into the inside network."""
        if rules.private is None:
            return rules
        # a pattern is the name of no host, and allows none there
        return OutboundRules((*rules.private, *(host for host, _port in self.entries)))


def _entry(text: str) -> tuple[str, str | None]:
    bracketed = re.fullmatch(r"\[([^]]*)\](?::(.*))?", text)
    if bracketed:
        return bracketed[1], bracketed[2]
    host, colon, port = text.rpartition(":")
    if not colon or ":" in host:  # the latter is an IPv6 address
        return text.rstrip("."), None
    return host.rstrip("."), port


def _takes(entry: tuple[str, str | None], host: str, port: int) -> bool:
    pattern, allowed = entry
    ports = {None: PORTS.values(), "*": (port,)}.get(allowed, ())
    is_port = port in ports or allowed == str(port)
    return is_port and fnmatch.fnmatchcase(host, pattern)


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").lower().rstrip(".")


def _where(parts: SplitResult) -> str:
    """Return a host as odoo.conf names it."""
    host = _host(parts)
    shown = f"[{host}]" if ":" in host else host
    usual = parts.port in (None, *PORTS.values())
    return shown if usual else f"{shown}:{parts.port}"


def health_address(text: str) -> str:
    """Return the health endpoint that somebody has typed, complete: the address of an
    Odoo is enough. Raise PermanentError when it is none."""
    typed = text.strip()
    try:
        parts = urlsplit(typed)
        is_one = (
            bool(WELL_FORMED.fullmatch(typed))
            and "\\" not in typed
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.username or parts.password or parts.query or parts.fragment)
        )
    except ValueError:
        is_one = False
    if not is_one:
        raise NotHealthAddress()
    path = parts.path.rstrip("/")
    if path and not path.endswith(PATH):
        raise NotHealthAddress()
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{path or PATH}"


def check_header(text: str) -> None:
    """Raise PermanentError for what cannot be sent in a header."""
    if not PRINTABLE.fullmatch(text):
        raise NotPrintable()


@dataclass(frozen=True)
class Target:
    """A server to ask: its complete health endpoint, the database of it that is meant
    ("" when the address says that), and its token."""

    url: str
    database: str = ""
    token: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


Answer = Health | EngineError | None


class Watcher:
    """Asks servers. Neither the one that sends a byte now and then, nor one that leads
    to many silent addresses, keeps it for longer than its time."""

    def __init__(
        self,
        rules: WatchRules,
        outbound: OutboundRules,
        each: float = EACH_SECONDS,
        total: float = TOTAL_SECONDS,
    ):
        self._rules = rules
        self._outbound = rules.outbound(outbound)
        self._each, self._total = each, total
        self._tls = ssl.create_default_context()  # reading the authorities takes time
        self._calls: dict[int, _Call] = {}

    def ask_all(self, targets: Sequence[Target]) -> list[Answer]:
        """Return for each server what it says, or why that is not known; None for one
        that there was no time to ask. A few are asked at once, in their order."""
        self._end = time.monotonic() + self._total
        answers: dict[int, Answer] = {}
        numbered = list(enumerate(targets))
        with contextlib.suppress(TimeoutError):
            pool = WaitingPool(self._look)
            for number, answer in pool.map(self._ask_in_time, numbered, AT_ONCE):
                answers[number] = answer
                self._look()
        under_way = self._calls
        return [
            answers.get(n, self._late(t) if n in under_way else None)
            for n, t in numbered
        ]

    def _ask_in_time(self, numbered: tuple[int, Target]) -> tuple[int, Answer]:
        number, target = numbered
        if time.monotonic() >= self._end:
            return number, None
        call = _Call(min(time.monotonic() + self._each, self._end))
        self._calls[number] = call
        answer = self._ask(target, call)
        late = time.monotonic() >= call.deadline and not isinstance(answer, Health)
        return number, self._late(target) if late else answer

    def _look(self) -> None:
        """End what takes too long; raise TimeoutError when all of it does."""
        now = time.monotonic()
        for call in list(self._calls.values()):
            if now >= call.deadline:
                call.end()
        if now >= self._end + GRACE_SECONDS:
            raise TimeoutError

    def _late(self, target: Target) -> EngineError:
        return WatchedLate(host=target.host, seconds=f"{self._each:g}")

    def _ask(self, target: Target, call: "_Call") -> Health | EngineError:
        try:
            self._rules.check(target.url)
            status, body = self._get(target, call)
            return _answer(target, status, body)
        except EngineError as error:
            return error
        except Exception as error:  # noqa: BLE001  # of whatever library it is
            reason = type(error).__name__
            return WatchedUnreachable(host=target.host, reason=reason)

    def _get(self, target: Target, call: "_Call") -> tuple[int, bytes]:
        headers = {
            "Authorization": f"Bearer {target.token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "dfr_backup",
        }
        if target.database:
            headers["X-Odoo-Database"] = target.database
        parts = urlsplit(target.url)
        with (
            contextlib.closing(self._pool(parts, call)) as pool,
            contextlib.closing(
                pool.urlopen(
                    "GET",
                    parts.path,
                    headers=headers,
                    redirect=False,
                    retries=False,
                    preload_content=False,
                    decode_content=False,
                )
            ) as response,
        ):
            return response.status, _read(response)

    def _pool(self, parts: SplitResult, call: "_Call") -> Any:
        """Return the connections to one server. Not a session of requests: that would
        send cookies along, and tokens of a .netrc."""
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

        pools = guarded_pools(self._outbound, HTTPConnectionPool, HTTPSConnectionPool)
        made = _watched(pools[parts.scheme], call)
        secure = {"ssl_context": self._tls, "cert_reqs": "CERT_REQUIRED"}
        options = secure if parts.scheme == "https" else {}
        return made(parts.hostname, parts.port, timeout=self._each, **options)


class _Call:
    """A request that may be ended from another thread."""

    def __init__(self, deadline: float):
        self.deadline = deadline
        self._connection: Any = None

    def begin(self, connection: Any) -> None:
        """Note the connection that is about to be made, and limit its time."""
        self._connection = connection
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.timeout = left

    def end(self) -> None:
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _watched(pool: Any, call: _Call) -> Any:
    class Watched(pool.ConnectionCls):  # type: ignore[misc]
        def _connect_to(self, address: str) -> socket.socket:
            call.begin(self)
            sock: socket.socket = super()._connect_to(address)
            return sock

    return type(f"Watched{pool.__name__}", (pool,), {"ConnectionCls": Watched})


def _read(response: Any) -> bytes:
    """Return the body. Raise PermanentError when it does not end soon."""
    body = b""
    for chunk in _chunks(response):
        body += chunk
        if len(body) > LONGEST_ANSWER:
            raise AnswerTooLong()
    return body


def _chunks(response: Any) -> Iterator[bytes]:
    yield from response.stream(CHUNK, decode_content=False)


def _answer(target: Target, status: int, body: bytes) -> Health:
    """Return what an answer says. Raise EngineError."""
    if status in (200, 503):
        try:
            return read_health(body)
        except Unusable as error:
            raise NotHealth(host=target.host, reason=error.reason) from error
    if status == 401:
        raise TokenRefused(host=target.host)
    if status == 404:
        raise HealthOff(host=target.host)
    redirect = WatchedRefused.remedy_redirect if 300 <= status < 400 else None
    raise WatchedRefused(host=target.host, status=status, remedy=redirect)
