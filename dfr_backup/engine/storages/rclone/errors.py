"""What rclone complains about, as errors for the administrator."""

import re

from ...errors import EngineError
from ...errors.rclone import (
    ConfigurationLocked,
    RcloneDirectoryMissing,
    RcloneFailed,
    RcloneLoginRefused,
    RcloneNoPermission,
    RcloneNotReached,
    RemoteNotConfigured,
    StorageFull,
)
from ...messages import Message

MISSING = (3, 4)  # exit status: the directory, or the file, does not exist
STAMP = re.compile(
    r"^[\d/]+ [\d:]+ [A-Z]+ *: *", re.MULTILINE
)  # in front of each complaint


class Failed(Exception):
    """rclone ended with a ``status`` that is not 0; ``text`` is what it complained
    about."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status
        self.text = text


def without_secrets(text: str) -> str:
    """Return ``text`` without the parts of addresses that may be secret."""
    text = re.sub(r"(\w+://)[^/@\s\"]*@", r"\1…@", text)
    return re.sub(r"(\w+://[^\s\"?]*)\?[^\s\"]*", r"\1?…", text)


# what is looked for in a complaint, without its case, and what it means
MEANINGS: tuple[tuple[str, type[EngineError]], ...] = (
    (
        r"decrypt configuration|configuration password|password command",
        ConfigurationLocked,
    ),
    (
        r"didn't find section|didn't find backend|config file .* not found",
        RemoteNotConfigured,
    ),
    (
        r"no space left|insufficient storage|\b507\b|quota|disk full|out of space"
        r"|storage.?full",
        StorageFull,
    ),
    (
        r"\b401\b|unauthori[sz]ed|invalid_grant|unable to authenticate"
        r"|InvalidAccessKeyId|SignatureDoesNotMatch|token expired"
        r"|couldn't fetch token|login incorrect|530 ",
        RcloneLoginRefused,
    ),
    (
        r"permission denied|access ?denied|\b403\b|forbidden|read-only",
        RcloneNoPermission,
    ),
    (
        r"no such host|connection refused|connection reset|timeout|timed out"
        r"|unreachable|closed network connection|broken pipe|\bEOF\b"
        r"|deadline exceeded|TLS handshake|\b50[0234]\b|\b429\b",
        RcloneNotReached,
    ),
)


def meaning_of(failure: Failed) -> type[EngineError] | None:
    """Return what a failure means, or None when rclone's words say too little."""
    for pattern, kind in MEANINGS:
        if re.search(pattern, failure.text, re.IGNORECASE):
            return kind
    return RcloneDirectoryMissing if failure.status in MISSING else None


def explain(failure: Failed, what: Message, location: str) -> EngineError:
    """Return the error for a failure of rclone."""
    kind = meaning_of(failure) or RcloneFailed
    said = STAMP.sub("", failure.text).partition("\n")[0]
    answer = said or f"exit status {failure.status}"
    return kind(doing=what, location=location, answer=answer, log=failure.text)
