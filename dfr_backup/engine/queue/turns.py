"""Who may run: slots that are locked files, and tickets of those who wait for one.

A slot is held by the lock of its file (flock), which dies with the last process that
has it open: whoever frees it, by ending or by being killed, needs to do nothing. What
is decided, is decided by one process at a time, which keeps the others waiting for as
long as it takes to look at some files; it asks no database meanwhile.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors.runs import SlotsUnusable
from ..untrusted import Unusable, parse_json
from .estimate import Holder, expected_start
from .folder import PARTIAL, Folder
from .tickets import LAST, NAME, Ticket, is_text, read_ticket, seconds_of

GATE = "gate"
TEST = "restore-test"
SLOT = "slot-"
FRESH = 300.0  # seconds: another server says more often that it still waits
ABANDONED = 3600.0  # seconds


@dataclass
class Turn:
    """A run that may begin, as long as one of ``files`` is open in any process."""

    ticket: Ticket
    files: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Let others have the slot, unless another process has it as well."""
        while self.files:
            os.close(self.files.pop())


@dataclass(frozen=True)
class Place:
    """Where a run stands: ``before`` it wait others, ``holders`` run in ``slots``.
    ``expected`` is when its turn comes, None where nobody knows."""

    holders: list[Holder]
    slots: int
    before: int
    is_test_running: bool
    expected: float | None

    @property
    def has_to_wait(self) -> bool:
        return self.is_test_running or len(self.holders) + self.before >= self.slots


@dataclass(frozen=True)
class Line:
    """What runs in ``slots``, and who waits with a place, in order."""

    holders: list[Holder]
    slots: int
    waiting: list[tuple[Ticket, Place]]


