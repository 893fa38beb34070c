"""A bucket of Amazon S3, or of one of the many servers that speak like it."""

import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import SplitResult, quote

from ...checkpoints import checkpoint
from ...errors import EngineError, PermanentError
from ...errors.s3 import (
    EndlessList,
    NotInBucket,
    ReadsBackDifferent,
)
from ...errors.storage import CopyMissing, LockRefused
from ...messages import Message, _
from ...progress import Progress
from ..base import (
    UNKNOWN,
    UNLIMITED,
    Capabilities,
    Lock,
    StoredObject,
    TransferLimits,
)
from ..by_hand import ByHand
from ..kind import Settings, StorageKind
from ..source import open_source
from .address import by_hand, config_at, config_of
from .config import S3Config
from .download import Reader
from .errors import EXISTS, cause_code, is_denied, is_missing, is_protected
from .lifecycle import lifecycle_of, locks_by_default
from .link import MOST_PAGES, Link, require_boto3, utc
from .lock import ObjectLock
from .probe import extends_locks, is_listed, notes_of
from .proof import fingerprint, proves
from .upload import Upload, abort, open_uploads

CHECKSUM_RIGHT = _("The checksum that the server computed on receipt is correct.")
LONGEST_LINK = 7 * 24 * 3600  # seconds: a signature is not valid for longer


