"""Valid inputs, changed at depth, and the laws that a reader of them keeps.

FUZZ_EXAMPLES says how many of each kind are tried, FUZZ_SEED which, FUZZ_FROM at which
number they begin: so a long search goes on, and a failure, which names both, comes
again.
"""

import copy
import json
import os
import random
import re
import time
from pathlib import Path

from dfr_backup.engine.errors import Cancelled, EngineError
from dfr_backup.engine.progress import Progress

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))
SEED = os.environ.get("FUZZ_SEED", "20261128")
FIRST = int(os.environ.get("FUZZ_FROM", "0"))
MOST_SECONDS = 2  # of processor, for one input
MOST_MEMORY = 100 << 20  # bytes above what the process had, for all of them
LONGEST_TEXT = 4000  # characters of an error: somebody reads it
LARGEST = 1 << 63  # what a column of PostgreSQL does not take
TOKENS = (
    *(b"null", b"-1", b"1e999", b"[]", b"{}", b'""', b"false", b'"\\ud800"', b"9" * 40),
    *(b"\0", b"\n", b"\xff", b"'", b"$$", b"/*", b"--", b";", b"\\.\n", b"\\", b"../"),
    *(b"\xff\xff\xff\xff", b"\xff\xff", b"PK\1\2", b"PK\5\6", b"-> X25519 \n", b"  "),
)
ODD_NAMES = (
    *("", ".", "..", "/", "../a", "a/b", "a\0b", "\ud800", "é" * 300, "a" * 5000),
    *(" ", "\n", "a\nb", "-rf", "%s", "%(key)s", "a.zip", "a.json", ".json", ".part"),
)
ODD_NUMBERS = (0, -1, 1, 255, 256, 65535, (1 << 31), (1 << 32) - 1, LARGEST, 1 << 70)
ODD_VALUES = (None, False, True, 1.5, "", "\0", "x" * 70_000, [], {}, [1], ["a", None])


def changed(valid, chance):
    """Return a valid text with one to four changes: a bit, a token, a cut, a repeat."""
    data = bytearray(valid)
    for _number in range(chance.choice((1, 1, 1, 2, 3, 4))):
        at = chance.randrange(len(data) + 1)
        length = chance.choice((0, 1, 2, 4, 20))
        kind = chance.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at : at + length] = chance.choice(TOKENS)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + 200]
        elif at < len(data):
            data[at] = chance.randrange(256)
    return bytes(data)


def changed_value(value, chance):
    """Change what JSON says in one place, at any depth; return nothing."""
    while isinstance(value, (dict, list)) and value:
        names = list(value) if isinstance(value, dict) else list(range(len(value)))
        name = chance.choice(names)
        inner = value[name]
        if not isinstance(inner, (dict, list)) or not inner or chance.random() < 0.3:
            if isinstance(value, dict) and chance.random() < 0.2:
                value[chance.choice(ODD_NAMES)] = value.pop(name)
            else:
                odd = (*ODD_VALUES, *ODD_NUMBERS, *ODD_NAMES, {"a": [{}]})
                value[name] = copy.deepcopy(chance.choice(odd))
            return
        value = inner


def changed_json(valid, chance):
    """Return JSON whose values have changed, and which is JSON all the same."""
    value = json.loads(valid)
    for _number in range(chance.choice((1, 1, 2, 3))):
        changed_value(value, chance)
    return json.dumps(value).encode()


def either(*changes):
    """Return a change that is one of these."""
    return lambda valid, chance: chance.choice(changes)(valid, chance)


def impatient(chance):
    """Return a progress that is cancelled at once, after a while, or never."""
    left = chance.choice((0, 1, 3, 1000, 1000, 1000))

    def tick():
        nonlocal left
        left -= 1
        if left < 0:
            raise Cancelled

    progress = Progress()
    progress.tick = tick
    return progress


def assert_told(error):
    """An error can be stored and shown, whatever the far end put into it."""
    if type(error) is not Cancelled:
        assert error.code, error
    for text in (str(error.in_full), error.log, json.dumps(error.in_full.to_json())):
        assert "\0" not in text, "PostgreSQL keeps no NUL"
        text.encode()
    assert len(str(error.in_full)) < LONGEST_TEXT
    assert len(error.log) < 10 * LONGEST_TEXT


def fuzz(kind, read, valid, change, first, share=1):
    """Read ``EXAMPLES`` changed inputs by ``read(data, chance)``; of a slow kind a
    ``share`` of them when the search is a short one.

    ``first(data, error)`` tells whether one has passed the first check: a third has
    to, or the search only looks at the door.
    """
    examples = EXAMPLES if EXAMPLES > 1000 else EXAMPLES // share
    passed, last = 0, FIRST + examples
    idle = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for number in range(FIRST, last):
        chance = random.Random(f"{SEED}/{kind}/{number}")
        data = change(valid, chance)
        try:
            error = _read(read, data, chance)
            passed += bool(first(data, error))
        except Exception as problem:
            shown = repr(data)[:3000]
            again = f"FUZZ_SEED={SEED} FUZZ_FROM={number}"
            raise AssertionError(f"{kind}, {again}: {shown}") from problem
    grown = _memory("VmHWM") - idle
    print(
        f"{kind}: {examples} inputs, {passed} past the first check, seed {SEED}, "
        f"{grown >> 20} MiB"
    )
    assert grown < MOST_MEMORY, f"{kind}: {grown >> 20} MiB"
    if examples >= 50:
        assert passed * 3 >= examples, f"{kind}: only {passed} of {examples} passed"


def _read(read, data, chance):
    """Return the error that reading has raised, None without one."""
    begun, found = time.process_time(), None
    try:
        read(data, chance)
    except EngineError as error:
        assert_told(error)
        found = error
    assert time.process_time() - begun < MOST_SECONDS
    return found


def _memory(name):
    """Return bytes; "VmHWM" is the most that there ever was since the last reset."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+)", status)[1]) << 10