class Queue:
    """The slots and tickets of a folder, as the server ``server`` sees them: it starts
    no run of another one, and takes no slot from before one that waits longer."""

    def __init__(
        self,
        folder: Folder,
        slots: int,
        server: str,
        clock: Callable[[], float] = time.time,
    ):
        self._folder = folder
        self._slots = slots
        self._server = server
        self._clock = clock

    # === WHO WAITS === #

    def enter(self, ticket: Ticket) -> None:
        """Let a run wait, or say that it still does. Raise SlotsUnusable, also when
        the disk is full."""
        self._folder.prepare()
        data = ticket.to_json()
        if self._folder.read(ticket.name) == data:
            self._folder.touch(ticket.name)
        else:
            self._folder.write(ticket.name, data)

    def touch(self, name: str) -> None:
        """Say that a run still waits, if it does."""
        self._folder.touch(name)

    def leave(self, name: str) -> None:
        """Let a run wait no longer."""
        self._folder.try_remove(name)

    def is_waiting(self, name: str) -> bool:
        """Tell whether somebody said a moment ago that this run waits."""
        age = self._folder.age(name, self._clock())
        return age is not None and age < FRESH

    def waiting(self) -> list[Ticket]:
        """Return the tickets, in their order. Raise SlotsUnusable."""
        self._folder.prepare()
        found = []
        for name in self._folder.names():
            if name.endswith(PARTIAL):
                self._forget_abandoned(name)
            elif NAME.fullmatch(name):
                ticket = read_ticket(name, self._folder.read(name))
                if ticket and self._counts(ticket):
                    found.append(ticket)
        return sorted(found, key=lambda ticket: ticket.rank)

    def _counts(self, ticket: Ticket) -> bool:
        """Tell whether a ticket is still meant. Our own are looked up in their database
        when it is their turn."""
        if ticket.server == self._server or self.is_waiting(ticket.name):
            return True
        self._forget_abandoned(ticket.name)
        return False

    def _forget_abandoned(self, name: str) -> None:
        if (self._folder.age(name, self._clock()) or 0) > ABANDONED:
            self._folder.try_remove(name)

    # === WHOSE TURN IT IS === #

    def next(self, mine: Ticket | None = None) -> Turn | None:
        """Return the turn of the run of this server that is next, if any slot is free
        for it, and forget its ticket. ``mine`` waits as well, where no ticket could be
        written. Raise SlotsUnusable."""
        self._folder.prepare()
        with self._folder.alone(GATE):
            waiting = self.waiting()
            if mine and mine.name not in [ticket.name for ticket in waiting]:
                waiting = sorted([*waiting, mine], key=lambda ticket: ticket.rank)
            with self._free_slots() as free:
                turn = self._first(waiting, free)
            if turn:
                try:  # one that stays would be started again and again
                    self._folder.remove(turn.ticket.name)
                except SlotsUnusable:
                    turn.close()
                    raise
                self._note(turn)
            return turn

    def place(self, ticket: Ticket) -> Place:
        """Return where a run stands, or would stand. Raise SlotsUnusable."""
        waiting, holders, test = self._now()
        before = [
            other
            for other in waiting
            if other.rank < ticket.rank and other.name != ticket.name
        ]
        return self._place(ticket, before, holders, test)

    def line(self) -> Line:
        """Return all of it. Raise SlotsUnusable."""
        waiting, holders, test = self._now()
        places = [
            (ticket, self._place(ticket, waiting[:number], holders, test))
            for number, ticket in enumerate(waiting)
        ]
        return Line(holders, self._slots, places)

    def _now(self) -> tuple[list[Ticket], list[Holder], list[Holder]]:
        """Return who waits, in order, what runs, and which restore test."""
        self._folder.prepare()
        with self._folder.alone(GATE):
            waiting, holders = self.waiting(), self._holders()
            return waiting, holders, self._running_test()

    def _place(
        self,
        ticket: Ticket,
        before: list[Ticket],
        holders: list[Holder],
        test: list[Holder],
    ) -> Place:
        expected = self._expected(holders, before, self._slots)
        is_test_running = ticket.priority == LAST and bool(test)
        if is_test_running:
            tests = [other for other in before if other.priority == LAST]
            expected = _later(expected, self._expected(test, tests, 1))
        return Place(holders, self._slots, len(before), is_test_running, expected)

    def _expected(
        self, holders: list[Holder], before: list[Ticket], slots: int
    ) -> float | None:
        seconds = [ticket.seconds for ticket in before]
        return expected_start(holders, seconds, slots, self._clock())

    def holders(self) -> list[Holder]:
        """Return what runs. Raise SlotsUnusable."""
        self._folder.prepare()
        with self._folder.alone(GATE):
            return self._holders()

    def _first(self, waiting: list[Ticket], free: dict[int, int]) -> Turn | None:
        for ticket in waiting:
            if not free:
                return None
            extra = self._lock(TEST) if ticket.priority == LAST else []
            if extra is None:
                continue
            number = min(free)
            if ticket.server == self._server:
                return Turn(ticket, [free.pop(number), *extra])
            # that server finds it free when it looks
            for file in (free.pop(number), *extra):
                os.close(file)
        return None

    def _note(self, turn: Turn) -> None:
        """Write into its files what runs there, for those who ask."""
        ticket = turn.ticket
        about = {
            "database": ticket.database,
            "run": ticket.run,
            "since": self._clock(),
            "seconds": ticket.seconds,
        }
        for file in turn.files:
            with contextlib.suppress(OSError):  # a full disk
                os.ftruncate(file, 0)
                os.pwrite(file, json.dumps(about).encode(), 0)

    # === SLOTS === #

    def _numbers(self) -> list[int]:
        """Return the numbers of all slots, also of those above a limit that was
        lowered: somebody may be in them."""
        there = {
            int(name.removeprefix(SLOT))
            for name in self._folder.names()
            if name.startswith(SLOT) and name.removeprefix(SLOT).isdecimal()
        }
        return sorted(there | set(range(1, self._slots + 1)))

    @contextlib.contextmanager
    def _free_slots(self) -> Iterator[dict[int, int]]:
        """Yield the files of the slots that may be taken, locked, by their number. What
        is left in there is free again afterwards."""
        free: dict[int, int] = {}
        held = 0
        try:
            for number in self._numbers():
                locked = self._lock(f"{SLOT}{number}")
                if locked is None:
                    held += 1
                else:
                    (free[number],) = locked
            while free and len(free) > self._slots - held:
                os.close(free.pop(max(free)))
            yield free
        finally:
            for file in free.values():
                os.close(file)

    def _lock(self, name: str) -> list[int] | None:
        """Return the file, locked; None when somebody has it."""
        file = self._folder.open(name)
        try:
            if self._folder.try_lock(file):
                return [file]
        except SlotsUnusable:
            os.close(file)
            raise
        os.close(file)
        return None

    def _is_free(self, name: str) -> bool:
        locked = self._lock(name)
        if locked:
            os.close(locked[0])
        return bool(locked)

    def _holders(self) -> list[Holder]:
        return [
            self._holder(number, f"{SLOT}{number}")
            for number in self._numbers()
            if not self._is_free(f"{SLOT}{number}")
        ]

    def _running_test(self) -> list[Holder]:
        return [] if self._is_free(TEST) else [self._holder(0, TEST)]

    def _holder(self, number: int, name: str) -> Holder:
        try:
            about = parse_json(self._folder.read(name))
            seconds = about["seconds"]
            return Holder(
                number,
                _shown(about["database"]),
                _shown(about["run"]),
                seconds_of(about["since"]),
                None if seconds is None else seconds_of(seconds),
            )
        except (Unusable, TypeError, KeyError):
            return Holder(number)


def _later(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _shown(text: Any) -> str:
    """Return a name from elsewhere that a terminal can show. Raise TypeError."""
    if not is_text(text) or not text.isprintable():
        raise TypeError("this is a name")
    return str(text)
