"""What went wrong with a bucket, in words: the one place that knows botocore's
errors."""

import re
import socket
from collections.abc import Callable
from typing import Any

from ..errors import EngineError, PermanentError, RetryableError
from .s3_config import S3Config

RIGHTS = {
    "PutObject": ("write to", "s3:PutObject"),
    "CreateMultipartUpload": ("write to", "s3:PutObject"),
    "UploadPart": ("write to", "s3:PutObject"),
    "CompleteMultipartUpload": ("write to", "s3:PutObject"),
    "GetObject": ("read from", "s3:GetObject"),
    "HeadObject": ("read from", "s3:GetObject"),
    "ListObjectsV2": ("list the objects of", "s3:ListBucket"),
    "DeleteObject": ("delete from", "s3:DeleteObject"),
    "PutObjectRetention": ("lock objects in", "s3:PutObjectRetention"),
    "AbortMultipartUpload": ("abort uploads to", "s3:AbortMultipartUpload"),
    "ListMultipartUploads": ("list open uploads to", "s3:ListBucketMultipartUploads"),
    "ListParts": ("list parts of uploads to", "s3:ListMultipartUploadParts"),
}
MISSING = {"NoSuchKey", "NotFound", "404"}
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
PROTECTED = re.compile(r"object.?lock|retention|retain|legal hold|worm", re.I)
CHECKSUM_REFUSED = {"MissingContentLength", "NotImplemented", "411", "501"}
CHECKSUM_SUSPECT = {"InvalidArgument", "InvalidRequest", "MalformedTrailerError"}
CHECKSUM_SUSPECT |= {"XAmzContentSHA256Mismatch", "SignatureDoesNotMatch"}


