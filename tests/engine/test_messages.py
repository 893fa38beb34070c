"""Messages: values until somebody reads them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfr_backup.engine.errors import EngineError
from dfr_backup.engine.messages import (
    NOTHING,
    Joined,
    Message,
    NotAMessage,
    Size,
    _,
    from_json,
    places,
    to_json,
)

GERMAN = {"%(name)s is full": "%(name)s ist voll", "missing": "fehlt"}


def german(template):
    return GERMAN.get(template, template)


def test_english_without_a_language_and_translated_with_one():
    message = Message(_("%(name)s is full"), name="disk")
    assert str(message) == "disk is full"
    assert message.render(german) == "disk ist voll"


def test_a_message_in_a_message_is_translated_too():
    inner = Message("missing")
    message = Message("%(key)s: %(problem)s", key="a.zip", problem=inner)
    assert message.render(german) == "a.zip: fehlt"
    assert Joined([message, "", inner], "\n").render(german) == "a.zip: fehlt\nfehlt"


def test_a_value_is_never_taken_for_a_template():
    message = Message("%(name)s is full", name="100 %(key)s %d missing")
    assert str(message) == "100 %(key)s %d missing is full"
    assert Message("%(what)s", what="missing").render(german) == "missing"


def test_percent_signs():
    assert str(Message("%(drop)s %% smaller", drop=5)) == "5 % smaller"


def test_a_value_that_is_missing_hides_nothing():
    assert str(Message("%(name)s is full")) == "… is full"


@pytest.mark.parametrize("broken", ["%(name)s ist %", "%(name)d ist", "%s ist voll"])
def test_a_translation_that_is_no_template_is_shown_as_it_is(broken):
    message = Message("%(name)s is full", name="disk")
    assert message.render(lambda _template: broken) == broken.replace(
        "%(name)s", "disk"
    )


def test_values_without_a_place_are_not_kept():
    assert Message("%(name)s", name="a", secret="b").values == {"name": "a"}


def test_nothing_is_false():
    assert not NOTHING
    assert str(NOTHING) == ""
    assert not Joined([NOTHING, ""])
    assert Message("missing")


@pytest.mark.parametrize(
    "count, shown", [(0, "0 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes(count, shown):
    assert str(Size(count)) == shown


def test_a_size_has_the_unit_and_the_decimals_of_its_language():
    french = {"%(number)s B": "%(number)s o", "%(number)s KiB": "%(number)s Kio"}
    message = Message("%(new)s of %(all)s", new=Size(5), all=Joined([Size(1536)]))
    assert message.render(lambda term: french.get(term, term), ",") == "5 o of 1,5 Kio"


values = st.recursive(
    st.text() | st.integers() | st.builds(Size, st.integers(0)),
    lambda inner: (
        st.builds(lambda value: Message("%(it)s: %%", it=value), inner)
        | st.builds(lambda parts: Joined(parts, ", "), st.lists(inner))
    ),
)


@given(values)
def test_json_and_back(value):
    message = Message(_("%(value)s and more"), value=value)
    again = from_json(json.loads(json.dumps(to_json(message))))
    assert again == message
    assert str(again) == str(message)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"text": 5},
        {"text": "a", "values": []},
        {"joined": 1},
        {"bytes": ""},
    ],
)
def test_what_is_no_message_is_refused(broken):
    with pytest.raises(NotAMessage):
        from_json(broken)


def test_places():
    assert places("%(a)s %% %(b)s") == {"a", "b"}


def test_what_came_from_outside_can_be_stored():
    """PostgreSQL keeps no NUL, UTF-8 no half of a character, and nobody reads a
    megabyte."""
    message = Message("%(said)s", said="a\0b\ud800" + "c" * 5000)
    assert str(message).startswith("a�b�c")
    assert len(str(message)) == 1000
    error = EngineError(log="d\0" * 50_000)
    assert len(error.log) == 20_000
    assert "\0" not in error.log
