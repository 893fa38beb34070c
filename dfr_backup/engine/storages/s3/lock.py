"""Object Lock: nobody deletes an object before its time."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from ...errors import Cancelled, EngineError
from ...errors.s3 import LegalHold, Locked
from ..base import FOR_EVER, Lock
from .errors import is_denied
from .link import Link, utc

FIRM = "COMPLIANCE"  # the mode that nobody can undo
NAMES = {"Mode": "ObjectLockMode", "RetainUntilDate": "ObjectLockRetainUntilDate"}
SECOND = timedelta(seconds=1)  # servers know no less
Find = Callable[[str], "dict[str, Any] | None"]


class ObjectLock:
    """The locks of the objects that ``find`` returns, by their whole keys."""

    def __init__(self, link: Link, find: Find):
        self._link = link
        self._config = link.config
        self._find = find

    def new(self, periods: float = 1.0) -> Lock | None:
        """Return what an object gets that is locked now, None where none is."""
        return self.lasting(timedelta(days=self._config.lock_days) * periods)

    def lasting(self, duration: timedelta) -> Lock | None:
        """Return such a lock of another duration, None where nothing is locked."""
        if not self._config.lock_mode:
            return None
        until = (_now() + SECOND + duration).replace(microsecond=0)
        return Lock(until, self._config.lock_mode == FIRM)

    def parameters(self) -> dict[str, Any]:
        """Return what locks a new object, {} where none is to be locked."""
        lock = self.new()
        if lock is None:
            return {}
        return {NAMES[name]: value for name, value in _retention(lock).items()}

    def ensure(self, name: str) -> None:
        """Lock an object that is not: some servers forget it when they put parts
        together."""
        lock = self.new()
        found = self._look(name) if lock else None
        if lock and found is not None and not self._retained(name, found):
            self._retain(name, lock)

    def of(self, name: str) -> Lock | None:
        """Return the lock of an object, None when nothing keeps it any more, or we may
        not know."""
        found = self._look(name) or {}
        return Lock(FOR_EVER) if _is_held(found) else self._present(name, found)

    def extend(self, name: str, lock: Lock) -> Lock | None:
        """Let an object have this lock, or the better one that it has; return that,
        None when there is no such object. Raise EngineError."""
        found = self._find(name)
        if found is None:
            return None
        has = self._present(name, found)
        if has and has.covers(lock):
            return has
        lock = lock.joined(has) if has else lock
        self._retain(name, lock)
        return lock

    def refuse(self, name: str) -> None:
        """Raise PermanentError for an object that is locked: in a bucket with
        versions deleting it would only hide it, and free nothing."""
        found = self._look(name) or {}
        if lock := self._present(name, found):
            raise Locked(name=name, until=f"{lock.until:%Y-%m-%d %H:%M}")
        if _is_held(found):
            raise LegalHold(name=name)

    def _retain(self, name: str, lock: Lock) -> None:
        retention = _retention(lock)
        self._link.call("put_object_retention", Key=name, Retention=retention)

    def _look(self, name: str) -> dict[str, Any] | None:
        """Return what is known of an object, None where we may not know it."""
        try:
            return self._find(name) or {}
        except EngineError as error:
            if not is_denied(error):
                raise
            return None

    def _present(self, name: str, found: Mapping[str, Any]) -> Lock | None:
        """Return the lock of an object unless its time is over."""
        lock = self._retained(name, found)
        return lock if lock and lock.until > _now() else None

    def _retained(self, name: str, found: Mapping[str, Any]) -> Lock | None:
        """Return the lock of an object, also a former one. Older servers tell it only
        to who asks for the lock by itself; that is done only where there are versions,
        without which there are no locks: others may not know the question."""
        told = {short: found.get(long) for short, long in NAMES.items()}
        if not told["RetainUntilDate"] and "VersionId" in found:
            told = self._asked(name)
        until = told.get("RetainUntilDate")
        return Lock(utc(until), told.get("Mode") == FIRM) if until else None

    def _asked(self, name: str) -> dict[str, Any]:
        try:
            answer = self._link.call("get_object_retention", Key=name)
        except Cancelled:
            raise
        except EngineError:
            return {}
        return answer.get("Retention") or {}


def _retention(lock: Lock) -> dict[str, Any]:
    mode = FIRM if lock.firm else "GOVERNANCE"
    return {"Mode": mode, "RetainUntilDate": lock.until}


def _is_held(found: Mapping[str, Any]) -> bool:
    return found.get("ObjectLockLegalHoldStatus") == "ON"


def _now() -> datetime:
    return datetime.now(timezone.utc)
