"""Pieces of work that take turns, so that each can be overtaken at any border."""

import threading
from collections import Counter


class Killed(BaseException):
    """The process has ended."""


class Border:
    """The ``number``-th time (from 1) that work does this operation to an object of
    this kind. There it stands still once, or ends."""

    def __init__(self, name, kind, number, kills=False):
        self.at = name, kind
        self.number = number
        self.kills = kills


class Turn:
    """A piece of work, in a thread of its own: only one of all is ever at work."""

    def __init__(self, work, borders=()):
        self.borders = list(borders)
        self.ended = False
        self.killed = False
        self.stood = 0  # borders at which it stood still
        self.error = None
        self._work = work
        self._counts = Counter()
        self._go = threading.Semaphore(0)
        self._stop = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self):
        """Let it go on, until it stands still again or has ended."""
        self._go.release()
        self._stop.acquire()
        if self.error:
            raise self.error

    def before(self, name, kind):
        """Called by its work before each operation. Who was killed does no more."""
        if self.killed:
            raise Killed
        self._counts[name, kind] += 1
        for border in self.borders:
            if border.at == (name, kind) and border.number == self._counts[name, kind]:
                self.borders.remove(border)
                self.stood += 1
                if border.kills:
                    self.killed = True
                    raise Killed
                self._stop.release()
                self._go.acquire()
                break

    def _run(self):
        self._go.acquire()
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 (whoever resumes it gets it)
            self.error = error
        finally:
            self.ended = True
            self._stop.release()


def take_turns(turns, choose, begin=lambda turn: None):
    """Let all work end; ``choose`` says which goes on, of several. ``begin`` is told
    of it first."""
    while open_turns := [turn for turn in turns if not turn.ended]:
        turn = choose(open_turns)
        begin(turn)
        turn.resume()
