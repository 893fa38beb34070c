"""A bucket of Amazon S3, or of one of the many servers that speak like it."""

import base64
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from ...checkpoints import checkpoint
from ...errors import EngineError, PermanentError
from ...errors.s3 import (
    EndlessList,
    LegalHold,
    Locked,
    NotInBucket,
    NotListed,
    ObjectProtected,
    ReadsBackDifferent,
)
from ...errors.storage import BadKey, TooManyObjects
from ...messages import Message, _
from ...progress import Progress
from ..base import (
    CHUNK,
    MOST_OBJECTS,
    UNKNOWN,
    Capabilities,
    Storage,
    StoredObject,
    TransferLimits,
    Unknown,
)
from .config import S3Config
from .download import Reader
from .errors import DENIED, EXISTS, MISSING, code_of
from .link import MOST_PAGES, Link, require_boto3, utc
from .proof import fingerprint, proves
from .source import open_source
from .upload import Upload, abort, open_uploads

CHECKSUM_RIGHT = _("The checksum that the server computed on receipt is right.")
MAY_NOT_DELETE = _(
    "Deleting is not allowed: what is too old must be deleted by the bucket itself."
)
KEEPS_VERSIONS = _(
    "The bucket keeps old versions: a lifecycle rule must remove those of deleted "
    "backups, or they take space for ever."
)
MAY_NOT_LIST_UPLOADS = _(
    "Open uploads may not be listed: an interrupted upload begins anew."
)
LONGEST_LINK = 7 * 24 * 3600  # seconds: a signature is not valid for longer


