"""One upload of a file: in parts, several at a time, taken up again where it was
left."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...checkpoints import checkpoint
from ...concurrency.background import Task
from ...concurrency.cores import usable_cores
from ...concurrency.worker_pool import WaitingPool
from ...errors import Cancelled, EngineError, PermanentError
from ...errors.s3 import UploadForgotten
from ...messages import Message, _
from ...progress import Progress
from ..rate_limit import RateLimit
from .errors import MISSING, code_of
from .link import MOST_PAGES, Link
from .source import Gate, Interrupt, Md5, Slice, composite_etag

PART = 16 << 20  # bytes, at least
MOST_PARTS = 10_000
GRACE = 1.0  # seconds that a cancel waits for requests under way
RESTARTS = 2  # how often an upload that the server has forgotten begins again
CHECKSUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


@dataclass(frozen=True)
class Part:
    """One part of a file: its number, from 1, and where it is, in bytes."""

    number: int
    offset: int
    size: int


def part_size(size: int) -> int:
    """Return the bytes per part for an object of ``size`` bytes, always the same for
    the same size: an upload that is taken up again must be cut as before."""
    needed = -(-size // MOST_PARTS)
    return max(PART, -(-needed // (1 << 20)) << 20)


def parts_of(size: int) -> list[Part]:
    """Return the parts of an object of ``size`` bytes; that of an empty one is
    empty."""
    step = part_size(size)
    starts = enumerate(range(0, max(size, 1), step), 1)
    return [Part(number, start, min(step, size - start)) for number, start in starts]


class UploadNotFound(Exception):
    """The server does not know an upload any more."""


class Upload:
    """Stores the open file ``file`` under ``name``, the whole key in the bucket.

    ``extras`` are parameters of boto3 for a new object: encryption, class, lock,
    metadata.
    """

    def __init__(
        self,
        link: Link,
        rate: RateLimit,
        file: int,
        name: str,
        progress: Progress,
        extras: Callable[[], dict[str, Any]] = dict,
    ):
        self._link = link
        self._name = name
        self._file = file
        self._size = os.fstat(file).st_size
        self._progress = progress
        self._extras = extras
        self._pool = WaitingPool(self._report)
        self._gate = Gate(rate, self._pool.stopped)
        self._slices: dict[int, Slice] = {}
        self._kept = 0  # bytes in parts that are stored already
        self._counted = 0  # bytes that the progress knows of
        self._id = ""

    def run(self) -> None:
        """Store the file. Raise EngineError; only RetryableError leaves parts
        behind."""
        try:
            self._store()
        except (Cancelled, PermanentError):
            self._clean_up()
            raise
        finally:
            self._pool.stopped.set()

    def _store(self) -> None:
        try:
            if self._is_stored():
                self._conclude()
            elif self._size <= PART:
                self._store_whole()
            else:
                self._store_parts()
        except Interrupt as interrupt:  # from within the body of a request
            if interrupt.cause:
                raise interrupt.cause from interrupt
            raise

    # -- what is there already

    def _is_stored(self) -> bool:
        """Tell whether the object is there: stored by a call that was killed, or
        that lost the server's answer. An ETag that does not follow from the content
        tells nothing."""
        try:
            found = self._patiently("head_object")
        except PermanentError:
            return False  # not there, or hidden from us: writing will tell
        if found.get("ContentLength") != self._size:
            return False
        etag = found.get("ETag", "").strip('"')
        return bool(etag) and etag == self._expected_etag("-" in etag)

    def _expected_etag(self, composite: bool) -> str:
        parts = parts_of(self._size) if composite else [Part(1, 0, self._size)]
        digests = self._digests(parts)
        ordered = [digests[part.number] for part in parts]
        return composite_etag(ordered) if composite else ordered[0].hex

    def _digests(self, parts: list[Part]) -> dict[int, Md5]:
        """Return the MD5 of each part of the file, by its number."""

        def work(part: Part) -> tuple[int, Md5]:
            return part.number, self._slice(part).md5()

        digests = {}
        for number, md5 in self._pool.map(work, parts, usable_cores()):
            digests[number] = md5
            self._report()
        return digests

    # -- in one piece

    def _store_whole(self) -> None:
        body = self._slice(Part(1, 0, self._size))
        md5 = self._pool.call(body.md5).base64
        extras = self._pool.call(self._extras)
        self._patiently("put_object", Body=body, ContentMD5=md5, **extras)
        checkpoint("storage.put.written")
        self._conclude()

    # -- in parts

    def _store_parts(self) -> None:
        stored, others = self._take_up()
        for attempt in range(RESTARTS + 1):
            try:
                self._id = self._id or self._begin()
                stored = self._send(stored)
                self._complete(stored)
                break
            except UploadNotFound:
                if self._is_stored():  # the answer to its completion was lost
                    break
                if attempt == RESTARTS:
                    raise UploadForgotten() from None
                self._id, stored, self._kept = "", {}, 0
        self._id = ""
        self._conclude()
        for other in others:
            self._abort(other)

    def _begin(self) -> str:
        extras = self._pool.call(self._extras)
        upload = self._patiently("create_multipart_upload", **extras)
        checkpoint("storage.put.begun")
        return str(upload["UploadId"])

    def _take_up(self) -> tuple[dict[int, dict[str, Any]], list[str]]:
        """Find the open upload of this object whose every part has the bytes of our
        file.

        Return its parts, with its identifier in ``_id``, and the identifiers of the
        others: they could only ever replace what is stored now with something else.
        """
        parts = {part.number: part for part in parts_of(self._size)}
        with contextlib.suppress(
            PermanentError
        ):  # without the right to list, all begins anew
            uploads = self._pool.call(
                lambda: list(open_uploads(self._link, self._name))
            )
            for upload in uploads:
                stored = self._fitting(upload, parts)
                if stored:
                    self._id = upload
                    self._kept = sum(parts[number].size for number in stored)
                    self._progress.log(
                        Message(
                            _("Resuming after %(stored)s of %(parts)s parts."),
                            stored=len(stored),
                            parts=len(parts),
                        )
                    )
                    return stored, [other for other in uploads if other != upload]
            return {}, uploads
        return {}, []

    def _fitting(
        self, upload: str, parts: dict[int, Part]
    ) -> dict[int, dict[str, Any]]:
        """Return the stored parts of an upload, or nothing if one of them is not of
        our file."""
        stored = self._pool.call(lambda: stored_parts(self._link, self._name, upload))
        for number, found in stored.items():
            if number not in parts or found["Size"] != parts[number].size:
                return {}
        digests = self._digests([parts[number] for number in stored])
        if any(
            found["ETag"].strip('"') != digests[n].hex for n, found in stored.items()
        ):
            return {}
        return stored

    def _send(self, stored: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """Send the parts that are missing; return all of them as a completion names
        them."""
        missing = [part for part in parts_of(self._size) if part.number not in stored]
        named = {number: _named(number, found) for number, found in stored.items()}
        upload = self._id

        def work(part: Part) -> tuple[int, dict[str, Any]]:
            return part.number, self._send_part(upload, part)

        for number, answer in self._pool.map(work, missing, self._link.config.parallel):
            named[number] = _named(number, answer)
            checkpoint("storage.put.part")
            self._report()
        self._report()
        return named

    def _send_part(self, upload: str, part: Part) -> dict[str, Any]:
        with _forgetting():
            return self._link.call(
                "upload_part",
                Key=self._name,
                UploadId=upload,
                PartNumber=part.number,
                Body=self._slice(part),
            )

    def _complete(self, named: dict[int, dict[str, Any]]) -> None:
        checkpoint("storage.put.complete.before")
        parts = [named[number] for number in sorted(named)]
        with _forgetting():
            self._patiently(
                "complete_multipart_upload",
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
            )
        checkpoint("storage.put.complete.after")

    # -- everywhere

    def _patiently(self, operation: str, **params: Any) -> dict[str, Any]:
        """Do an operation on the object, however long it takes, unless it is
        cancelled."""
        return self._pool.call(
            lambda: self._link.call(operation, Key=self._name, **params)
        )

    def _slice(self, part: Part) -> Slice:
        body = Slice(self._file, part.offset, part.size, self._gate)
        if self._id:
            self._slices[part.number] = body
        return body

    def _report(self) -> None:
        """Tell the progress what has been sent since the last time. Raise Cancelled."""
        sent = self._kept + sum(one.sent for one in list(self._slices.values()))
        fresh = max(0, sent - self._counted)
        self._counted += fresh
        self._progress.advance(fresh)

    def _conclude(self) -> None:
        """Count what was not counted yet. A cancel comes too late: the object is
        there."""
        with contextlib.suppress(Cancelled):
            self._progress.advance(self._size - self._counted)

    def _clean_up(self) -> None:
        """Leave no parts behind. A part that was under way may be stored after its
        upload was aborted: abort again, but do not wait for a server that has fallen
        silent."""
        quiet = self._pool.stop(GRACE)
        if not self._id or not self._abort(self._id) or quiet:
            return
        self._pool.stop(GRACE)
        self._abort(self._id)

    def _abort(self, upload: str) -> bool:
        """End an open upload, and return whether that is certain."""
        checkpoint("storage.put.abort")
        aborting = Task(
            partial(abort, self._link, self._name, upload), "dfr_backup abort"
        )
        with contextlib.suppress(EngineError):
            if aborting.wait(GRACE):
                aborting.result()
                return True
        return False


def open_uploads(link: Link, name: str) -> Iterator[str]:
    """Yield the identifiers of the open uploads of an object, the latest first."""
    found: dict[str, Any] = {}
    marker: dict[str, str] = {}
    for _page in range(MOST_PAGES):
        try:
            answer = link.call("list_multipart_uploads", Prefix=name, **marker)
        except EngineError as error:
            if _is_forgotten(error):
                return  # how some servers say that there is none
            raise
        listed = [one for one in answer.get("Uploads", []) if one["Key"] == name]
        found.update({one["UploadId"]: one.get("Initiated") for one in listed})
        following = {
            "KeyMarker": answer.get("NextKeyMarker") or "",
            "UploadIdMarker": answer.get("NextUploadIdMarker") or "",
        }
        if not answer.get("IsTruncated") or following == marker:
            break  # some servers give the same page again and again
        marker = following
    yield from sorted(found, key=lambda one: str(found[one]), reverse=True)


def stored_parts(link: Link, name: str, upload: str) -> dict[int, dict[str, Any]]:
    """Return the parts that an open upload has, by their numbers. One that is gone
    has none."""
    found: dict[int, dict[str, Any]] = {}
    marker = 0
    for _page in range(MOST_PAGES):
        try:
            answer = link.call(
                "list_parts", Key=name, UploadId=upload, PartNumberMarker=marker
            )
        except EngineError as error:
            if _is_forgotten(error):
                return {}
            raise
        found.update({one["PartNumber"]: one for one in answer.get("Parts", [])})
        following = int(answer.get("NextPartNumberMarker") or 0)
        if not answer.get("IsTruncated") or following <= marker:
            break
        marker = following
    return found


def abort(link: Link, name: str, upload: str) -> None:
    """End an open upload and free what it holds. One that is gone is no error."""
    try:
        link.call("abort_multipart_upload", Key=name, UploadId=upload)
    except EngineError as error:
        if not _is_forgotten(error):
            raise


def _named(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """Return how a completion names a part: with all checksums that the server has
    given."""
    sums = {f"Checksum{kind}": answer.get(f"Checksum{kind}") for kind in CHECKSUMS}
    given = {name: value for name, value in sums.items() if value}
    return {"PartNumber": number, "ETag": answer["ETag"], **given}


def _is_forgotten(error: EngineError) -> bool:
    cause = error.__cause__
    return isinstance(cause, Exception) and code_of(cause) in {"NoSuchUpload", *MISSING}


@contextlib.contextmanager
def _forgetting() -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        if _is_forgotten(error):
            raise UploadNotFound() from error
        raise
