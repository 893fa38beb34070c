"""A TCP proxy on loopback that does to a connection what networks do."""

import contextlib
import socket
import struct
import threading

HOST = "127.0.0.1"


class Rule:
    """What happens to the bytes of the first ``times`` connections in which ``after``
    of them have passed in one direction ("up" is to the server).

    kinds: "flip" one bit there, "cut" with a reset, "end" without one, "hold" for ever.
    ``lasting``: once it has happened, later connections do not come as far as their
    first byte.
    """

    def __init__(self, kind, after=0, direction="up", times=1 << 30, lasting=False):
        self.kind = kind
        self.lasting = lasting
        self.after = after
        self.direction = direction
        self.times = times
        self.done = 0


class Proxy:
    """Passes connections on to ``port`` of this machine. Use as a context manager.

    ``rule`` may be set and taken away (None) at any time; ``refuse`` closes at once.
    """

    def __init__(self, port, rule=None):
        self._target = port
        self.rule = rule
        self.refuse = False
        self.connections = 0
        self._sockets = []
        self._ended = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        for one in [self._listener, *self._sockets]:
            _close(one)

    def _accept(self):
        while not self._ended.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                _reset(client)
                continue
            try:
                server = socket.create_connection((HOST, self._target), 10)
            except OSError:
                _reset(client)
                continue
            self._sockets += [client, server]
            for direction, source, target in (
                ("up", client, server),
                ("down", server, client),
            ):
                work = (direction, source, target)
                threading.Thread(target=self._pump, args=work, daemon=True).start()

    def _pump(self, direction, source, target):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                data = self._apply(direction, passed, data, source, target)
                passed += len(data)
                target.sendall(data)
        _close(target)

    def _apply(self, direction, passed, data, source, target):
        rule = self.rule
        due = rule and rule.direction == direction and rule.done < rule.times
        if not due or passed + len(data) <= rule.after:
            return data
        if rule.kind == "flip":
            if passed > rule.after:
                return data
            rule.done += 1
            at = rule.after - passed
            return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        rule.done += 1
        if rule.lasting:
            rule.after = 0
        if rule.kind == "hold":
            self._ended.wait()
        if rule.kind == "cut":
            _reset(source)
            _reset(target)
        raise OSError("ended by a rule")


def _reset(one):
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(one)


def _close(one):
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