def code_of(error: Exception | None) -> str:
    """Return S3's code of an error, for example "NoSuchKey", or a blank string."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


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
    for codes, explanation in _REFUSALS:
        if code in codes:
            return explanation(error, config)
    said = _said(error, config) or code or f"status {status}"
    if code in PASSING or (status >= 500 and status != 501):
        return RetryableError(
            f"The server of the bucket {config.place} cannot do it now: {said}",
            hint="It answers with a web page: is that the address of its S3 interface?"
            if page
            else "It is busy or has a fault. The upload is tried again and goes on "
            "where it was.",
        )
    return PermanentError(
        f"The server refused {operation} in the bucket {config.place}: {said}",
        hint="Check the settings of the storage against what the provider supports.",
    )


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


def _denied(error: Any, config: S3Config) -> EngineError:
    operation, said = error.operation_name, _said(error, config)
    if operation == "DeleteObject" and PROTECTED.search(said):
        return PermanentError(
            f"The object is protected in the bucket {config.place}: {said}",
            hint="An object lock keeps it until its time is over.",
        )
    verb, right = RIGHTS.get(operation, ("use", f"s3:{operation}"))
    return PermanentError(
        f"The access key may not {verb} the bucket {config.place}.",
        hint=f"Give it the right {right} for this bucket and prefix, or use another "
        "key.",
        log=f"{operation}: {code_of(error)} {said}",
    )


def _wrong_region(error: Any, config: S3Config) -> EngineError:
    details = error.response.get("Error", {})
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = details.get("Region") or headers.get("x-amz-bucket-region")
    where = f"in the region {region}" if region else "in another region"
    used = config.region or "the default one"
    return PermanentError(
        f"The bucket {config.place} is {where}, not in {used}.",
        hint=f"Set the region to {region}."
        if region
        else "Set the region of the bucket.",
    )


def _stale(error: Any, config: S3Config) -> EngineError:
    if config.access_key:
        return PermanentError(
            "The session token of the access key has expired.",
            hint="Give new keys; for backups use keys that do not expire, or a role.",
        )
    return RetryableError(
        "The server's own AWS credentials have expired.",
        hint="They are fetched anew with the next attempt. Check the role if this "
        "stays.",
    )


def _always(message: str, hint: str) -> Callable[[Any, S3Config], EngineError]:
    """Return an explanation that is the same whatever was asked for. ``{place}`` is
    filled in."""
    return lambda _error, config: PermanentError(
        message.format(place=config.place), hint=hint
    )


_REFUSALS: list[tuple[set[str], Callable[[Any, S3Config], EngineError]]] = [
    (DENIED, _denied),
    (REGION, _wrong_region),
    (STALE, _stale),
    (
        FULL,
        _always(
            "The bucket {place} is full, or its quota is used up.",
            "Free some space or raise the quota. Nothing was deleted.",
        ),
    ),
    (
        {"InvalidAccessKeyId", "InvalidToken"},
        _always(
            "The server of the bucket {place} does not know this access key.",
            "Check the access key, and that it belongs to this provider and has not "
            "been revoked.",
        ),
    ),
    (
        {"SignatureDoesNotMatch"},
        _always(
            "The secret key is wrong for the bucket {place}.",
            "Enter the secret key again, without spaces around it; check the region, "
            "too.",
        ),
    ),
    (
        {"RequestTimeTooSkewed"},
        _always(
            "The clock of this server and that of the bucket {place} differ too much.",
            "Set the clock of this server, for example with systemd-timesyncd or "
            "chrony.",
        ),
    ),
    (
        {"NoSuchBucket"},
        _always(
            "There is no bucket {place}.",
            "Check its name and the address, or create it at the provider.",
        ),
    ),
    (
        {"InvalidBucketName"},
        _always(
            "The server does not accept the name of the bucket {place}.",
            "Check it: 3 to 63 small letters, digits, dots and hyphens.",
        ),
    ),
    (
        MISSING,
        _always(
            "The object is not in the bucket {place}.",
            "It was moved or deleted. Scan the storage to see what is there.",
        ),
    ),
    (
        {"PreconditionFailed", "412"},
        _always(
            "The object was changed in the bucket {place} while it was read.",
            "Somebody writes to the same place. Read it again.",
        ),
    ),
    (
        {"UserSuspended", "AccountProblem", "InvalidPayer", "NotSignedUp"},
        _always(
            "The provider has suspended the account of the bucket {place}.",
            "Ask the provider, and check whether a bill is open.",
        ),
    ),
    (
        {
            "KMS.NotFoundException",
            "KMS.DisabledException",
            "KMS.KMSInvalidStateException",
        },
        _always(
            "The encryption key of the bucket {place} cannot be used.",
            "Check the KMS key: does it exist in this region, and is it enabled?",
        ),
    ),
    (
        {"InvalidObjectState"},
        _always(
            "The object is in an archive class of the bucket {place} and cannot be "
            "read.",
            "Restore it at the provider first, or choose another storage class.",
        ),
    ),
]


def _unanswered(error: Exception, config: S3Config) -> EngineError:
    """Explain what kept a request from being sent, or from being answered."""
    for name, explanation in _FAILURES:
        if any(base.__name__ == name for base in type(error).__mro__):
            return explanation(error, config)
    if isinstance(error, OSError):
        return _lost(error, config)
    said = " ".join(str(error).split())[:300] or type(error).__name__
    return PermanentError(
        f"The bucket {config.place} cannot be used: {_without_secrets(said, config)}",
        hint="Check the settings of the storage.",
    )


def _unreachable(error: Exception, config: S3Config) -> EngineError:
    host = config.endpoint or "Amazon S3"
    if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
        return RetryableError(
            f"The name of {host} cannot be resolved.",
            hint="Check the address of the storage, and this server's DNS.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)):
        return RetryableError(
            f"{host} refused the connection.",
            hint="Is the storage's server running, and is the port right?",
        )
    return RetryableError(
        f"{host} cannot be reached.",
        hint="Check the network, the firewall and the address of the storage.",
    )


def _silent(error: Exception, config: S3Config) -> EngineError:
    return RetryableError(
        f"The server of the bucket {config.place} does not answer any more.",
        hint="Check the network and the storage's server. It is tried again.",
    )


def _lost(error: Exception, config: S3Config) -> EngineError:
    return RetryableError(
        f"The connection to the bucket {config.place} broke.",
        hint="Check the network and the storage's server. It is tried again.",
    )


def _untrusted(error: Exception, config: S3Config) -> EngineError:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = re.search(r"certificate verify failed: ([^(\[]*)", text)
        return PermanentError(
            f"The certificate of {config.endpoint or 'Amazon S3'} is not trusted: "
            f"{reason[1].strip() if reason else 'it cannot be verified'}.",
            hint="Give the file with the certificate of its authority (CA bundle), or "
            "renew it.",
        )
    if re.search(
        r"WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|HTTP_REQUEST|RECORD_LAYER", text, re.I
    ):
        return PermanentError(
            f"{config.endpoint} does not speak TLS.",
            hint="Is it the right port? For a server without TLS write http:// in its "
            "address.",
        )
    return _lost(error, config)


def _no_credentials(error: Exception, config: S3Config) -> EngineError:
    return PermanentError(
        f"There are no credentials for the bucket {config.place}.",
        hint="Enter an access key and a secret key, or give this server an AWS role.",
    )


def _not_s3(error: Exception, config: S3Config) -> EngineError:
    return PermanentError(
        f"What answers at {config.endpoint or 'AWS'} is not an S3 server.",
        hint="Check the address: it is that of the S3 interface, not of a web console.",
    )


def _damaged(error: Exception, config: S3Config) -> EngineError:
    return RetryableError(
        f"Data were damaged on their way from the bucket {config.place}.",
        hint="It is tried again. Check the network if it happens often.",
    )


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
