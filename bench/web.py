"""How much a guest notices: the latency of one fixed request, idle and during our backup."""

import contextlib
import http.client
import statistics
import subprocess
import threading
import time

from . import contenders, places

PAUSE = 0.05  # seconds between two requests
IDLE_REQUESTS = 100  # before the first backup, and after each
BACKUPS = 3
START_LIMIT = 90  # seconds
MOST_REQUESTS = 20000


def measure_web(database):
    """Return the median seconds of /web/login: idle, and while our backup runs.

    Both in turns: an idle machine answers faster or slower for a minute or two.
    """
    port = places.free_port()
    command = ["odoo", "-d", database, "--db-filter", f"^{database}$", "--http-port", str(port)]
    command += ["--workers", "0", "--max-cron-threads", "0"]
    with open(places.LOG / "web.log", "ab") as log:
        server = subprocess.Popen(command, env=places.environment(), stdout=log, stderr=log)
        try:
            _await_server(port)
            for _warm in range(20):
                _request(port)
            idle, busy = _idle(port), []
            for _turn in range(BACKUPS):
                times, cost = _during_backup(database, port)
                busy += times
                idle += _idle(port)
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()
    return {
        "idle": statistics.median(idle),
        "during": statistics.median(busy) if busy else None,
        "requests": len(busy),
        "archiving": cost.get("archiving"),
    }


def _idle(port):
    return [_request(port) for _ in range(IDLE_REQUESTS)]


def _during_backup(database, port):
    """Ask again and again while a backup runs; its last second, without runner, is left out."""
    answer = {}
    backup = threading.Thread(target=lambda: answer.update(contenders.isal(database)))
    backup.start()
    times = []
    while backup.is_alive() and len(times) < MOST_REQUESTS:
        times.append((time.time(), _request(port)))
    backup.join()
    start = answer.get("runner_start", 0)
    end = answer.get("runner_end", time.time())
    return [seconds for at, seconds in times if start <= at <= end], answer


def _await_server(port):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if _request(port):
                return
        time.sleep(0.5)
    raise SystemExit(f"The server does not answer: see {places.LOG / 'web.log'}")


def _request(port):
    started = time.monotonic()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("GET", "/web/login")
        response = client.getresponse()
        response.read()
    seconds = time.monotonic() - started
    time.sleep(PAUSE)
    return seconds
