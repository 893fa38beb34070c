"""Which addresses this server may call when a database names one: monitors, S3
endpoints, SFTP servers. The name is resolved once, what it leads to is checked, and the
connection goes to the checked address."""

import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .errors.outbound import AddressNeverCalled, AnswerTooLong, PrivateNotAllowed

NOBODY = "none"  # what odoo.conf says to allow no private address at all
LARGEST_ANSWER = 8 << 20  # bytes: a list of 1000 names of S3's longest, and more
LONGEST_ANSWER = 300.0  # seconds, for what is read into memory
# services of a machine's own provider give credentials to whoever asks; the rest
# leads to this machine, to the cable or to nobody
NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, with nearly every cloud's metadata
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::/32",  # AWS
        "fd20:ce::254/128",  # Google
        "fd00:42::42/128",  # Scaleway
    )
]
NAT64 = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48")]
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Result = TypeVar("Result")


@dataclass(frozen=True)
class OutboundRules:
    """``private``: the hosts (with their subdomains), addresses and networks of the
    inside network that may be called; None is all of them. What is dangerous to call
    from any server is never called."""

    private: tuple[str, ...] | None = None

    @classmethod
    def from_text(cls, text: str) -> "OutboundRules":
        """Return the rules of an option: blank for all private addresses, "none", or a
        list with commas."""
        entries = [entry.strip().lower().strip(".") for entry in text.split(",")]
        named = tuple(entry for entry in entries if entry)
        return cls(tuple(e for e in named if e != NOBODY) if named else None)

    def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of ``host`` that may be called, in the system's order.

        Raise OSError or UnicodeError when there are none, PermanentError when none of
        them may be called.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [text for text in addresses if self._may_call(host, text)]
        if addresses and not allowed:
            self._refuse(host, addresses)
        return allowed

    def check(self, url: str) -> None:
        """Raise PermanentError for an address that may not be called: at once, and also
        where the operator's proxy would make the connection. A name that only a proxy
        can resolve is its business."""
        parts = urlsplit(url)
        with contextlib.suppress(OSError, UnicodeError):
            self.resolve(parts.hostname or "", parts.port or 443)

    def connect(
        self,
        host: str,
        port: int,
        connect: Callable[[str], Result],
        failure: type[Exception] = OSError,
    ) -> Result:
        """Return what ``connect`` returns for the first checked address of ``host``
        where it does not raise ``failure``. Raise what it raises for the last one, and
        what ``resolve`` raises."""
        *others, last = self.resolve(host, port)
        for address in others:
            with contextlib.suppress(failure):
                return connect(address)
        return connect(last)

    def _may_call(self, host: str, text: str) -> bool:
        address = embedded(ipaddress.ip_address(text))
        if is_never_called(address):
            return False
        return address.is_global or self.private is None or self._names(host, address)

    def _names(self, host: str, address: IPAddress) -> bool:
        name = host.lower().rstrip(".")
        return any(
            _holds(entry, address) or name == entry or name.endswith(f".{entry}")
            for entry in self.private or ()
        )

    def _refuse(self, host: str, addresses: Iterable[str]) -> None:
        for text in addresses:
            if not is_never_called(embedded(ipaddress.ip_address(text))):
                raise PrivateNotAllowed(host=host, address=text)
        raise AddressNeverCalled(host=host, address=", ".join(addresses))


DEFAULT_RULES = OutboundRules()


def is_never_called(address: IPAddress) -> bool:
    """Tell whether no server has a reason to call this address for a backup."""
    return any(address in network for network in NEVER)


def embedded(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv6 one leads to, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    if address.teredo:
        return address.teredo[1]
    number = int(address)
    if number >> 32 == 0 and number > 1:  # “::a.b.c.d”
        return ipaddress.IPv4Address(number)
    if any(address in network for network in NAT64):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return address


def _holds(entry: str, address: IPAddress) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def guarded_pools(rules: OutboundRules, http: Any, https: Any) -> dict[str, Any]:
    """Return urllib3's pools by scheme, made from two of its classes, whose connections
    go to checked addresses and whose answers have an end. A certificate is compared
    with the name, as ever."""
    return {
        scheme: type(
            f"Guarded{pool.__name__}",
            (_BoundedAnswers, pool),
            {"ConnectionCls": _guarded_connection(rules, pool.ConnectionCls)},
        )
        for scheme, pool in (("http", http), ("https", https))
    }


class _BoundedAnswers:
    """Bounds what is read into memory; streams that a caller reads piece by piece are
    its own business."""

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        response = super().urlopen(*args, **kwargs)  # type: ignore[misc]
        response.stream = _bounded(response.stream)
        return response


def _bounded(stream: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    def bounded(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        size, until = 0, time.monotonic() + LONGEST_ANSWER
        for chunk in stream(*args, **kwargs):
            size += len(chunk)
            if size > LARGEST_ANSWER or time.monotonic() > until:
                raise AnswerTooLong()
            yield chunk

    return bounded


def _guarded_connection(rules: OutboundRules, connection: Any) -> Any:
    from urllib3.exceptions import HTTPError, NewConnectionError

    class Guarded(connection):  # type: ignore[misc]
        host: str

        def _new_conn(self) -> socket.socket:
            name = self.host
            try:
                return rules.connect(name, self.port, self._connect_to, HTTPError)
            except (socket.gaierror, UnicodeError) as error:
                raise NewConnectionError(self, f"{name}: {error}") from error
            finally:
                self.host = name

        def _connect_to(self, address: str) -> socket.socket:
            self.host = address
            sock: socket.socket = connection._new_conn(self)
            return sock

    return Guarded
