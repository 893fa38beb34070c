"""Every kind of run, by the value of ``backup.job.kind``. It is open: an addon that
depends on this one registers kinds of its own."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from ..engine.errors.runs import UnknownKind
from .base import Run
from .steps import Step

AnyRun = TypeVar("AnyRun", bound=type[Run])

_kinds: dict[str, type[Run]] = {}
_steps: dict[str, Step] = {}
KINDS: Mapping[str, type[Run]] = MappingProxyType(_kinds)
STEPS: Mapping[str, Step] = MappingProxyType(_steps)


class UnknownRun(Run):
    """A run whose kind nobody has registered: the addon that made it is gone."""

    label = "Unknown"

    def run(self) -> None:
        raise UnknownKind(kind=self.job.kind)

    def again(self) -> object:
        raise UnknownKind(kind=self.job.kind)


def register(kind: str) -> Callable[[AnyRun], AnyRun]:
    """Return a decorator that makes a class the runs of this kind, and its steps known.
    Raise ValueError where another class, or another step of a name, is there
    already."""

    def add(cls: AnyRun) -> AnyRun:
        if _kinds.get(kind, cls) is not cls:
            raise ValueError(f"There is a kind of run called {kind} already")
        for step in cls.STEPS:
            if _steps.get(step.key, step) != step:
                raise ValueError(f"There is another step called {step.key} already")
        _kinds[kind] = cls
        cls.kind = kind
        _steps.update({step.key: step for step in cls.STEPS})
        return cls

    return add


def run_kind(kind: str) -> type[Run]:
    """Return the class of the runs of a kind. One that nobody has registered can only
    be looked at and deleted: to run it raises UnknownKind."""
    return _kinds.get(kind, UnknownRun)


def kinds_with(flag: str) -> list[str]:
    """Return the kinds of which a flag of ``Run`` is true."""
    return [kind for kind, run in KINDS.items() if getattr(run, flag)]


def step_kind(key: str) -> Step:
    """Return a step as it was declared; one that nobody has declared has no name but
    its key."""
    return _steps.get(key) or Step(key, key.replace("%", "%%"))
