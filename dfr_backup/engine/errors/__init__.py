"""Errors of the engine as values: a class for each code, a template, named values.

The classes stand in the modules of this package, by subject; ``docs/errors.rst`` is
made from them. An addon that depends on this one may add errors under a prefix of its
own. A code is never changed, and never used for another error.
"""

import errno
import re
from typing import Any, ClassVar, TypeVar

from ..messages import NOTHING, Joined, Message, _, storable

LONGEST_LOG = 20_000  # characters
CODE = re.compile(r"[A-Z][A-Z0-9]*-\d{2,}")
Error = TypeVar("Error", bound="EngineError")


class EngineError(Exception):
    """Something that the engine could not do.

    A subclass gives its ``code``, its ``template`` (one sentence for the administrator:
    what is wrong) and its ``remedy`` (a template that says what to do); further
    remedies are attributes that begin with ``remedy_``. Values are given by name, for
    template and remedy alike, and may be whatever a ``Message`` takes. ``log`` keeps
    technical detail, for example the last lines of a program's stderr. None of them may
    hold a secret.

    An instance has ``code``, ``message`` and ``hint`` (messages; the latter may be
    empty) and ``log``.
    """

    code: str = ""
    template: ClassVar[str] = _("Something went wrong.")
    remedy: ClassVar[str] = ""

    def __init_subclass__(cls, *, code: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if code:
            _register(cls, code)

    def __init__(self, *, remedy: str | None = None, log: str = "", **values: object):
        super().__init__()
        chosen = self.remedy if remedy is None else remedy
        self.message = Message(self.template, **values)
        self.hint = Message(chosen, **values) if chosen else NOTHING
        self.log = log

    def __str__(self) -> str:
        return str(self.message)

    @property
    def log(self) -> str:
        return self._log

    @log.setter
    def log(self, text: str) -> None:
        self._log = storable(text, LONGEST_LOG)

    @property
    def in_full(self) -> Joined:
        """What is wrong, and what to do."""
        return Joined([self.message, self.hint])

    @classmethod
    def because(cls: type[Error], cause: "EngineError") -> Error:
        """Return an error of this class that says, with its code, what ``cause``
        says."""
        error = cls()
        error.code, error.log = cause.code, cause.log
        error.message, error.hint = cause.message, cause.hint
        return error


class RetryableError(EngineError):
    """The same call may work later without anybody doing anything."""


class PermanentError(EngineError):
    """The same call fails again until somebody changes something."""


class Mismatch(PermanentError):
    """What a storage holds is not what was stored there."""


class Cancelled(EngineError):
    """The administrator asked to stop."""

    template = _("Cancelled by request.")


class Deferred(EngineError):
    """The run stops here and is taken up again later from the same step."""


def reason_of(error: OSError) -> str:
    """Return what the system says about an error. One that a library has made may have
    no number, and then no ``strerror`` either.

    Raise the error itself where memory has run out: that says nothing of the file or
    storage at hand, and the step has words for it.
    """
    if is_out_of_memory(error):
        raise error
    return error.strerror or str(error) or type(error).__name__


def error_class(code: str) -> type[EngineError] | None:
    """Return the class of a code, None for one that nobody has defined."""
    return _CLASSES.get(code)


def error_classes() -> dict[str, type[EngineError]]:
    """Return every class that was defined so far, by its code."""
    return dict(_CLASSES)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether the system gave no more memory, not even for a thread."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)


_CLASSES: dict[str, type[EngineError]] = {}


def _register(cls: type[EngineError], code: str) -> None:
    known = _CLASSES.get(code)
    if not CODE.fullmatch(code) or (known and known.__qualname__ != cls.__qualname__):
        raise TypeError(f"{cls.__qualname__}: {code} is no code, or it is taken")
    cls.code = code
    _CLASSES[code] = cls
