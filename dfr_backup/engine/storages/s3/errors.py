"""What went wrong with a bucket, in words: the one place that knows botocore's
errors."""

import re
import socket
from collections.abc import Callable
from typing import Any

from ...errors import EngineError
from ...errors.s3 import (
    AccessDenied,
    AccountSuspended,
    ArchiveClass,
    BucketFull,
    BucketNameRefused,
    BucketUnusable,
    CertificateNotTrusted,
    ClockSkewed,
    ConnectionRefused,
    DamagedOnTheWay,
    EncryptionKeyUnusable,
    LegalHold,
    Locked,
    NoBucket,
    NoCredentials,
    NoTls,
    NotS3,
    ObjectChanged,
    ObjectMissing,
    ObjectProtected,
    RequestRefused,
    RoleExpired,
    S3ConnectionLost,
    S3HostNotFound,
    S3NotReached,
    S3Silent,
    ServerBusy,
    TokenExpired,
    UnknownAccessKey,
    WrongRegion,
    WrongSecretKey,
)
from ...messages import Message, Value, _
from .config import S3Config

RIGHTS = {
    "PutObject": (_("write to"), "s3:PutObject"),
    "CreateMultipartUpload": (_("write to"), "s3:PutObject"),
    "UploadPart": (_("write to"), "s3:PutObject"),
    "CompleteMultipartUpload": (_("write to"), "s3:PutObject"),
    "GetObject": (_("read from"), "s3:GetObject"),
    "HeadObject": (_("read from"), "s3:GetObject"),
    "ListObjectsV2": (_("list the objects of"), "s3:ListBucket"),
    "DeleteObject": (_("delete from"), "s3:DeleteObject"),
    "PutObjectRetention": (_("lock objects in"), "s3:PutObjectRetention"),
    "AbortMultipartUpload": (_("abort uploads to"), "s3:AbortMultipartUpload"),
    "ListMultipartUploads": (
        _("list open uploads to"),
        "s3:ListBucketMultipartUploads",
    ),
    "ListParts": (_("list parts of uploads to"), "s3:ListMultipartUploadParts"),
}
MISSING = {"NoSuchKey", "NotFound", "404"}
EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "409", "412"}
DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "UnauthorizedAccess",
    "Unauthorized",
    "403",
}
REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "IllegalLocationConstraintException",
    "301",
    "307",
}
FULL = {
    "QuotaExceeded",
    "QuotaExceededException",
    "XMinioStorageFull",
    "InsufficientStorage",
}
FULL |= {"StorageCapExceeded", "507"}
STALE = {
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "RequestExpired",
}
# refused today, and perhaps not in a minute, although the status is below 500
PASSING = {
    "SlowDown",
    "Throttling",
    "TooManyRequests",
    "RequestTimeout",
    "OperationAborted",
}
PASSING |= {
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
    "NoSuchUpload",
    "429",
}
# an object lock has no code of its own: AWS denies access, MinIO calls it invalid
LOCK_WORDS = re.compile(r"object.?lock|retention|retain|legal hold|worm", re.I)
NAMES = re.compile(r'arn:\S+|"[^"]*"')  # in the words of a server
CHECKSUM_REFUSED = {"MissingContentLength", "NotImplemented", "411", "501"}
CHECKSUM_SUSPECT = {"InvalidArgument", "InvalidRequest", "MalformedTrailerError"}
CHECKSUM_SUSPECT |= {"XAmzContentSHA256Mismatch", "SignatureDoesNotMatch"}


def code_of(error: Exception | None) -> str:
    """Return S3's code of an error, for example "NoSuchKey", or a blank string."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def cause_code(error: EngineError) -> str:
    """Return S3's code of what an error was made of."""
    cause = error.__cause__
    return code_of(cause) if isinstance(cause, Exception) else ""


def is_missing(error: EngineError) -> bool:
    return cause_code(error) in MISSING


def is_denied(error: EngineError) -> bool:
    return cause_code(error) in DENIED


def is_protected(error: EngineError) -> bool:
    return isinstance(error, Locked | LegalHold | ObjectProtected)


