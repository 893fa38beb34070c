"""Tell monitoring services over HTTP how a run goes. They notice when nobody tells
them."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..concurrency.background import Task
from ..errors import EngineError, PermanentError
from ..errors.monitors import (
    MonitorBusy,
    MonitorLate,
    MonitorRefused,
    MonitorUnreachable,
    NotAMonitor,
)
from ..outbound import DEFAULT_RULES, OutboundRules, guarded_pools

TIMEOUT = 10.0  # seconds for the connection, and again for the answer
RETRY_PAUSE = 2.0  # seconds before another attempt
LARGEST_BODY = 100_000  # bytes: what healthchecks.io keeps
HEALTHCHECKS_PATHS = {"started": "/start", "success": "", "cancelled": "/log"}
JSON = {"Content-Type": "application/json", "User-Agent": "dfr_backup"}


@dataclass(frozen=True)
class Ping:
    """One request. ``service`` is for messages; ``url`` carries a token, and is a
    secret; so is ``body``, where that names a topic."""

    service: str
    method: str
    url: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def check_url(url: str) -> None:
    """Raise PermanentError for what is no address that may be called."""
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        valid = False
    if not valid:
        raise NotAMonitor()


def healthchecks(url: str, event: str, summary: Mapping[str, Any]) -> Ping:
    """Return the ping that healthchecks.io, and what imitates it, expects.

    ``…/start`` before a run, the address itself after a good one, ``…/fail`` after one
    that was not; ``…/log`` after a cancelled one, which is neither. ``rid`` pairs start
    and end.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + HEALTHCHECKS_PATHS.get(event, "/fail")
    query = urlencode([*parse_qsl(parts.query), ("rid", summary["uuid"])])
    target = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
    return Ping("Healthchecks", "POST", target, _encoded(summary)[:LARGEST_BODY])


def uptime_kuma(url: str, event: str, summary: Mapping[str, Any]) -> Ping | None:
    """Return the request for a push monitor of Uptime Kuma; None when it is not to
    be told."""
    if event in ("started", "cancelled"):
        return None
    parts = urlsplit(url)
    told = {
        "status": "up" if event == "success" else "down",
        "msg": (summary.get("error") or "OK")[:200],
        "ping": str(round(1000 * (summary.get("seconds") or 0))),
    }
    query = urlencode({**dict(parse_qsl(parts.query)), **told})
    target = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
    return Ping("Uptime Kuma", "GET", target)


def webhook(url: str, event: str, summary: Mapping[str, Any]) -> Ping:
    """Return a POST of ``{"event": event, …summary}`` as JSON."""
    return Ping("Webhook", "POST", url, _encoded({"event": event, **summary}))


def _encoded(summary: Mapping[str, Any]) -> bytes:
    return json.dumps(summary, ensure_ascii=False).encode("utf-8", "replace")


def send_all(
    pings: Sequence[Ping],
    patience: float,
    attempts: int = 3,
    outbound: OutboundRules = DEFAULT_RULES,
) -> list[EngineError]:
    """Send all at once; return an error for each that was not heard.

    Return after ``patience`` seconds at the latest, whatever names, routes and servers
    do. Never raise.
    """
    deadline = time.monotonic() + patience
    tasks = [
        Task(partial(_send_patiently, ping, attempts, outbound), "dfr_backup ping")
        for ping in pings
    ]
    ends = [
        task.result()
        if task.wait(max(0.0, deadline - time.monotonic()))
        else _late(ping, patience)
        for ping, task in zip(pings, tasks, strict=True)
    ]
    return [error for error in ends if error]


def _late(ping: Ping, patience: float) -> EngineError:
    return MonitorLate(
        service=ping.service, host=_host(ping), seconds=f"{patience:.0f}"
    )


def _send_patiently(
    ping: Ping, attempts: int, outbound: OutboundRules
) -> EngineError | None:
    """Return None when the service was told, else why it was not."""
    for left in reversed(range(attempts)):
        try:
            send(ping, outbound)
            return None
        except EngineError as error:
            if not left or isinstance(error, PermanentError):
                return error
            time.sleep(RETRY_PAUSE)
    return None


def send(ping: Ping, outbound: OutboundRules) -> None:
    """Make the request. Raise an EngineError, which does not name the address."""
    try:
        outbound.check(ping.url)
        with (
            _session(outbound) as session,
            session.request(
                ping.method,
                ping.url,
                data=ping.body or None,
                headers=JSON,
                timeout=TIMEOUT,
                allow_redirects=False,  # an address is called, not what it points to
                stream=True,  # and nobody waits for what it has to say
            ) as answer,
        ):
            status = answer.status_code
    except EngineError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is quotes the address
        reason = type(error).__name__
        raise MonitorUnreachable(
            service=ping.service, host=_host(ping), reason=reason
        ) from None
    if status >= 300:
        answered = MonitorBusy if _may_pass(status) else MonitorRefused
        raise answered(service=ping.service, host=_host(ping), status=status)


def _session(outbound: OutboundRules) -> Any:
    import requests
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

    pools = guarded_pools(outbound, HTTPConnectionPool, HTTPSConnectionPool)
    session = requests.Session()
    for scheme in pools:
        adapter = session.get_adapter(f"{scheme}://")
        adapter.poolmanager.pool_classes_by_scheme = pools  # type: ignore[attr-defined]
    return session


def _may_pass(status: int) -> bool:
    return status >= 500 or status in (408, 429)


def _host(ping: Ping) -> str:
    return urlsplit(ping.url).hostname or ""