class S3Storage(StorageKind):
    """Objects are ``prefix/key`` in a bucket that exists already.

    A put finds what an earlier one has stored: the object itself, or parts of it. So
    when ``verify`` finds a stored object damaged, delete it before it is put again.
    """

    def __init__(self, config: S3Config, limits: TransferLimits):
        super().__init__(limits)
        self._config = config
        self._link = Link(config, limits, self._cancel)
        self._lock = ObjectLock(self._link, self._head)

    @classmethod
    def from_settings(cls, settings: Settings) -> "S3Storage":
        return cls(config_of(settings), settings.limits)

    @classmethod
    def from_url(cls, url: SplitResult, environ: Mapping[str, str]) -> "S3Storage":
        """Take the credentials from boto3's own chain, and the endpoint from
        AWS_ENDPOINT_URL."""
        return cls(config_at(url, environ), UNLIMITED)

    def _require(self) -> None:
        require_boto3()

    def location(self, key: str) -> str:
        path = self._name(key) if key else self._config.folder
        return f"s3://{self._config.bucket}/{path}"

    def by_hand(self) -> ByHand:
        return by_hand(self._config)

    def reader(self) -> "S3Storage":
        return self

    def _put(self, source: Path, key: str, progress: Progress) -> None:
        name = self._name(key)
        with open_source(source) as file:
            Upload(
                self._link,
                self._rate,
                file.fileno(),
                name,
                progress,
                lambda: {**self._extras(), **self._metadata(file.fileno())},
            ).run()
        with self._cancel.by(None):  # it is there: too late for a cancel
            self._lock.ensure(name)

    def _metadata(self, file: int) -> dict[str, Any]:
        metadata = fingerprint(file) if self._config.trusts_checksums else {}
        return {"Metadata": metadata} if metadata else {}

    def _put_bytes(self, data: bytes, key: str) -> None:
        self._send(data, key, self._extras())
        checkpoint("storage.put.written")

    def _create(self, data: bytes, key: str) -> bool:
        extras = self._encryption()
        if self.peek(key, 1) not in (None, UNKNOWN):
            return False
        try:
            self._send(data, key, {**extras, "IfNoneMatch": "*"})
        except PermanentError as error:
            if cause_code(error) in EXISTS:
                return False
            self._send(data, key, extras)  # a server without such conditions
        return self.peek(key, len(data) + 1) in (data, UNKNOWN)

    def _hides(self, error: EngineError) -> bool:
        return is_denied(error)  # also what is missing, without the right to list

    def _stat(self, key: str) -> StoredObject | None:
        found = self._head(self._name(key))
        if found is None:
            return None
        return StoredObject(key, found["ContentLength"], utc(found["LastModified"]))

    def _list(self) -> Iterator[StoredObject]:
        folder = self._config.folder
        pages = (page.get("Contents", []) for page in self._pages())
        for one in self._bounded(chain.from_iterable(pages)):
            if key := one["Key"][len(folder) :]:  # a folder may be an object itself
                yield StoredObject(key, one["Size"], utc(one["LastModified"]))

    def _subfolders(self) -> Iterator[str]:
        folder = self._config.folder
        for one in self._bounded(chain.from_iterable(map(_entries, self._pages()))):
            path = str(one.get("Prefix", ""))
            if path.startswith(folder) and path.endswith("/"):
                yield path[len(folder) : -1]

    def _enter(self, name: str) -> None:
        self._config = replace(self._config, prefix=self._name(name))

    def _pages(self) -> Iterator[dict[str, Any]]:
        following: dict[str, str] = {}
        for _number in range(MOST_PAGES):
            answer = self._link.call(
                "list_objects_v2",
                Prefix=self._config.folder,
                Delimiter="/",
                **following,
            )
            yield answer
            token = answer.get("NextContinuationToken")
            if not answer.get("IsTruncated") or not token:
                return
            if following.get("ContinuationToken") == token:
                break
            following = {"ContinuationToken": token}
        raise EndlessList(bucket=self._config.place)

    @contextmanager
    def _open(self, key: str, offset: int) -> Iterator[BinaryIO]:
        name = self._name(key)
        found = self._head(name)
        if found is None:
            raise NotInBucket(key=key, bucket=self._config.place)
        with Reader(
            self._link,
            name,
            found["ContentLength"],
            found.get("ETag", ""),
            offset,
            self._rate,
            self._cancel,
        ) as stream:
            yield cast(BinaryIO, stream)

    def _delete(self, key: str) -> None:
        name = self._name(key)
        self._lock.refuse(name)
        with _missing_is_fine():
            self._link.call("delete_object", Key=name)

    # -- locks

    def put_passing(self, data: bytes, key: str) -> None:
        self._require_key(key)
        self._send(data, key, self._unlocked())
        checkpoint("storage.put.written")

    def new_lock(self, periods: float = 1.0) -> Lock | None:
        return self._lock.new(periods)

    def lock_of(self, key: str) -> Lock | None:
        self._require_key(key)
        return self._lock.of(self._name(key))

    def extend_lock(self, key: str, lock: Lock) -> Lock:
        self._require_key(key)
        try:
            extended = self._lock.extend(self._name(key), lock)
        except PermanentError as error:
            place = self.location("")
            raise LockRefused(key=key, location=place, problem=error) from error
        if extended is None:
            raise CopyMissing(key=key)
        return extended

    # -- what is deleted, and found out

    def _keeps(self, error: EngineError) -> bool:
        return is_denied(error) or is_protected(error)

    def _discard_partial(self, key: str) -> None:
        name = self._name(key)
        for upload in list(open_uploads(self._link, name)):
            checkpoint("storage.put.abort")
            abort(self._link, name, upload)

    def _check(self) -> None:
        """Ask the bucket for one object: whoever may only write is told so, and that
        is enough."""
        try:
            self._link.call("list_objects_v2", Prefix=self._config.folder, MaxKeys=1)
        except EngineError as error:
            if not is_denied(error):
                raise

    def _probe(self, key: str) -> Capabilities:
        token, name = secrets.token_bytes(1024), self._name(key)
        # without a lock of its own, so that it can be deleted again
        answer = self._send(token, key, self._encryption())
        try:
            self._require_intact(key, token)
            can_list = is_listed(self._link, name)
        except EngineError:
            with contextlib.suppress(EngineError):
                self.delete(key)
            raise
        can_delete = self._deletes(key)
        lifecycle = lifecycle_of(self._link)
        piles_up = bool(answer.get("VersionId")) and not lifecycle.clears_versions
        found = Capabilities(
            can_delete,
            lifecycle.takes_away,
            expires_after=lifecycle.expires_after,
            can_list=can_list,
            rules_unknown=not lifecycle.known,
            locks_by_default=locks_by_default(self._link)
            # nobody else has locked what was stored without a lock
            or (not can_delete and self._lock.of(name) is not None),
            extends_locks=self._extends_locks(key) if can_delete else None,
        )
        notes = notes_of(found, piles_up, self._link, self.location(""))
        return replace(found, notes=tuple(notes))

    def _extends_locks(self, key: str) -> bool | None:
        put = partial(self._send, b"", key, self._encryption())
        return extends_locks(self._link, self._lock, self._name(key), put)

    def _download_url(
        self, key: str, filename: str, seconds: int, sha256: str
    ) -> str | None:
        if sha256 and self._config.trusts_checksums:
            found = self._head(self._name(key)) or {}
            if not proves(found, found.get("ContentLength", 0), sha256):
                return None
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

    def _verify(self, key: str, size: int, sha256: str, progress: Progress) -> None:
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
        super()._verify(key, size, sha256, progress)

    def _name(self, key: str) -> str:
        return self._config.folder + key

    def _head(self, name: str) -> dict[str, Any] | None:
        try:
            return self._link.call("head_object", Key=name, ChecksumMode="ENABLED")
        except EngineError as error:
            if is_missing(error):
                return None
            raise

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

    def _unlocked(self) -> dict[str, Any]:
        config = self._config
        storage_class = (
            {"StorageClass": config.storage_class} if config.storage_class else {}
        )
        return {**self._encryption(), **storage_class}

    def _extras(self) -> dict[str, Any]:
        return {**self._unlocked(), **self._lock.parameters()}

    def _send(self, data: bytes, key: str, extras: dict[str, Any]) -> dict[str, Any]:
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        return self._link.call(
            "put_object",
            Key=self._name(key),
            Body=data,
            ContentMD5=base64.b64encode(digest).decode(),
            **extras,
        )

    # -- probe

    def _require_intact(self, key: str, token: bytes) -> None:
        with self.open(key) as stream:
            if stream.read() != token:
                raise ReadsBackDifferent(bucket=self._config.place)


def _entries(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all of a page: an endless list may be one of objects, too."""
    return chain(page.get("CommonPrefixes", []), page.get("Contents", []))


@contextlib.contextmanager
def _missing_is_fine() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        if not is_missing(error):
            raise
