"""A dump taken apart: no content may end a statement too early or too late."""

import re
import time
import tracemalloc
from itertools import pairwise

import pytest

from dfr_backup.engine.errors.restore import (
    CutInStatement,
    CutInTable,
    EndlessStatement,
    LastLineMissing,
    PsqlCommands,
    TooMuchText,
)
from dfr_backup.engine.restore.load import sql_stream
from dfr_backup.engine.restore.load.dump_lines import RowTally
from dfr_backup.engine.restore.load.sql_stream import Longest, Rows, Statement, split

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"
STATEMENTS = [
    b"SELECT 1;",
    b"SELECT 'it''s; fine' AS \"a;\"\"b\", E'\\';' || e'\\\\', 'back\\';",
    b"SELECT E'a''\\';b';",
    b"COMMENT ON TABLE t IS 'two\nlines; -- no comment /* nor this */ $$';",
    b"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; SELECT ';'; $$;",
    b"CREATE FUNCTION g() RETURNS text LANGUAGE plpgsql AS $_$ BEGIN RETURN $$;'$$; "
    b"END; $_$;",
    b"CREATE FUNCTION h() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true "
    b"THEN 1 END;"
    b" SELECT 2; END;",
    b"CREATE OR REPLACE PROCEDURE p() LANGUAGE sql\n BEGIN ATOMIC\n DELETE FROM t;\n "
    b"END;",
    b"CREATE FUNCTION begin(begin int) RETURNS begin LANGUAGE sql\nBEGIN ATOMIC\n "
    b"SELECT t.begin AS begin, CASE WHEN true THEN begin END FROM t;\n SELECT 1; END;",
    b"CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);",
    b"CREATE TABLE a$b (begin_date int, weekend int, the_case text DEFAULT 'x$$');",
    b"SELECT 1 /* one ; /* nested ; ' */ $$ ; \" */ + 2;",
    b"SELECT 1 -- a ; ' comment\n + 2;",
    b"SELECT $1$2;".replace(b"$1$2", b"1"),
    'CREATE TABLE „straße“ (ä$ö int, "ü;" text);'.encode(),
    b"SELECT -1 - -2 / 3;",
    b"SELECT U&'d\\0061t\\+000061;', B'101', X'1F', N'x;';",
    b"SELECT $tag$ ; $tag ; $other$ $tag$;",
]
ROWS = b"1\ta;b\\nc\n2\t\\\\.\n3\t\\N\n\\\\.x\t'$$\n"
COPY = b'COPY public."odd;""name" (id, "a b") FROM stdin;'


def pieces(data, size):
    return (data[at : at + size] for at in range(0, len(data), size))


def whole(statements=STATEMENTS):
    return (
        b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n"
        + b"\n\n-- x; '\n".join(statements)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 1 << 20])
def test_statements_are_whole_wherever_the_pieces_end(size):
    items = list(split(pieces(whole() + END, size)))
    assert [item.text for item in items] == STATEMENTS


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_lines_are_those_of_the_dump(size):
    data = whole() + END
    for item in split(pieces(data, size)):
        line = item.text.split(b"\n")[0]
        assert data.split(b"\n")[item.position.line - 1].startswith(line)


@pytest.mark.parametrize("size", [1, 2, 5, 13, 1 << 20])
def test_rows_follow_their_copy_and_end_at_their_end(size, monkeypatch):
    monkeypatch.setattr(sql_stream, "ROWS_CHUNK", 10)
    data = b"SELECT 1;\n" + COPY + b"\n" + ROWS + b"\\.\n\n\nSELECT 2;\n"
    data += COPY + b"\n\\.\n\nSELECT 3;" + END
    items = list(split(pieces(data, size)))
    statements = [item.text for item in items if isinstance(item, Statement)]
    rows = [item for item in items if isinstance(item, Rows)]
    assert statements == [b"SELECT 1;", COPY, b"SELECT 2;", COPY, b"SELECT 3;"]
    assert b"".join(map(joined, rows)) == ROWS
    assert all(joined(item).endswith(b"\n") for item in rows)
    for item in rows:
        assert data.split(b"\n")[item.position.line - 1] == joined(item).split(b"\n")[0]


def joined(rows):
    return b"".join(rows.parts)


@pytest.mark.parametrize(
    "rows", [b"", b"a\\.\n", b"\\\\.\n", b"a\n\\N\n", b"\\\n", b"a\\.b\n\n"]
)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 1 << 20])
def test_only_a_line_of_its_own_ends_the_rows(rows, size):
    items = list(split(pieces(COPY + b"\n" + rows + b"\\.\nSELECT 1;" + END, size)))
    assert b"".join(map(joined, items[1:-1])) == rows
    assert all(item.parts for item in items[1:-1])
    assert items[-1].text == b"SELECT 1;"


