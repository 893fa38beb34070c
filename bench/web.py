"""How much a guest notices: how long fixed requests take, idle and during our
backup."""

import contextlib
import http.client
import json
import statistics
import subprocess
import threading
import time

from . import contenders, places

PAUSE = 0.05  # seconds between two requests
WARM_TURNS = 10
IDLE_TURNS = 30  # before the first backup, and after each
BACKUPS = 3
START_LIMIT = 90  # seconds
MOST_TURNS = 5000
JSON = {"Content-Type": "application/json"}
SIGN_IN = "/web/session/authenticate"
LIST = {
    "model": "res.partner",
    "method": "web_search_read",
    "args": [],
    "kwargs": {
        "domain": [],
        "specification": {
            "name": {},
            "email": {},
            "country_id": {"fields": {"name": {}}},
        },
        "limit": 80,
    },
}


def measure_web(database):
    """Return for each request the median seconds: idle, and while our backup runs.

    Both in turns: an idle machine answers faster or slower for a minute or two. The
    sign-in page is an unusual one: it opens two new sessions of PostgreSQL to list the
    databases.
    """
    port = places.free_port()
    command = [
        "odoo",
        "-d",
        database,
        "--db-filter",
        f"^{database}$",
        "--http-port",
        str(port),
    ]
    command += ["--workers", "0", "--max-cron-threads", "0"]
    with open(places.LOG / "web.log", "ab") as log:
        server = subprocess.Popen(
            command, env=places.environment(), stdout=log, stderr=log
        )
        try:
            _await_server(port)
            idle, busy, cost = _measure(database, _requests(database, port))
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()
    return {
        "requests": {
            name: {
                "idle": statistics.median(idle[name]),
                "during": statistics.median(busy[name]) if busy[name] else None,
                "count": len(busy[name]),
            }
            for name in idle
        },
        "archiving": cost.get("archiving"),
    }


def _requests(database, port):
    """Return functions by name, each of which makes one request and waits for its
    answer."""
    who = {"db": database, "login": "admin", "password": "admin"}
    cookie = _post(port, SIGN_IN, who)
    signed_in = {"Cookie": cookie}
    return {
        "list of contacts": lambda: _post(
            port, "/web/dataset/call_kw", LIST, signed_in
        ),
        "web client": lambda: _answer(port, "GET", "/odoo", headers=signed_in),
        "sign-in page": lambda: _answer(port, "GET", "/web/login"),
    }


def _measure(database, requests):
    idle, busy = {name: [] for name in requests}, {name: [] for name in requests}
    for _turn in range(WARM_TURNS):
        _ask_all(requests)
    for _backup in range(BACKUPS):
        _note(idle, (_ask_all(requests) for _turn in range(IDLE_TURNS)))
        turns, cost = _during_backup(database, requests)
        _note(busy, turns)
    _note(idle, (_ask_all(requests) for _turn in range(IDLE_TURNS)))
    return idle, busy, cost


def _note(times, turns):
    for turn in turns:
        for name, (_at, seconds) in turn.items():
            times[name].append(seconds)


def _during_backup(database, requests):
    """Ask again and again while a backup runs; its last second, without runner, is
    left out."""
    answer = {}
    backup = threading.Thread(target=lambda: answer.update(contenders.isal(database)))
    backup.start()
    turns = []
    while backup.is_alive() and len(turns) < MOST_TURNS:
        turns.append(_ask_all(requests))
    backup.join()
    start = answer.get("runner_start", 0)
    end = answer.get("runner_end", time.time())
    inside = (
        {n: one for n, one in turn.items() if start <= one[0] <= end} for turn in turns
    )
    return list(inside), answer


def _ask_all(requests):
    """Return for each request when it was made, and the seconds it took."""
    times = {}
    for name, request in requests.items():
        at, started = time.time(), time.monotonic()
        request()
        times[name] = (at, time.monotonic() - started)
        time.sleep(PAUSE)
    return times


def _await_server(port):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            _answer(port, "GET", "/web/login")
            return
        time.sleep(0.5)
    raise SystemExit(f"The server does not answer: see {places.LOG / 'web.log'}")


def _post(port, path, params, headers=None):
    """Call a JSON-RPC route; return the cookie that it sets."""
    body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": params})
    response, content = _answer(port, "POST", path, body, {**JSON, **(headers or {})})
    if "result" not in json.loads(content):
        raise SystemExit(f"{path}: {content[:500]!r}")
    return (response.getheader("Set-Cookie") or "").split(";")[0]


def _answer(port, method, path, body=None, headers=None):
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    ) as client:
        client.request(method, path, body, headers or {})
        response = client.getresponse()
        content = response.read()
    if response.status != 200:
        raise SystemExit(f"{path}: {response.status} {content[:500]!r}")
    return response, content
