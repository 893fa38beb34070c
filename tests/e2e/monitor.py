"""Monitors of backups, for tests."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waits import until


class Monitor:
    """A monitoring service on loopback, which remembers its requests."""

    def __init__(self, status=200):
        heard = self.heard = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                heard.append((self.command, self.path, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, count):
        until(lambda: len(self.heard) >= count)
        return self.heard