class S3Storage(Storage):
    """Objects are ``prefix/key`` in a bucket that exists already.

    A put finds what an earlier one has stored: the object itself, or parts of it. So
    when ``verify`` finds a stored object damaged, delete it before it is put again.
    """

    def __init__(self, config: S3Config, limits: TransferLimits):
        self._config = config
        self._limits = limits
        self._link = Link(config, limits)

    def require(self) -> None:
        require_boto3()

    def location(self, key: str) -> str:
        path = self._name(key) if key else self._config.folder
        return f"s3://{self._config.bucket}/{path}"

    def put(self, source: Path, key: str, progress: Progress) -> None:
        name = self._name(key)
        file = open_source(source)
        try:
            progress.expect(os.fstat(file).st_size)

            def extras() -> dict[str, Any]:
                metadata = fingerprint(file) if self._config.trusts_checksums else {}
                return {
                    **self._extras(),
                    **({"Metadata": metadata} if metadata else {}),
                }

            Upload(self._link, self._limits, file, name, progress, extras).run()
        finally:
            os.close(file)
        if self._config.lock_mode:
            self._require_locked(name)

    def put_bytes(self, data: bytes, key: str) -> None:
        self._put_bytes(data, self._name(key), self._extras())
        checkpoint("storage.put.written")

    def create(self, data: bytes, key: str) -> bool:
        name, extras = self._name(key), self._encryption()
        if self.peek(key, 1) not in (None, UNKNOWN):
            return False
        try:
            self._put_bytes(data, name, {**extras, "IfNoneMatch": "*"})
        except PermanentError as error:
            if _cause_code(error) in EXISTS:
                return False
            self._put_bytes(data, name, extras)  # a server without such conditions
        return self.peek(key, len(data) + 1) in (data, UNKNOWN)

    def peek(self, key: str, most: int) -> bytes | Unknown | None:
        try:
            return super().peek(key, most)
        except EngineError as error:
            if _is_denied(error):  # also what is missing, without the right to list
                return UNKNOWN
            raise

    def stat(self, key: str) -> StoredObject | None:
        found = self._head(self._name(key))
        if found is None:
            return None
        return StoredObject(key, found["ContentLength"], utc(found["LastModified"]))

    @contextmanager
    def reporting_to(self, progress: Progress) -> Iterator[None]:
        with self._link.ticking(progress.tick):
            yield

    def list(self) -> Iterator[StoredObject]:
        folder = self._config.folder
        entries = (one for page in self._pages() for one in page)
        for number, one in enumerate(entries):
            if number == MOST_OBJECTS:
                raise TooManyObjects(location=self.location(""), most=MOST_OBJECTS)
            if key := one["Key"][len(folder) :]:  # a folder may be an object itself
                yield StoredObject(key, one["Size"], utc(one["LastModified"]))

    def _pages(self) -> Iterator[Sequence[dict[str, Any]]]:
        following: dict[str, str] = {}
        for _number in range(MOST_PAGES):
            answer = self._link.call(
                "list_objects_v2",
                Prefix=self._config.folder,
                Delimiter="/",
                **following,
            )
            yield answer.get("Contents", [])
            token = answer.get("NextContinuationToken")
            if not answer.get("IsTruncated") or not token:
                return
            if following.get("ContinuationToken") == token:
                break
            following = {"ContinuationToken": token}
        raise EndlessList(bucket=self._config.place)

    @contextmanager
    def open(self, key: str, offset: int = 0) -> Iterator[BinaryIO]:
        with self._reader(key, offset) as stream:
            yield cast(BinaryIO, stream)

    def delete(self, key: str) -> None:
        name = self._name(key)
        checkpoint("storage.delete")
        self._require_unlocked(name)
        with _missing_is_fine():
            self._link.call("delete_object", Key=name)

    def discard_partial(self, key: str) -> None:
        name = self._name(key)
        for upload in list(open_uploads(self._link, name)):
            checkpoint("storage.put.abort")
            abort(self._link, name, upload)

    def check(self) -> None:
        """Ask the bucket for one object: whoever may only write is told so, and that
        is enough."""
        try:
            self._link.call("list_objects_v2", Prefix=self._config.folder, MaxKeys=1)
        except EngineError as error:
            if not _is_denied(error):
                raise

    def probe(self) -> Capabilities:
        key = f"dfr_backup-probe-{secrets.token_hex(8)}"
        token = secrets.token_bytes(1024)
        # without a lock of its own, so that it can be deleted again
        answer = self._put_bytes(token, self._name(key), self._encryption())
        try:
            self._require_intact(key, token)
            self._require_listed(key)
        except EngineError:
            with contextlib.suppress(EngineError):
                self.delete(key)
            raise
        can_delete = self._try_delete(key)
        return Capabilities(
            can_delete, tuple(self._notes(can_delete, bool(answer.get("VersionId"))))
        )

    def download_url(self, key: str, filename: str, seconds: int) -> str | None:
        plain = re.sub(r"[^\w. -]", "_", filename, flags=re.ASCII)
        disposition = (
            f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename)}"
        )
        return self._link.presigned(
            "get_object",
            max(1, min(seconds, LONGEST_LINK)),
            Key=self._name(key),
            ResponseContentDisposition=disposition,
        )

    def verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
        """As every storage does it; but where the configuration trusts the server's
        checksums, compare those instead of reading everything back, if there are any
        that can be compared."""
        if self._config.trusts_checksums and proves(
            self._head(self._name(key)), size, sha256
        ):
            progress.expect(size)
            progress.advance(size)
            progress.log(Message(CHECKSUM_RIGHT))
            return
        super().verify(key, size, sha256, progress)

    def _digest(self, key: str, progress: Progress) -> str:
        digest = hashlib.sha256()
        view = memoryview(bytearray(CHUNK))
        with self._reader(key, 0, progress.tick) as stream:
            while count := stream.readinto(view):
                digest.update(view[:count])
                progress.advance(count)
        return digest.hexdigest()

    def _name(self, key: str) -> str:
        if not key or "/" in key or "\0" in key or key in (".", ".."):
            raise BadKey(key=key)
        return self._config.folder + key

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            return self._link.call("head_object", Key=name, ChecksumMode="ENABLED")
        except EngineError as error:
            if _is_missing(error):
                return None
            raise

    def _reader(
        self, key: str, offset: int, tick: Callable[[], object] = lambda: None
    ) -> Reader:
        name = self._name(key)
        found = self._head(name)
        if found is None:
            raise NotInBucket(key=key, bucket=self._config.place)
        return Reader(
            self._link,
            name,
            found["ContentLength"],
            found.get("ETag", ""),
            offset,
            self._limits.bandwidth,
            tick,
        )

    # -- what goes with a new object

    def _encryption(self) -> dict[str, Any]:
        config = self._config
        chosen = {
            "ServerSideEncryption": config.encryption,
            "SSEKMSKeyId": config.kms_key,
        }
        return {
            name: value for name, value in chosen.items() if config.encryption and value
        }

    def _extras(self) -> dict[str, Any]:
        config = self._config
        extras = self._encryption()
        if config.storage_class:
            extras["StorageClass"] = config.storage_class
        if config.lock_mode:
            lock = self._lock()
            extras["ObjectLockMode"] = lock["Mode"]
            extras["ObjectLockRetainUntilDate"] = lock["RetainUntilDate"]
        return extras

    def _put_bytes(
        self, data: bytes, name: str, extras: dict[str, Any]
    ) -> dict[str, Any]:
        md5 = base64.b64encode(
            hashlib.md5(data, usedforsecurity=False).digest()
        ).decode()
        return self._link.call(
            "put_object", Key=name, Body=data, ContentMD5=md5, **extras
        )

    # -- locks

    def _lock(self) -> dict[str, Any]:
        until = datetime.now(timezone.utc) + timedelta(days=self._config.lock_days)
        return {"Mode": self._config.lock_mode, "RetainUntilDate": until}

    def _require_locked(self, name: str) -> None:
        """Lock an object that is not: some servers forget it when they put parts
        together."""
        try:
            found = self._head(name) or {}
        except EngineError as error:
            if not _is_denied(error):
                raise
            return
        if not (
            found.get("ObjectLockRetainUntilDate") or self._retained_until(name, found)
        ):
            self._link.call("put_object_retention", Key=name, Retention=self._lock())

    def _require_unlocked(self, name: str) -> None:
        """Raise PermanentError for an object that is locked: in a bucket with
        versions deleting it would only hide it, and free nothing."""
        try:
            found = self._head(name) or {}
        except EngineError as error:
            if not _is_denied(error):
                raise
            return
        until = found.get("ObjectLockRetainUntilDate") or self._retained_until(
            name, found
        )
        if until and utc(until) > datetime.now(timezone.utc):
            raise Locked(name=name, until=f"{utc(until):%Y-%m-%d %H:%M}")
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            raise LegalHold(name=name)

    def _retained_until(self, name: str, found: dict[str, Any]) -> datetime | None:
        """Ask for the lock by itself: older servers do not tell it with the object.
        Only where there are versions, without which there are no locks: others may
        not know the question."""
        if "VersionId" not in found:
            return None
        with contextlib.suppress(EngineError):
            answer = self._link.call("get_object_retention", Key=name)
            until = answer.get("Retention", {}).get("RetainUntilDate")
            return cast("datetime | None", until)
        return None

    # -- probe

    def _require_intact(self, key: str, token: bytes) -> None:
        with self.open(key) as stream:
            if stream.read() != token:
                raise ReadsBackDifferent(bucket=self._config.place)

    def _require_listed(self, key: str) -> None:
        if key not in {found.key for found in self._listed_like(key)}:
            raise NotListed(bucket=self._config.place)

    def _listed_like(self, key: str) -> Iterator[StoredObject]:
        answer = self._link.call(
            "list_objects_v2", Prefix=self._name(key), Delimiter="/"
        )
        for one in answer.get("Contents", []):
            name = one["Key"][len(self._config.folder) :]
            yield StoredObject(name, one["Size"], utc(one["LastModified"]))

    def _try_delete(self, key: str) -> bool:
        try:
            self.delete(key)
        except EngineError as error:
            if _is_denied(error) or _is_protected(error):
                return False
            raise
        return True

    def _notes(self, can_delete: bool, versioned: bool) -> Iterator[Message]:
        if not can_delete:
            yield Message(MAY_NOT_DELETE)
        if versioned:
            yield Message(KEEPS_VERSIONS)
        try:
            next(open_uploads(self._link, self._name("x")), None)
        except EngineError as error:
            if _is_denied(error):
                yield Message(MAY_NOT_LIST_UPLOADS)


def _cause_code(error: EngineError) -> str:
    cause = error.__cause__
    return code_of(cause) if isinstance(cause, Exception) else ""


def _is_missing(error: EngineError) -> bool:
    return _cause_code(error) in MISSING


def _is_denied(error: EngineError) -> bool:
    return _cause_code(error) in DENIED


def _is_protected(error: EngineError) -> bool:
    return isinstance(error, Locked | LegalHold | ObjectProtected)


@contextlib.contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        if not _is_missing(error):
            raise
