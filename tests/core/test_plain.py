"""Foreign text on its way to a terminal, a table or a page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.plain import one_line, safe_text

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT, st.booleans())
def test_safe_text_has_nothing_that_acts(text: str, keep_lines: bool) -> None:
    """Whatever a provider or a manifest says, nothing of it controls a terminal or turns the writing."""
    allowed = "\t\n" if keep_lines else ""

    acting = [
        char
        for char in safe_text(text, keep_lines=keep_lines)
        if (not char.isprintable() and ord(char) < 0xA0 and char not in allowed)
        or "\u202a" <= char <= "\u202e"
        or "\u2066" <= char <= "\u2069"
        or "\ud800" <= char <= "\udfff"
    ]

    assert not acting


def test_safe_text_takes_whole_terminal_sequences_out() -> None:
    """A coloured or titled text leaves only its words, and its lines become one."""
    expected = "red title next"

    assert expected == safe_text("\x1b[31mred\x1b[0m \x1b]0;evil\x07title\r\nnext\u202e\x00")


def test_safe_text_keeps_what_people_write() -> None:
    """Prompts in any script, with emoji joined or not, come through unharmed."""
    expected = "مصباح 👩‍🚀 日本 ñ"

    assert expected == safe_text(expected)
    assert "مصباح 👩🚀 日本 ñ" == safe_text(expected, printable=True)
    assert "sk-key" == safe_text("sk\u200b-k\u2060e\ud800y", printable=True)


@given(ANY_TEXT)
def test_a_printable_line_has_nothing_unseen(text: str) -> None:
    """What could split a key or a word without being seen is out."""
    assert safe_text(text, printable=True).isprintable()


@pytest.mark.parametrize("start", ["\x1b]", "\x9d", "\x1b[", "\x9b", "\x1b", "\x1b]0;"])
def test_a_megabyte_of_begun_sequences_is_cleaned_at_once(start: str) -> None:
    """An answer that is made to keep the cleaner busy takes time in proportion to its length."""
    assert "\x1b" not in safe_text(start * (1_000_000 // len(start)))


@given(st.text(), st.integers(2, 60))
def test_one_line_is_plain_and_stays_as_it_is(text: str, limit: int) -> None:
    """Cleaning twice changes nothing, and nothing invisible or too long survives."""
    line = one_line(text, limit)

    assert line.isprintable()
    assert len(line) <= limit
    assert line == one_line(line, limit)