def test_one_row_may_be_larger_than_a_chunk():
    row = b"1\t" + b"x" * (9 << 20) + b"\n"
    items = list(split(pieces(COPY + b"\n" + row + b"\\.\n" + END, 1 << 20)))
    assert [joined(item) for item in items[1:]] == [row]


def test_backslashes_escape_where_the_dump_says_so():
    dump = [
        b"SET standard_conforming_strings = off;",
        b"SELECT 'it\\'s; one';",
        b"SELECT 2;",
    ]
    assert [item.text for item in split(pieces(whole(dump) + END, 9))] == dump


@pytest.mark.parametrize(
    "command",
    [b"\\! touch /tmp/x", b"\\gexec", b"\\i file", b"\\copy t from x", b"\\"],
)
@pytest.mark.parametrize("before", [b"", b"SELECT 1;\n", b"SELECT 1; "])
def test_commands_of_psql_are_refused(command, before):
    data = before + command + b"\nSELECT 2;" + END
    for size in (1, 1 << 20):
        with pytest.raises(PsqlCommands):
            list(split(pieces(data, size)))


def test_newer_dumps_are_unrestricted_at_their_end():
    data = whole([b"SELECT 1;"]) + END + b"\\unrestrict abc\n\n"
    assert [item.text for item in split(pieces(data, 11))] == [b"SELECT 1;"]


@pytest.mark.parametrize(
    "cut, error",
    [
        (b"SELECT 'a", CutInStatement),
        (b"SELECT 1", CutInStatement),
        (COPY + b"\n1\t2\n", CutInTable),
        (COPY + b"\n1\t2", CutInTable),
        (b"SELECT 1;\n", LastLineMissing),
        (b"", LastLineMissing),
    ],
)
def test_a_dump_that_was_cut_off_is_not_taken_for_a_whole_one(cut, error):
    with pytest.raises(error):
        list(split(pieces(b"SELECT 0;\n" + cut, 4)))


def test_a_statement_that_never_ends_does_not_fill_the_memory():
    taken = []

    def damaged():
        yield b"SELECT 0;\nSELECT 'a"
        for number in range(64):
            taken.append(number)
            yield b"x;\n" * (1 << 16)

    with pytest.raises(EndlessStatement) as caught:
        list(split(damaged(), Longest(1 << 20)))
    assert re.search(r"\b2\b", caught.value.log)  # the line
    assert len(taken) < 16  # of 64 pieces


MANY = b", 'some text', 12" * 10 + b")"


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_of_a_long_statement_the_beginning_is_left(size):
    text = b"INSERT INTO a VALUES ('" + b"ab;''\n" * (2 << 20) + b"');"
    data = b"SELECT 0;\n" + text + b"\nSELECT 1;" + END
    before, item, after = split(pieces(data, size))
    assert item.text == text[: len(item.text)]
    assert not item.whole
    assert len(item.text) < 1 << 20
    assert (item.position.line, after.position.line) == (2, 3 + (2 << 20))
    assert (before.text, after.text) == (b"SELECT 0;", b"SELECT 1;")
    _before, item, _after = split(pieces(data, size), held=1 << 30)
    assert item.whole
    assert item.text == text


