"""The journal of an archive under construction: a text file with one line per complete
member.

The first line is the (time, date) that all members carry, as JSON.
"""

from collections.abc import Iterator
from pathlib import Path

from ..untrusted import parse_json
from .zip_format import Member


def journal_path(path: Path) -> Path:
    """Return where the journal of the archive ``path`` is."""
    return path.with_name(path.name + ".journal")


def stamp_line(journal: Path) -> bytes:
    with open(journal, "rb") as stream:
        return stream.readline()


def read_stamp(journal: Path) -> tuple[int, int]:
    """Return (time, date) of all members. Raise ValueError when the journal is
    damaged."""
    hour, day = parse_json(stamp_line(journal))
    return int(hour), int(day)


def journal_line(member: Member, note: str) -> str:
    m = member
    numbers = (m.method, m.size, m.compressed_size, m.crc)
    places = (m.sha256, m.offset, m.end, int(m.streamed))
    return (
        "\t".join(map(str, (*numbers, *places, _escaped(note), _escaped(m.name))))
        + "\n"
    )


def _parsed(line: bytes) -> tuple[Member, str]:
    """Return (member, note) of a line of the journal. Raise ValueError when it is
    not one."""
    method, size, packed, crc, sha256, offset, end, streamed, note, name = line.split(
        b"\t"
    )
    if not name.endswith(b"\n"):
        raise ValueError("the line was not written to its end")
    member = Member(
        _unescaped(name[:-1]),
        int(method),
        int(size),
        int(packed),
        int(crc),
        sha256.decode(),
        int(offset),
        int(end),
        streamed == b"1",
    )
    return member, _unescaped(note)


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode()


def _unescaped(data: bytes) -> str:
    return data.decode("unicode_escape")


def read_journal(path: Path) -> Iterator[tuple[int, Member, str]]:
    """Yield (where the line ends in the journal, member, note) for every complete
    line."""
    with open(path, "rb") as stream:
        position = len(stream.readline())
        for line in stream:
            try:
                member, note = _parsed(line)
            except ValueError:
                return
            position += len(line)
            yield position, member, note
