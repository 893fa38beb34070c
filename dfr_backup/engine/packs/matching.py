"""Which attachment files of a snapshot are stored already, and in which pack."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..sources.filestore import Attachment
from .index import KnownPack
from .names import digest_of
from .terms import Terms


class Found(NamedTuple):
    """An attachment file in a pack: the ``pack``'s number in a list, the file's
    ``number`` in it, and its ``size`` in bytes."""

    pack: int
    number: int
    size: int


Attachments = Iterable[Attachment]


def match(
    attachments: Attachments, packs: Sequence[KnownPack]
) -> Iterator[tuple[Attachment, tuple[Found, ...]]]:
    """Yield each attachment with where it is stored, in the order of the packs; memory
    does not grow with either. The attachments come by file name, as a snapshot yields
    them: one that is out of order counts as not stored."""
    stored = heapq.merge(*(_numbered(at, pack) for at, pack in enumerate(packs)))
    digest, found = next(stored, (b"", None))
    for attachment in attachments:
        wanted = digest_of(attachment.store_fname)
        places: list[Found] = []
        while wanted and found and digest <= wanted:
            if digest == wanted:
                places.append(found)
            digest, found = next(stored, (b"", None))
        yield attachment, tuple(places)


def _numbered(at: int, pack: KnownPack) -> Iterator[tuple[bytes, Found | None]]:
    for number, (digest, size) in enumerate(pack.held()):
        yield digest, Found(at, number, size)


# === THINNING === #


@dataclass(frozen=True)
class Weight:
    """What a pack weighs, in bytes: all that is ``stored`` in it, what is ``wanted`` of
    that, and what is wanted and in no larger pack (``used``)."""

    stored: int
    wanted: int
    used: int


def choose_thin(
    attachments: Callable[[], Attachments], packs: Sequence[KnownPack], terms: Terms
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the numbers of the thin packs, which are not used where another one has
    the file, and of those among them that are not used at all: what is wanted of them
    is stored anew. The packs come with the largest first. No pack is read for that,
    and nothing is deleted."""
    weights = _weigh(match(attachments(), packs), packs) if packs else []
    files = [pack.about.files for pack in packs]
    over = beyond_bits(weights, files, terms)
    thin = thin_among(weights, terms) | over
    if any(pack.used < pack.wanted for pack in weights):
        thin |= replaced_among(match(attachments(), packs), weights)
    if not thin:
        return thin, thin
    return thin, over | _affordable(match(attachments(), packs), weights, thin, terms)


def _weigh(
    matches: Iterable[tuple[Attachment, tuple[Found, ...]]], packs: Sequence[KnownPack]
) -> list[Weight]:
    wanted, used = [0] * len(packs), [0] * len(packs)
    for _attachment, places in matches:
        for place in places:
            wanted[place.pack] += place.size
        for place in places[:1]:
            used[place.pack] += place.size
    totals = [pack.about.total for pack in packs]
    return [Weight(*sizes) for sizes in zip(totals, wanted, used, strict=True)]


def thin_among(weights: Sequence[Weight], terms: Terms) -> frozenset[int]:
    """Return the numbers of the packs that are thin."""
    small = {n for n, pack in enumerate(weights) if pack.stored < terms.small_bytes}
    if sum(bool(weights[n].used) for n in small) <= terms.most_small:
        small = set()
    thin = {
        n
        for n, pack in enumerate(weights)
        if pack.wanted < pack.stored * terms.thin_part
    }
    return frozenset(thin | small)


def replaced_among(
    matches: Iterable[tuple[Attachment, tuple[Found, ...]]], weights: Sequence[Weight]
) -> frozenset[int]:
    """Return the numbers of the packs of which a part is wanted, each file of which is
    in another pack as well of which a larger part is: they were rewritten."""
    parts = [pack.wanted / pack.stored if pack.stored else 1.0 for pack in weights]
    needed: set[int] = set()
    for _attachment, places in matches:
        most = max((parts[place.pack] for place in places), default=0.0)
        needed.update(p.pack for p in places if parts[p.pack] == most)
    partly = {n for n, pack in enumerate(weights) if 0 < pack.wanted < pack.stored}
    return frozenset(partly - needed)


def beyond_bits(
    weights: Sequence[Weight], files: Sequence[int], terms: Terms
) -> frozenset[int]:
    """Return the numbers of the packs of which so little is wanted that a backup cannot
    say which ``files`` (the number of each pack) these are."""
    partly = [n for n, pack in enumerate(weights) if 0 < pack.used < pack.stored]
    partly.sort(key=lambda n: weights[n].wanted / weights[n].stored, reverse=True)
    left, over = terms.bitmap_bytes, set()
    for number in partly:
        left -= (files[number] + 7) >> 3
        if left < 0:
            over.add(number)
    return frozenset(over)


def _affordable(
    matches: Iterable[tuple[Attachment, tuple[Found, ...]]],
    weights: Sequence[Weight],
    thin: Collection[int],
    terms: Terms,
) -> frozenset[int]:
    """Return the thin packs that may be stored anew, those that cost least first."""
    costs = dict.fromkeys(thin, 0)
    for _attachment, places in matches:
        if places and all(place.pack in costs for place in places):
            for place in places:  # any of them may be the one that is used
                costs[place.pack] += place.size
    left = sum(pack.stored for pack in weights) * terms.rewrite_part
    chosen = set()
    for number, cost in sorted(costs.items(), key=lambda item: (item[1], item[0])):
        if cost > left:
            break
        left -= cost
        chosen.add(number)
    return frozenset(chosen)


def best(
    places: Sequence[Found], thin: Collection[int], unused: Collection[int]
) -> Found | None:
    """Return the place whose pack is used, None for a file that is stored anew."""
    if not thin:  # as on most days
        return places[0] if places else None
    usable = [place for place in places if place.pack not in unused]
    full = [place for place in usable if place.pack not in thin]
    return next(iter(full or usable), None)
