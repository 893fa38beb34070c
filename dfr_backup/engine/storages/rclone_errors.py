"""What rclone complains about, as sentences for the administrator."""

import re
from dataclasses import dataclass

from ..errors import EngineError, PermanentError, RetryableError

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


@dataclass(frozen=True)
class Meaning:
    """What a complaint of rclone means: ``pattern`` is looked for in it, without its
    case."""

    pattern: str
    kind: type[EngineError]
    reason: str
    hint: str


MEANINGS = (
    Meaning(
        r"decrypt configuration|configuration password|password command",
        PermanentError,
        "its configuration is encrypted, and could not be opened",
        "Give the service that runs Odoo the variable RCLONE_CONFIG_PASS.",
    ),
    Meaning(
        r"didn't find section|didn't find backend|config file .* not found",
        PermanentError,
        "the remote is not configured, or not completely",
        "The server's administrator can look at it: rclone config show",
    ),
    Meaning(
        r"no space left|insufficient storage|\b507\b|quota|disk full|out of "
        r"space|storage.?full",
        PermanentError,
        "the storage is full",
        "Free some space there, or raise the quota. Nothing was deleted.",
    ),
    Meaning(
        r"\b401\b|unauthori[sz]ed|invalid_grant|unable to "
        r"authenticate|InvalidAccessKeyId"
        r"|SignatureDoesNotMatch|token expired|couldn't fetch token|login "
        r"incorrect|530 ",
        PermanentError,
        "the login was refused",
        "The server's administrator can renew it: rclone config reconnect, or rclone "
        "config",
    ),
    Meaning(
        r"permission denied|access ?denied|\b403\b|forbidden|read-only",
        PermanentError,
        "permission denied",
        "Give the account of the remote the right to do so.",
    ),
    Meaning(
        r"no such host|connection refused|connection reset|timeout|timed "
        r"out|unreachable"
        r"|closed network connection|broken pipe|\bEOF\b|deadline exceeded|TLS "
        r"handshake"
        r"|\b50[0234]\b|\b429\b",
        RetryableError,
        "the storage cannot be reached, or does not answer",
        "It is tried again. If it happens often, look at the network and at the "
        "storage.",
    ),
)


def meaning_of(failure: Failed) -> Meaning | None:
    """Return what a failure means, or None when rclone's words say too little."""
    for meaning in MEANINGS:
        if re.search(meaning.pattern, failure.text, re.IGNORECASE):
            return meaning
    return None


def explain(failure: Failed, doing: str, where: str) -> EngineError:
    """Return the sentence for a failure of rclone."""
    message = f"Cannot {doing} in {where}"
    if meaning := meaning_of(failure):
        sentence = f"{message}: {meaning.reason}."
        return meaning.kind(sentence, hint=meaning.hint, log=failure.text)
    if failure.status in MISSING:
        return PermanentError(
            f"{message}: there is no such directory.",
            hint="Was it moved, or is a disk not mounted?",
            log=failure.text,
        )
    said = (
        STAMP.sub("", failure.text).partition("\n")[0]
        or f"exit status {failure.status}"
    )
    return RetryableError(
        f"{message}: rclone says “{said}”.",
        hint="It is tried again. The server's administrator can try the same with "
        "rclone by hand.",
        log=failure.text,
    )
