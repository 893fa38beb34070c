"""What is to be made of an archive."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..encryption.files import Passphrase
from ..queue.reservations import Reservations
from .database_location import DatabaseLocation
from .staging_mark import StagingMark


@dataclass(frozen=True)
class RestoreOptions:
    """What is to be made of an archive.

    ``series`` and ``modules`` are Odoo's here (see ``Surroundings``). ``accepted`` are
    the codes of findings that do not stop this restore. ``neutralize`` returns, for the
    names of the installed modules, the SQL statements that make a copy harmless; None:
    the copy takes over. ``identities`` decrypt the archive, see ``encryption``.
    ``whole`` compares all of the archive before, also what a restore does not read.
    ``plain`` loads the dump in its own order, in one session. ``trusted`` tells whether
    somebody vouches for the archive: one that nobody does (False) is loaded by no
    superuser. None: the operator of the server restores it, and knows. ``space`` is
    where runs of this host reserve what they will write. ``mark`` makes a staging copy
    of it, and ``replaces`` is the number (OID) of the one whose place it takes;
    ``may_replace`` raises when that one may not be replaced any more. ``addons`` is
    where the custom addons will be unpacked.
    """

    place: DatabaseLocation
    series: str
    modules: Collection[str] | None = None
    replace_existing: bool = False
    accepted: Collection[str] = ()
    new_identity: bool = True
    neutralize: Callable[[Sequence[str]], Sequence[str]] | None = None
    identities: Sequence[object] | Passphrase | None = field(default=None, repr=False)
    template: str = "template0"
    unaccent: bool = False
    durable: bool = True
    whole: bool = False
    plain: bool = False
    trusted: bool | None = None
    space: Reservations | None = None
    mark: StagingMark | None = None
    replaces: int = 0
    may_replace: Callable[[], object] | None = None
    addons: Path | None = None
