"""An S3 server of a few lines that answers by a script: it refuses, stalls and lies on
demand.

It checks no signature; what needs a real server is tested against one.
"""

import hashlib
import re
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

NOW = "Mon, 23 Nov 2026 10:00:00 GMT"
ISO = "2026-11-23T10:00:00.000Z"


@dataclass
class Act:
    """What the server does instead of, or besides, its duty for the next ``times``
    requests whose "METHOD path?query" matches ``pattern``.

    ``code``/``status`` refuse; ``stored`` does so only after the request was carried
    out; ``lie`` says yes and does nothing; ``alter`` stores altered bytes; ``stall``
    seconds pass first; ``raw`` is sent in place of any answer.
    """

    pattern: str
    code: str = ""
    status: int = 400
    times: int = 1 << 30
    stored: bool = False
    lie: bool = False
    alter: bool = False
    stall: float = 0
    raw: bytes = b""
    message: str = "by the script"
    extra: str = ""
    headers: dict = field(default_factory=dict)


class ScriptedServer:
    """``objects`` by their path, ``uploads`` by their identifiers, ``requests`` as
    seen."""

    def __init__(self):
        self.acts = []
        self.objects = {}
        self.uploads = {}
        self.requests = []
        self.lock = threading.Lock()

    def act(self, pattern, **what):
        self.acts.append(Act(pattern, **what))

    def next_act(self, line):
        with self.lock:
            self.requests.append(line)
            for act in self.acts:
                if act.times and re.search(act.pattern, line):
                    act.times -= 1
                    return act
        return Act("")

    def count(self, pattern):
        return sum(bool(re.search(pattern, line)) for line in self.requests)


@contextmanager
def scripted_server():
    state = ScriptedServer()

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args):
        pass

    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        act = self.server_state.next_act(f"{self.command} {self.path}")
        time.sleep(act.stall)
        if act.raw:
            with suppress(ConnectionError):  # who has heard enough
                self.wfile.write(act.raw)
            self.close_connection = True
            return None
        if act.lie:
            return self._answer(200, b"", {"ETag": _etag(body)})
        answer = (200, b"", {})
        if not act.code or act.stored:
            answer = self._duty(body[:-1] + b"?" if act.alter else body)
        if act.code:
            text = f"<Code>{act.code}</Code><Message>{act.message}</Message>{act.extra}"
            answer = (act.status, f"<Error>{text}</Error>".encode(), act.headers)
        return self._answer(*answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

    def _answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _duty(self, body):
        parts = urlsplit(self.path)
        query = {
            name: values[0] for name, values in parse_qs(parts.query, True).items()
        }
        path = unquote(parts.path)
        if "uploads" in query or "uploadId" in query:
            return self._multipart(path, query, body)
        if "list-type" in query:
            return self._list(path, query)
        return getattr(self, f"_{self.command.lower()}")(path, body)

    def _put(self, path, body):
        self.server_state.objects[path] = body
        return 200, b"", {"ETag": _etag(body)}

    def _head(self, path, _body):
        content = self.server_state.objects.get(path)
        if content is None:
            return 404, b"", {}
        headers = {
            "ETag": _etag(content),
            "Last-Modified": NOW,
            "Content-Length": len(content),
        }
        return 200, b"", headers

    def _get(self, path, _body):
        content = self.server_state.objects.get(path)
        if content is None:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        start, end = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
        piece = content[int(start) : int(end) + 1]
        headers = {"Content-Range": f"bytes {start}-{end}/{len(content)}"}
        return 206, piece, headers | {"ETag": _etag(content), "Last-Modified": NOW}

    def _delete(self, path, _body):
        self.server_state.objects.pop(path, None)
        return 204, b"", {}

    def _list(self, path, query):
        bucket = path.rstrip("/") + "/"
        found = ""
        for name, content in sorted(self.server_state.objects.items()):
            key = name[len(bucket) :]
            if name.startswith(bucket) and key.startswith(query.get("prefix", "")):
                found += f"<Contents><Key>{key}</Key><Size>{len(content)}</Size>"
                found += f"<LastModified>{ISO}</LastModified></Contents>"
        return 200, f"<ListBucketResult>{found}</ListBucketResult>".encode(), {}

    def _multipart(self, path, query, body):
        uploads = self.server_state.uploads
        if "uploads" in query:
            return self._uploads(path)
        upload = uploads.get(query["uploadId"])
        if upload is None:
            return 404, b"<Error><Code>NoSuchUpload</Code></Error>", {}
        if self.command == "PUT":
            upload[int(query["partNumber"])] = body
            return 200, b"", {"ETag": _etag(body)}
        del uploads[query["uploadId"]]
        if self.command == "POST":
            self.server_state.objects[path] = b"".join(
                upload[n] for n in sorted(upload)
            )
        return 200, b"<CompleteMultipartUploadResult/>", {}

    def _uploads(self, path):
        uploads = self.server_state.uploads
        if self.command == "GET":
            return 200, b"<ListMultipartUploadsResult/>", {}
        identifier = f"upload{len(self.server_state.requests)}"
        uploads[identifier] = {}
        answer = f"<InitiateMultipartUploadResult><UploadId>{identifier}</UploadId>"
        return 200, f"{answer}</InitiateMultipartUploadResult>".encode(), {}


def _etag(content):
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
