"""Words and numbers for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.reports.text import duration_text, safe_text, usd_text

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


@pytest.mark.parametrize(
    ("expected", "amount_usd"),
    [
        ("$0.00", 0),
        ("$0.041", 0.041),
        ("$0.0053", 0.0053),
        ("$1.00", 0.99999),
        ("$1,234.57", 1234.567),
        ("$0.20", 0.2),
    ],
)
def test_money_shows_the_digits_that_matter(expected: str, amount_usd: float) -> None:
    """A budget reads in cents, and the price of one cheap image does not become zero."""
    assert expected == usd_text(amount_usd)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [
        ("4.2 s", 4.2),
        ("42 s", 42),
        ("1 min", 59.9),
        ("12 min", 734),
        ("3 h 05 min", 11_100),
        ("1 h 00 min", 3599),
    ],
)
def test_durations_read_as_people_say_them(expected: str, seconds: float) -> None:
    """No `60 s` and no `60 min`, and seconds only where they matter."""
    assert expected == duration_text(seconds)
