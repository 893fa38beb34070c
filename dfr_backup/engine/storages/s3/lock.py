"""Object Lock: nobody deletes an object before its time."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, cast

from ...errors import Cancelled, EngineError
from ...errors.s3 import LegalHold, Locked
from .errors import is_denied
from .link import Link, utc

NAMES = {"Mode": "ObjectLockMode", "RetainUntilDate": "ObjectLockRetainUntilDate"}
Find = Callable[[str], "dict[str, Any] | None"]


class ObjectLock:
    """The locks of the objects that ``find`` returns, by their whole keys."""

    def __init__(self, link: Link, find: Find):
        self._link = link
        self._config = link.config
        self._find = find

    def parameters(self) -> dict[str, Any]:
        """Return what locks a new object, {} where none is to be locked."""
        if not self._config.lock_mode:
            return {}
        return {NAMES[name]: value for name, value in self._new().items()}

    def ensure(self, name: str) -> None:
        """Lock an object that is not: some servers forget it when they put parts
        together."""
        found = self._look(name) if self._config.lock_mode else None
        if found is not None and not self._until(name, found):
            self._link.call("put_object_retention", Key=name, Retention=self._new())

    def refuse(self, name: str) -> None:
        """Raise PermanentError for an object that is locked: in a bucket with
        versions deleting it would only hide it, and free nothing."""
        found = self._look(name)
        if found is None:
            return
        until = self._until(name, found)
        if until and utc(until) > datetime.now(timezone.utc):
            raise Locked(name=name, until=f"{utc(until):%Y-%m-%d %H:%M}")
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            raise LegalHold(name=name)

    def _new(self) -> dict[str, Any]:
        until = datetime.now(timezone.utc) + timedelta(days=self._config.lock_days)
        return {"Mode": self._config.lock_mode, "RetainUntilDate": until}

    def _look(self, name: str) -> dict[str, Any] | None:
        """Return what is known of an object, None where we may not know it."""
        try:
            return self._find(name) or {}
        except EngineError as error:
            if not is_denied(error):
                raise
            return None

    def _until(self, name: str, found: dict[str, Any]) -> datetime | None:
        """Return until when an object is locked. Older servers tell it only to who
        asks for the lock by itself; that is done only where there are versions,
        without which there are no locks: others may not know the question."""
        told = found.get("ObjectLockRetainUntilDate")
        if told or "VersionId" not in found:
            return cast("datetime | None", told)
        try:
            answer = self._link.call("get_object_retention", Key=name)
        except Cancelled:
            raise
        except EngineError:
            return None
        until = answer.get("Retention", {}).get("RetainUntilDate")
        return cast("datetime | None", until)
