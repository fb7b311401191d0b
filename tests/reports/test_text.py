"""Words and numbers for people."""

from __future__ import annotations

import pytest

from batchgen.reports.text import duration_text, usd_text


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