def refuses_checksums(error: Exception, endpoint: str) -> bool:
    """Tell whether a server may have refused a request because of its newer checksums.

    Over https those follow the body; older servers ask for a length, call it not
    implemented, or take them for a part of what was signed.
    """
    code = code_of(error)
    trailing = not endpoint.startswith("http://")
    return code in CHECKSUM_REFUSED or (trailing and code in CHECKSUM_SUSPECT)


def explain(error: Exception, config: S3Config) -> EngineError:
    """Return the EngineError that says what an exception of botocore means."""
    if isinstance(error, EngineError):
        return error
    ours = getattr(error, "kwargs", {}).get("error")  # in botocore's HTTPClientError
    if isinstance(ours, EngineError):
        return ours
    if getattr(error, "response", None):
        found = _answered(error, config)
    else:
        found = _unanswered(error, config)
    found.log = _without_secrets(
        found.log or f"{type(error).__name__}: {error}", config
    )
    return found


def _without_secrets(text: str, config: S3Config) -> str:
    for secret in filter(None, (config.secret_key, config.session_token)):
        text = text.replace(secret, "…")
    return text


def _answered(error: Any, config: S3Config) -> EngineError:
    """Explain a refusal that the server has worded."""
    code, operation = code_of(error), error.operation_name
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    page = _is_web_page(error)
    if page and status < 500:
        return _not_s3(error, config)
    if operation == "DeleteObject" and _is_locked(error, config):
        return ObjectProtected(bucket=config.place, reason=_said(error, config))
    for codes, explanation in _REFUSALS:
        if code in codes:
            return explanation(error, config)
    said: Value = _said(error, config) or code
    said = said or Message(_("status %(status)s"), status=status)
    if code in PASSING or (status >= 500 and status != 501):
        remedy = ServerBusy.remedy_page if page else ServerBusy.remedy
        return ServerBusy(bucket=config.place, reason=said, remedy=remedy)
    return RequestRefused(operation=operation, bucket=config.place, reason=said)


def _said(error: Any, config: S3Config) -> str:
    """Return how the server has worded its refusal, in one line."""
    said = error.response.get("Error", {}).get("Message") or ""
    return _without_secrets(" ".join(said.split())[:300], config)


