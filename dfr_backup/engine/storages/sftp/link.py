"""The SSH connection below SFTP: it knows the server's key, and never waits for
ever."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...concurrency.background import Task
from ...errors import EngineError, RetryableError
from ...errors.sftp import (
    ConnectTimedOut,
    CredentialRefused,
    HostKeyChanged,
    HostKeyUnknown,
    LoginCutOff,
    LoginKindRefused,
    NobodyListens,
    NoSftp,
    NotSsh,
    SecondFactor,
    ServerSilent,
    SftpConnectionLost,
    SftpHostNotFound,
    SftpNotBegun,
    SftpNotReached,
)
from ...messages import Joined, Message, _
from ...outbound import DEFAULT_RULES, OutboundRules
from ...progress import POLL_INTERVAL
from .keys import HostKey, load_private_key, require_paramiko
from .protocol import ProtocolError, Session, SftpStatusError

PRIVATE_KEY = Message(_("private key"))
PASSWORD = Message(_("password"))
KEEPALIVE = 15  # seconds
LOG = "dfr_backup.sftp"
IDLE = 30.0  # seconds after which a connection is not used again


@dataclass(frozen=True)
class SftpConfig:
    """How to reach a directory of an SFTP server.

    ``private_key`` is the text of a key file, ``host_key`` the pinned line “type
    base64”. A ``directory`` that does not begin with “/” is below where the login
    leads.
    """

    host: str
    user: str
    port: int = 22
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)
    directory: str = ""
    host_key: str = ""


class IdleWatchdog:
    """Tells a far end that is slow from one that is gone.

    The thread that works says when it waits; the one that receives, when something
    came. Once nothing came for ``timeout`` seconds of waiting, ``stalled`` is True, and
    stays so.
    """

    def __init__(self, timeout: float):
        self.timeout = timeout
        self.stalled = False
        self._seen = time.monotonic()
        self._waiting = False

    def wait(self, waiting: bool) -> None:
        self._waiting = waiting
        self.beat()

    def beat(self) -> None:
        self._seen = time.monotonic()

    def listen(self) -> None:
        """Find out whether the far end has been silent for too long. Raise EOFError
        then."""
        if self._waiting and time.monotonic() - self._seen > self.timeout:
            self.stalled = True
            raise EOFError("no sign of life")


class _Socket:
    """The socket below paramiko, which would try to send for ever. It breaks when
    the watchdog has given up, and what the working thread has to say between two tries
    is kept."""

    def __init__(self, sock: socket.socket, watchdog: IdleWatchdog, link: "Link"):
        self._sock = sock
        self._watchdog = watchdog
        self._link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        data: bytes = self._patiently(self._sock.recv, size)
        self._watchdog.beat()
        return data

    def send(self, data: bytes) -> int:
        sent: int = self._patiently(self._sock.send, data)
        return sent

    def _patiently(self, do: Callable[[Any], Any], what: object) -> Any:
        if self._link.closed:  # while it was being made: no secret goes there now
            raise EOFError("the link was closed")
        try:
            return do(what)
        except TimeoutError:
            self._link.look()
            self._watchdog.listen()
            raise


class Link:
    """A connection with its SFTP session. ``tick`` is called at least every half
    second while it waits, from each thread that does, and may raise an EngineError:
    that of a storage knows which thread to ask."""

    def __init__(
        self,
        config: SftpConfig,
        timeout: float,
        outbound: OutboundRules,
        tick: Callable[[], object] = lambda: None,
    ):
        self._config = config
        self._outbound = outbound
        self._watchdog = IdleWatchdog(timeout)
        self._verdict: EngineError | None = None
        self._used = time.monotonic()
        self._tick = tick
        self.closed = False
        self.transport: Any = None
        self._channel: Any = None

    @property
    def usable(self) -> bool:
        """Whether the connection is still there, and was used a short time ago."""
        fresh = time.monotonic() - self._used < IDLE
        return fresh and self._verdict is None and self.transport.is_active()

    def open(self) -> None:
        """Connect, check the server's key and log in. Raise an EngineError.

        paramiko asks nobody whether to go on while it does so; it has a thread to wait
        in, which ends soon after the link was closed.
        """
        try:
            Task(self._connect, "dfr_backup SFTP").finish(self._tick)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        pinned = (
            HostKey.from_line(self._config.host_key) if self._config.host_key else None
        )
        self.greet(pinned)
        self._require_host_key(pinned)
        self._log_in()
        self._open_session()

    def greet(self, pinned: HostKey | None) -> None:
        """Connect and learn the ``host_key``, which the server has proved to own.
        One that has several shows the pinned one. Raise an EngineError."""
        require_paramiko()
        import paramiko

        self._errors = (OSError, EOFError, paramiko.SSHException)
        timeout = self._watchdog.timeout
        self._watchdog.wait(True)
        sock = connect(self._config.host, self._config.port, timeout, self._outbound)
        sock_like: Any = _Socket(sock, self._watchdog, self)
        transport = self.transport = paramiko.Transport(sock_like)
        transport.set_log_channel(LOG)  # what it logs as an error, we raise as one
        logging.getLogger(LOG).setLevel(logging.CRITICAL)
        patience = 2 * timeout  # the watchdog shall be the one that tells
        transport.banner_timeout = transport.handshake_timeout = patience
        transport.auth_timeout = patience
        options = transport.get_security_options()
        options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)
        if pinned:
            options.key_types = sorted(
                options.key_types, key=lambda name: not pinned.signed_by(name)
            )
        try:
            transport.start_client(timeout=patience)
            key = transport.get_remote_server_key()  # fails when the time was up
        except self._errors as error:
            self.close()
            raise self._no_ssh(error) from error
        self.host_key = HostKey(key.get_name(), key.asbytes())

    def patience(self, seconds: float) -> None:
        """Set how long the far end may be silent while we wait for it."""
        self._watchdog.timeout = seconds

    def close(self) -> None:
        self.closed = True
        if self.transport is not None:
            with contextlib.suppress(*self._errors):
                self.transport.close()

    def look(self) -> None:
        """Ask whether to go on. Raise and remember what ``tick`` raises."""
        try:
            self._tick()
        except EngineError as error:
            self._verdict = error
            raise

    def recv(self, size: int) -> bytes:
        data: bytes = self._patiently(self._channel.recv, size)
        if not data:
            raise self._lost("the server ended the session")
        return data

    def send(self, data: bytes) -> int:
        sent: int = self._patiently(self._channel.send, data)
        return sent

    def _patiently(self, do: Callable[[Any], Any], what: object) -> Any:
        """Return what a call to the channel returns, however long the far end lives
        and does nothing. Raise RetryableError when it is gone, or what ``tick``
        raised."""
        self._watchdog.wait(True)
        try:
            while True:
                try:
                    return do(what)
                except TimeoutError:
                    self.look()
        except self._errors as error:
            raise self._verdict or self._lost(error) from error
        finally:
            self._watchdog.wait(False)
            self._used = time.monotonic()

    def _lost(self, reason: object) -> RetryableError:
        host, log = self._config.host, str(reason)
        if self._watchdog.stalled:
            seconds = f"{self._watchdog.timeout:g}"
            return ServerSilent(host=host, seconds=seconds, log=log)
        return SftpConnectionLost(host=host, log=log)

    def _no_ssh(self, error: BaseException) -> RetryableError:
        if self._watchdog.stalled:
            return self._lost(error)
        host, port = self._config.host, self._config.port
        return NotSsh(host=host, port=port, log=str(error))

    def _require_host_key(self, pinned: HostKey | None) -> None:
        shown = self.host_key
        if shown == pinned:
            return
        seen = {
            "host": self._config.host,
            "fingerprint": shown.fingerprint,
            "kind": shown.kind,
        }
        if pinned is None:
            raise HostKeyUnknown(**seen)
        raise HostKeyChanged(**seen, pinned=pinned.fingerprint, pinned_kind=pinned.kind)

    def _log_in(self) -> None:
        try:
            _log_in(self.transport, self._config)
        except RetryableError as error:
            raise (
                self._lost(error.log) if self._watchdog.stalled else error
            ) from error

    def _open_session(self) -> None:
        try:
            self._channel = self.transport.open_session(
                timeout=2 * self._watchdog.timeout
            )
            self._channel.settimeout(POLL_INTERVAL)
            self._channel.invoke_subsystem("sftp")
        except self._errors as error:
            if self._watchdog.stalled or not self.transport.is_active():
                raise self._lost(error) from error
            raise NoSftp(**self._login(), log=str(error)) from error
        self.transport.set_keepalive(KEEPALIVE)
        self._begin()

    def _begin(self) -> None:
        try:
            self.session = Session(self)
        except (ProtocolError, SftpStatusError, RetryableError) as error:
            if self._watchdog.stalled:
                raise
            raise SftpNotBegun(**self._login(), log=str(error)) from error

    def _login(self) -> dict[str, str]:
        return {"host": self._config.host, "user": self._config.user}


def connect(
    host: str, port: int, timeout: float, outbound: OutboundRules
) -> socket.socket:
    """Return a TCP connection. Raise RetryableError, or PermanentError for a bad
    address."""

    def dial(address: str) -> socket.socket:
        return socket.create_connection((address, port), timeout)

    try:
        return outbound.connect(host, port, dial)
    except (socket.gaierror, UnicodeError) as error:
        unknown = SftpHostNotFound(host=host, log=str(error))
        if getattr(error, "errno", None) == socket.EAI_AGAIN:
            raise RetryableError.because(unknown) from error
        raise unknown from error
    except TimeoutError as error:
        raise ConnectTimedOut(host=host, port=port, seconds=f"{timeout:g}") from error
    except ConnectionRefusedError as error:
        raise NobodyListens(host=host, port=port) from error
    except (OSError, OverflowError) as error:
        raise SftpNotReached(host=host, port=port, reason=error) from error


def _log_in(transport: Any, config: SftpConfig) -> None:
    import paramiko

    try:
        if config.private_key:
            key = load_private_key(config.private_key, config.passphrase)
            more = transport.auth_publickey(config.user, key)
            if "password" in more and config.password:
                transport.auth_password(config.user, config.password)
        else:
            transport.auth_password(config.user, config.password)
    except paramiko.BadAuthenticationType as error:
        raise _wrong_way(config, error.allowed_types) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if (
            isinstance(error, paramiko.AuthenticationException)
            and transport.is_active()
        ):
            raise _refused(config, error) from error
        raise LoginCutOff(host=config.host, user=config.user, log=str(error)) from error
    if not transport.is_authenticated():
        raise SecondFactor(
            host=config.host, user=config.user, credential=_credential(config)
        )


def _credential(config: SftpConfig) -> Message:
    return PRIVATE_KEY if config.private_key else PASSWORD


def _wrong_way(config: SftpConfig, accepted: list[str]) -> LoginKindRefused:
    return LoginKindRefused(
        host=config.host,
        user=config.user,
        credential=_credential(config),
        accepted=Joined(accepted, ", "),
        remedy=None if accepted else LoginKindRefused.remedy_unknown,
    )


def _refused(config: SftpConfig, error: Exception) -> CredentialRefused:
    return CredentialRefused(
        host=config.host,
        user=config.user,
        credential=_credential(config),
        log=str(error),
    )


def fetch_host_key(
    host: str,
    port: int,
    timeout: float = 20.0,
    outbound: OutboundRules = DEFAULT_RULES,
) -> HostKey:
    """Return the host key that a server shows, to be compared and pinned. Nothing is
    sent.

    Raise an EngineError when the server cannot be reached.
    """
    link = Link(SftpConfig(host=host, port=port, user=""), timeout, outbound)
    link.greet(None)
    link.close()
    return link.host_key