@pytest.mark.parametrize(
    "begin, more, end",
    [
        (b"COMMENT ON TABLE t IS '", b"a", b"';"),
        (b"COMMENT ON TABLE t IS E'", b"\\n", b"';"),
        (b"CREATE FUNCTION f() RETURNS text AS $_$", b"a\n;", b"$_$ LANGUAGE sql;"),
        (b"CREATE VIEW v AS SELECT 1", b" + 1", b";"),
        (b"INSERT INTO t VALUES (0)", b",\n(1, 'a;b', \"c\", -2, 3/4" + MANY, b";"),
        (b"INSERT INTO t VALUES (0, '{", b'"a": "b; it\'\'s", ', b"}');"),
        (b"SELECT '", b"0" * (1 << 20), b"';"),
    ],
)
def test_what_is_long_is_let_through(begin, more, end):
    """In an archive of any size."""
    text = begin + more * ((10 << 20) // len(more)) + end
    if len(more) == 1 << 20:
        text = begin + more * 160 + end
    (item,) = split(pieces(text + END, 1 << 20), Longest.of_archive(1))
    assert text.startswith(item.text)
    assert not item.whole
    assert Longest.of_archive(1 << 40).size == 1 << 30


MIB = 1 << 20


def drain(dump, *limits):
    """Take everything, and hold nothing."""
    for item in split(dump, *limits):
        if isinstance(item, Rows):
            for _part in item.parts:
                pass
            item.loaded(-1)


@pytest.mark.parametrize(
    "begin, more",
    [
        (b"", b"a"),
        (b"SELECT '", b"a"),
        (b"SELECT '", b"''"),
        (b"SELECT '", b"''a"),
        (b"SELECT E'", b"a"),
        (b"SELECT E'", b"\\\\"),
        (b"SELECT E'", b"\\a"),
        (b"SELECT ", b"("),
        (b"SELECT ", b"$$"),
        (b"SELECT $a$", b"$"),
        (b"/*", b"a"),
        (b"/*", b"/*"),
        (b"--", b"a"),
        (b"\\restrict ", b"a"),
        (b"CREATE FUNCTION ", b"e"),
        (b"SELECT (", b";"),
        (b"SELECT (", b"a)"),
        (b"SELECT (", b"'', "),
        (b"SELECT (", b'""'),
        (b"SELECT (", b"-/"),
        (b"SELECT (", b"a$"),
        (COPY + b"\n", b"a"),
    ],
)
def test_what_never_ends_is_bounded(begin, more):
    """What a zip of some KiB may hold: it costs little, and a cancel, which is heard
    between two pieces, need not wait for long."""
    gaps = []

    def endless():
        yield begin
        piece = (more * (MIB // len(more) + 1))[:MIB]
        for _each in range(300):
            gaps.append(time.process_time())
            yield piece

    tracemalloc.start()
    try:
        with pytest.raises((EndlessStatement, CutInTable, TooMuchText)):
            drain(endless())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB
    assert gaps[-1] - gaps[0] < 10  # while memory is traced; see test_bombs
    assert max((after - before for before, after in pairwise(gaps)), default=0) < 5


@pytest.mark.parametrize("size", [1 << 20, 3 << 20, 100 << 20])
def test_a_long_row_is_handed_on_in_parts(size):
    short, row = b"1\ta\n" * 1000, b"2\t" + b"x" * (40 << 20) + b"\n"
    data = COPY + b"\n" + short + row + short + b"\\.\nSELECT 1;" + END
    found, longest, item = [], 0, None
    for item in split(pieces(data, size)):
        if isinstance(item, Rows):
            parts = list(item.parts)
            longest = max(longest, *map(len, parts))
            assert item.position.line == 2 + b"".join(found).count(b"\n")
            found.append(b"".join(parts))
            item.loaded(-1)
    assert b"".join(found) == short + row + short
    assert item.text == b"SELECT 1;"
    assert item.position.line == 3 + 2001
    assert longest <= (16 << 20) + size


def test_of_a_long_row_that_nobody_reads_nothing_is_left():
    data = COPY + b"\n" + b"x" * (40 << 20) + b"\n\\.\nSELECT 1;" + END
    found = [item for item in split(pieces(data, MIB)) if isinstance(item, Statement)]
    assert [item.text for item in found] == [COPY, b"SELECT 1;"]


@pytest.mark.parametrize("row", [b"1\n", b"x" * (40 << 20) + b"\n"])
def test_rows_are_bounded_by_the_archive(row):
    most = 41 << 20
    rows = row * (most // len(row))
    dump = b"".join([COPY, b"\n", rows, b"\\.\n", COPY, b"\n", rows, b"\\.\n", END])
    drain(pieces(dump, MIB), Longest(rows=2 * most))
    with pytest.raises(TooMuchText):
        drain(pieces(dump, MIB), Longest(rows=most))
    # a real archive may unpack to whatever deflate can hold
    assert Longest.of_archive(100 << 20).rows > 1000 * (99 << 20)


def test_the_end_in_the_middle_of_a_long_row_is_found():
    with pytest.raises(CutInTable):
        drain(pieces(COPY + b"\n" + b"x" * (40 << 20), MIB))


# === LINES === #


def test_lines_of_rows_are_counted_only_when_nobody_has():
    tally = RowTally()
    chunks = (b"1\n2\n", b"3\n"), (b"4\n",), (b"5\n" * 5,)
    assert [tally.add(chunk) for chunk in chunks] == [0, 1, 2]
    assert [tally.lines(number) for number in range(4)] == [0, 3, 4, 9]
    tally.loaded(0, 30)
    tally.loaded(2, -1)
    assert [tally.lines(number) for number in range(4)] == [0, 30, 31, 36]


def test_the_end_in_the_middle_of_a_table_has_a_line():
    with pytest.raises(CutInTable) as caught:
        list(split(pieces(COPY + b"\n" + b"1\tx\n" * 1000, 100)))
    assert re.search(r"\b1002\b", caught.value.log)  # the line


def test_place_of_a_statement_follows_what_was_loaded():
    items = list(split(pieces(COPY + b"\n" + ROWS + b"\\.\nSELECT 1;" + END, 1 << 20)))
    rows, after = items[1], items[2]
    line = after.position.line
    rows.loaded(ROWS.count(b"\n") + 10)
    assert after.position.line == line + 10
