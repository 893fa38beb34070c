"""What psql can load is loaded: fast, and where that fails, in psql's own way.

The fast load does some things at once or in another order than the dump. Where a
database needs that order (a CHECK whose function reads another table, for example),
the dump is loaded once more, from the beginning, by one session.
"""

from collections.abc import Callable, Collection, Iterator

from ...errors import PermanentError
from ...errors.restore import LoadFailed, ObjectRefused
from ...messages import Message, _
from ...progress import Progress
from ..target import RestoreTarget
from .errors import is_of_sql
from .loader import LoadReport, LongStatement, load
from .sql_stream import SHORT_ENOUGH, USUAL, Longest

AGAIN = _(
    "The fast load ended: %(reason)s. The dump is loaded again, by one session and in "
    "its own order."
)
LONG = _(
    "The dump contains an unusually long statement, which needs more memory. The load "
    "starts again."
)


def load_whole(
    dump: Callable[[], Iterator[bytes]],
    target: RestoreTarget,
    progress: Progress,
    *,
    unaccent: bool = False,
    plain: bool = False,
    left_out: Collection[str] = (),
    longest: Longest = USUAL,
    on_failure: Callable[[PermanentError], None] = lambda _error: None,
) -> LoadReport:
    """Load what ``dump`` returns into the new database of ``target``.

    After an SQL error the database is made again, and the dump loaded in its own order,
    in one session; ``plain`` does so at once. ``left_out`` and ``longest`` are as for
    ``load``. A long statement is held in memory only when its end was found before.
    ``on_failure`` gets the error of each load, and may raise what says more. Raise what
    ``load`` raises.
    """

    def loaded(plain: bool, held: int) -> LoadReport:
        try:
            return load(
                dump(),
                target.connection,
                progress,
                unaccent=unaccent,
                plain=plain,
                left_out=left_out,
                longest=longest,
                held=held,
            )
        except PermanentError as error:
            on_failure(error)
            raise

    held = SHORT_ENOUGH
    while True:
        try:
            return loaded(plain, held)
        except LongStatement:
            progress.log(Message(LONG))
            held = longest.size
        except LoadFailed as error:
            helpless = plain or isinstance(error, ObjectRefused)
            if helpless or not is_of_sql(error.__cause__):
                raise
            progress.log(Message(AGAIN, reason=error.message))
            plain = True
        target.create_again(progress)
        progress.done = 0