def _is_web_page(error: Any) -> bool:
    """Tell whether a page for people was the answer. That to a HEAD request has no
    content."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return error.operation_name != "HeadObject" and "html" in headers.get(
        "content-type", ""
    )


def _is_locked(error: Any, config: S3Config) -> bool:
    """Tell whether a deletion was refused because of a lock. The server's words say so;
    the name of the bucket, a policy or a user in them says nothing."""
    words = NAMES.sub("", _said(error, config)).replace(config.bucket, "")
    return code_of(error) in DENIED | {"InvalidRequest"} and bool(
        LOCK_WORDS.search(words)
    )


def _denied(error: Any, config: S3Config) -> EngineError:
    operation, said = error.operation_name, _said(error, config)
    verb, right = RIGHTS.get(operation, (_("use"), f"s3:{operation}"))
    return AccessDenied(
        action=Message(verb),
        bucket=config.place,
        right=right,
        log=f"{operation}: {code_of(error)} {said}",
    )


def _wrong_region(error: Any, config: S3Config) -> EngineError:
    details = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = details.get("Region") or headers.get("x-amz-bucket-region")
    where = _("in the region %(region)s") if region else _("in another region")
    return WrongRegion(
        bucket=config.place,
        where=Message(where, region=region),
        used=config.region or Message(_("the default one")),
        region=region,
        remedy=WrongRegion.remedy_known if region else WrongRegion.remedy,
    )


def _stale(_error: Any, config: S3Config) -> EngineError:
    return TokenExpired() if config.access_key else RoleExpired()


def _always(kind: type[EngineError]) -> Callable[[Any, S3Config], EngineError]:
    """Return an explanation that is the same whatever was asked for."""
    return lambda _error, config: kind(bucket=config.place)


_REFUSALS: list[tuple[set[str], Callable[[Any, S3Config], EngineError]]] = [
    (DENIED, _denied),
    (REGION, _wrong_region),
    (STALE, _stale),
    (FULL, _always(BucketFull)),
    ({"InvalidAccessKeyId", "InvalidToken"}, _always(UnknownAccessKey)),
    ({"SignatureDoesNotMatch"}, _always(WrongSecretKey)),
    ({"RequestTimeTooSkewed"}, _always(ClockSkewed)),
    ({"NoSuchBucket"}, _always(NoBucket)),
    ({"InvalidBucketName"}, _always(BucketNameRefused)),
    (MISSING, _always(ObjectMissing)),
    ({"PreconditionFailed", "412"}, _always(ObjectChanged)),
    (
        {"UserSuspended", "AccountProblem", "InvalidPayer", "NotSignedUp"},
        _always(AccountSuspended),
    ),
    (
        {
            "KMS.NotFoundException",
            "KMS.DisabledException",
            "KMS.KMSInvalidStateException",
        },
        _always(EncryptionKeyUnusable),
    ),
    ({"InvalidObjectState"}, _always(ArchiveClass)),
]


def _unanswered(error: Exception, config: S3Config) -> EngineError:
    """Explain what kept a request from being sent, or from being answered."""
    for name, explanation in _FAILURES:
        if any(base.__name__ == name for base in type(error).__mro__):
            return explanation(error, config)
    if isinstance(error, OSError):
        return _lost(error, config)
    said = " ".join(str(error).split())[:300] or type(error).__name__
    reason = _without_secrets(said, config)
    return BucketUnusable(bucket=config.place, reason=reason)


def _unreachable(error: Exception, config: S3Config) -> EngineError:
    host = config.endpoint or "Amazon S3"
    if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
        return S3HostNotFound(host=host)
    if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)):
        return ConnectionRefused(host=host)
    return S3NotReached(host=host)


def _untrusted(error: Exception, config: S3Config) -> EngineError:
    text = str(error)
    host = config.endpoint or "Amazon S3"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        found = re.search(r"certificate verify failed: ([^(\[]*)", text)
        reason = found and found[1].strip()
        return CertificateNotTrusted(
            host=host, reason=reason or Message(_("it cannot be verified"))
        )
    for cause in _causes(error):
        if type(cause).__name__ == "CertificateError":  # urllib3's, for another name
            return CertificateNotTrusted(
                host=host, reason=cause, remedy=CertificateNotTrusted.remedy_name
            )
    if re.search(
        r"WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|HTTP_REQUEST|RECORD_LAYER", text, re.I
    ):
        return NoTls(host=host)
    return S3ConnectionLost(bucket=config.place)


def _not_s3(_error: Exception, config: S3Config) -> EngineError:
    return NotS3(host=config.endpoint or "AWS")


_silent = _always(S3Silent)
_lost = _always(S3ConnectionLost)
_no_credentials = _always(NoCredentials)
_damaged = _always(DamagedOnTheWay)

# by name, because botocore is an optional package; the first that fits counts
_FAILURES: list[tuple[str, Callable[[Exception, S3Config], EngineError]]] = [
    ("SSLError", _untrusted),
    ("EndpointConnectionError", _unreachable),
    ("ConnectTimeoutError", _unreachable),
    ("ProxyConnectionError", _unreachable),
    ("ReadTimeoutError", _silent),
    ("HTTPClientError", _lost),
    ("ConnectionError", _lost),
    ("IncompleteReadError", _lost),
    ("ResponseStreamingError", _lost),
    ("FlexibleChecksumError", _damaged),
    ("ChecksumError", _damaged),
    ("ResponseParserError", _not_s3),
    ("NoCredentialsError", _no_credentials),
    ("PartialCredentialsError", _no_credentials),
    ("CredentialRetrievalError", _no_credentials),
    ("ProfileNotFound", _no_credentials),
]


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it was made from, whichever way that is told."""
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo and len(found) < 20:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            told = getattr(one, "kwargs", None)
            todo += [
                one.__cause__,
                one.__context__,
                getattr(one, "reason", None),
                *one.args,
            ]
            todo += [told.get("error")] if isinstance(told, dict) else []
    return found
