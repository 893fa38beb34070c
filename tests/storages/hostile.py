"""Servers on loopback that answer what a test tells them to, byte by byte."""

import contextlib
import random
import socket
import stat
import struct
import threading

from dfr_backup.engine.storages.sftp import protocol as sftp


class Server:
    """Serves one connection after the other: ``serve(sock)`` has each to itself."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(5)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _address = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        # what was spoiled comes back in requests, and this is no good server
        with sock, contextlib.suppress(Exception):
            sock.settimeout(60)
            self.serve(sock)

    def serve(self, sock):
        raise NotImplementedError


class HttpServer(Server):
    """Sends ``answer(request)`` for each request, "METHOD path?query", and hangs up."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def serve(self, sock):
        with sock.makefile("rwb") as stream:
            request = stream.readline().decode("latin-1").rpartition(" ")[0]
            headers = {}
            while line := stream.readline().strip():
                name, _colon, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if "expect" in headers:
                stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                stream.flush()
            stream.read(int(headers.get("content-length", 0)))
            stream.write(self.answer(request))


class SftpServer(Server):
    """Speaks SFTP without SSH, of the ``files`` of one directory by their names, and of
    its ``folders``, whose names are bytes.

    ``spoil(kind, body)`` may change each answer; it returns the packets that are sent.
    """

    def __init__(self, spoil=None):
        super().__init__()
        self.files = {}
        self.folders = []
        self.spoil = spoil or (lambda kind, body: [packet(kind, body)])

    def serve(self, sock):
        with sock.makefile("rwb") as stream:
            handles = {}
            while head := stream.read(5):
                size, kind = struct.unpack(">IB", head)
                fields = sftp.Fields(stream.read(size - 1))
                for sent in self.spoil(*self._answer(kind, fields, handles)):
                    stream.write(sent)
                stream.flush()

    def _answer(self, kind, fields, handles):
        if kind == sftp.INIT:
            names = (sftp.POSIX_RENAME, sftp.FSYNC, sftp.STATVFS, sftp.LIMITS)
            offered = b"".join(sftp.string(name) + sftp.string("1") for name in names)
            return sftp.VERSION_REPLY, struct.pack(">I", 3) + offered
        number = struct.pack(">I", fields.number())
        answer, body = self._do(kind, fields, handles)
        return answer, number + body

    def _do(self, kind, fields, handles):
        name = fields.string()
        if kind == sftp.EXTENDED:
            return self._extended(name)
        plain = name.decode().rpartition("/")[2]
        if kind in (sftp.STAT, sftp.LSTAT, sftp.FSTAT):
            return self._attributes(handles[name][0] if name in handles else plain)
        if kind in (sftp.OPEN, sftp.OPENDIR):
            handle = b"handle %d" % len(handles)
            handles[handle] = [plain, [*self.files, ".", ".."]]
            if kind == sftp.OPEN and fields.number() & sftp.CREATE:
                self.files[plain] = b""
            return sftp.HANDLE, sftp.string(handle)
        if kind == sftp.READDIR:
            return self._listed(handles[name])
        if kind == sftp.READ:
            at, size = fields.take(">QI")
            data = self.files.get(handles[name][0], b"")[at : at + size]
            return (sftp.DATA, sftp.string(data)) if data else status(sftp.EOF)
        if kind == sftp.WRITE:
            at, content = fields.take(">Q")[0], self.files[handles[name][0]]
            self.files[handles[name][0]] = content[:at] + fields.string()
        return status(sftp.OK)

    def _extended(self, name):
        if name.decode() == sftp.LIMITS:
            return sftp.EXTENDED_REPLY, struct.pack(">4Q", 1 << 18, 1 << 17, 1 << 17, 9)
        if name.decode() == sftp.STATVFS:
            values = 4096, 4096, 1 << 30, 1 << 29, 1 << 29, 9, 9, 9, 1, 0, 255
            return sftp.EXTENDED_REPLY, struct.pack(">11Q", *values)
        return status(sftp.OK)

    def _attributes(self, name):
        if name in self.files:
            return sftp.ATTRS, attributes(len(self.files[name]), stat.S_IFREG | 0o600)
        if name.endswith(("zip", "json", "part")):
            return status(sftp.NO_SUCH_FILE)
        return sftp.ATTRS, attributes(0, stat.S_IFDIR | 0o700)

    def _listed(self, directory):
        names, directory[1] = directory[1], []
        if not names:
            return status(sftp.EOF)
        found = [entry(name, len(self.files.get(name, b""))) for name in names]
        found += [entry(name, 0, stat.S_IFDIR) for name in self.folders]
        return sftp.NAME, struct.pack(">I", len(found)) + b"".join(found)


def packet(kind, body):
    return struct.pack(">IB", 1 + len(body), kind) + body


def status(code):
    text = sftp.string("as you like") + sftp.string("en")
    return sftp.STATUS, struct.pack(">I", code) + text


def attributes(size, mode):
    flags = sftp.ATTR_SIZE | sftp.ATTR_MODE | sftp.ATTR_TIMES
    return struct.pack(">IQIII", flags, size, mode, 1764000000, 1764000000)


def entry(name, size, kind=stat.S_IFREG):
    kind = stat.S_IFDIR if name in (".", "..") else kind
    return sftp.string(name) + sftp.string(name) + attributes(size, kind | 0o600)


def spoiled(chance: random.Random, kind, body):
    """Return the packets of an answer that has changed at depth."""
    at = chance.randrange(len(body) + 1)
    odd = struct.pack(">I", chance.choice((0, 1, 2, 3, 255, 1 << 20, (1 << 32) - 1)))
    change = chance.randrange(9)
    if change == 0:
        kind = chance.choice((101, 102, 103, 104, 105, 201, 2, 0, 255))
    elif change == 1:
        body = body[:at]
    elif change in (2, 3):
        at = max(4, at & ~3)
        body = body[:at] + odd + body[at + 4 :]
    elif change == 4:
        body = body[:4] + odd + body[8:]
    elif change == 5:
        at = max(4, at)
        odd = bytes([chance.randrange(256)])
        body = body[:at] + odd + body[at + 1 :]
    elif change == 6:
        text = chance.choice((b"\0", b"\xff" * 9, b"x" * 70_000, b"../a"))
        refusal = struct.pack(">I", chance.choice((1, 2, 3, 4, 6, 8, 31, 99)))
        kind, body = sftp.STATUS, body[:4] + refusal + sftp.string(text)
    elif change == 7:
        return [packet(kind, body)] * 2
    else:
        size = struct.pack(">I", chance.choice((0, 4, len(body), 1 << 25)))
        return [size + packet(kind, body)[4:]]
    return [packet(kind, body)]
