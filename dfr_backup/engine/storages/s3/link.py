"""Requests to one bucket: the boto3 clients, and what each of them raises."""

import threading
from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from ...concurrency.background import Task
from ...errors.s3 import Boto3Missing, NoCaBundle, NotS3
from ...outbound import guarded_pools
from ..base import TransferLimits, is_size
from ..cancel import CancelCheck
from .config import S3Config
from .errors import explain, refuses_checksums
from .source import Slice

# of one request, by botocore, with short pauses; the caller of a storage has longer
# ones
ATTEMPTS = 3
MOST_PAGES = 10_000  # of a list, however few entries each of them has
SENDING = ("PutObject", "UploadPart")


class Link:
    """What sends requests to the bucket of ``config``; may be used by many threads
    at a time. One that ``cancel`` hears is asked while it waits for an answer."""

    def __init__(self, config: S3Config, limits: TransferLimits, cancel: CancelCheck):
        self.config = config
        self._limits = limits
        self._plain = config.checksums == "when_required"
        self._clients: dict[bool, Any] = {}
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._cancel = cancel

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """Do a boto3 operation ("put_object") on the bucket; return the answer.

        Where a server refuses S3's newer checksums it is asked again without them, and
        from then on at once. Raise EngineError, with botocore's error as its cause,
        and what a tick raises.
        """
        if self._cancel.is_heard:
            request = Task(partial(self._call, operation, params), "dfr_backup S3")
            return request.finish(self._cancel)
        return self._call(operation, params)

    def _call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        plain = self._plain
        try:
            return self._checked(operation, self._ask(operation, params, plain))
        except Exception as error:
            body = params.get("Body")
            if (
                plain
                or body is None
                or not refuses_checksums(error, self.config.endpoint)
            ):
                raise explain(error, self.config) from error
        try:
            answer = self._checked(operation, self._ask(operation, params, plain=True))
        except Exception as error:
            raise explain(error, self.config) from error
        self._plain = True
        return answer

    def presigned(self, operation: str, seconds: int, **params: Any) -> str:
        """Return an address that does ``operation`` for whoever has it. Raise
        EngineError."""
        try:
            return str(
                self._client(self._plain).generate_presigned_url(
                    operation,
                    Params={"Bucket": self.config.bucket, **params},
                    ExpiresIn=seconds,
                )
            )
        except Exception as error:
            raise explain(error, self.config) from error

    def _ask(
        self, operation: str, params: dict[str, Any], plain: bool
    ) -> dict[str, Any]:
        body = params.get("Body")
        if isinstance(body, Slice):
            body.seek(0)
            if plain and "ContentMD5" not in params:
                params = {**params, "ContentMD5": body.md5().base64}
        self._thread.body = body
        try:
            ask = getattr(self._client(plain), operation)
            return cast("dict[str, Any]", ask(Bucket=self.config.bucket, **params))
        finally:
            self._thread.body = None

    def _checked(self, operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Return an answer that has what is read of it. Raise NotS3."""
        entries, needed = NEEDED.get(operation, ("", {}))
        for found in answer.get(entries, []) if entries else [answer]:
            for name, is_right in needed.items():
                if not is_right(found.get(name)):
                    self._refuse(answer, f"{operation}: {name} is missing, or is none")
        return answer

    def _refuse(self, answer: dict[str, Any], why: str) -> NoReturn:
        if body := answer.get("Body"):
            body.close()
        raise NotS3(host=self.config.endpoint or "AWS", log=why)

    def _client(self, plain: bool) -> Any:
        with self._lock:
            if plain not in self._clients:
                self._clients[plain] = self._make_client(plain)
            return self._clients[plain]

    def _make_client(self, plain: bool) -> Any:
        require_boto3()
        import boto3
        from botocore.config import Config

        self._require_ca_bundle()
        settings = Config(
            signature_version="s3v4",
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=self._limits.timeout,
            read_timeout=self._limits.timeout,
            max_pool_connections=2 * self.config.parallel + 2,
            tcp_keepalive=True,
            s3={"addressing_style": self.config.addressing},
            request_checksum_calculation="when_required" if plain else "when_supported",
            # an answer to a request for a range may carry the checksum of the whole
            # object
            response_checksum_validation="when_required",
        )
        session = boto3.session.Session(
            self.config.access_key or None,
            self.config.secret_key or None,
            self.config.session_token or None,
        )
        client = session.client(
            "s3",
            region_name=self.config.region
            or ("us-east-1" if self.config.endpoint else None),
            endpoint_url=self.config.endpoint or None,
            verify=self.config.ca_bundle or None,
            config=settings,
        )
        self._guard(client)
        for operation in SENDING:
            client.meta.events.register(f"before-send.s3.{operation}", self._sending)
        return client

    def _guard(self, client: Any) -> None:
        """Let the client call allowed addresses only. botocore has no public way to
        give it connections; a proxy, and what boto3 asks for credentials, are the
        operator's and not guarded."""
        from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool

        rules = self._limits.outbound
        pools = guarded_pools(rules, AWSHTTPConnectionPool, AWSHTTPSConnectionPool)
        session = client._endpoint.http_session
        session._manager.pool_classes_by_scheme = pools
        if self.config.endpoint:
            rules.check(self.config.endpoint)

    def _sending(self, **_event: Any) -> None:
        """What is read from the body from now on goes to the server; before, it was
        hashed."""
        body = getattr(self._thread, "body", None)
        if isinstance(body, Slice):
            body.begin()

    def _require_ca_bundle(self) -> None:
        bundle = self.config.ca_bundle
        if bundle and not Path(bundle).is_file():
            raise NoCaBundle(path=bundle)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_moment(value: object) -> bool:
    return isinstance(value, datetime) and MINYEAR < value.year < MAXYEAR


_FILE = {"Size": is_size, "LastModified": _is_moment}
# what is read of an answer, or of each entry of a list in it, and what it has to be
NEEDED: dict[str, tuple[str, dict[str, Callable[[object], bool]]]] = {
    "head_object": ("", {"ContentLength": is_size, "LastModified": _is_moment}),
    "upload_part": ("", {"ETag": _is_text}),
    "create_multipart_upload": ("", {"UploadId": _is_text}),
    "list_objects_v2": ("Contents", {"Key": _is_text, **_FILE}),
    "list_multipart_uploads": ("Uploads", {"Key": _is_text, "UploadId": _is_text}),
    "list_parts": (
        "Parts",
        {"PartNumber": is_size, "Size": is_size, "ETag": _is_text},
    ),
}


def require_boto3() -> None:
    """Raise PermanentError when the package is missing."""
    try:
        import boto3  # noqa: F401
    except ImportError as error:
        raise Boto3Missing() from error


def utc(moment: datetime) -> datetime:
    """Return a moment of a server's answer, which has a time zone, in UTC."""
    return moment.astimezone(timezone.utc)
