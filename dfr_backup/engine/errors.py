"""Errors of the engine. Each carries what the administrator reads, and what to do."""

import errno


class EngineError(Exception):
    """Something that the engine could not do.

    ``message`` is one sentence for the administrator, ``hint`` says what to do about it
    and ``log`` keeps technical detail (the last lines of a program's stderr, for
    example). None of them may hold a secret.
    """

    def __init__(self, message: str, *, hint: str = "", log: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.log = log


class RetryableError(EngineError):
    """The same call may work later without anybody doing anything."""


class PermanentError(EngineError):
    """The same call fails again until somebody changes something."""


class Mismatch(PermanentError):
    """What a storage holds is not what was stored there."""


class Cancelled(EngineError):
    """The administrator asked to stop."""

    def __init__(self, message: str = "Cancelled by request.", **kwargs):
        super().__init__(message, **kwargs)


class Postponed(EngineError):
    """The run stops here and is taken up again later from the same step."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the system gave no more memory, not even for a thread."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)
