"""Words and numbers for people, short to read."""

from __future__ import annotations

import textwrap


def shortened(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where something was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def usd_text(amount_usd: float, *, estimated: bool = False) -> str:
    """Dollars: cents, and as many further digits as a small amount needs (`$0.0053`); `~` marks an estimate."""
    mark = "~" if estimated else ""
    if abs(amount_usd) >= 1 or amount_usd == 0:
        return f"{mark}${amount_usd:,.2f}"
    whole, _, digits = f"{amount_usd:.{4 if abs(amount_usd) >= 0.01 else 6}f}".partition(".")
    return f"{mark}${whole}.{digits.rstrip('0').ljust(2, '0')}"


def duration_text(seconds: float) -> str:
    """A span of time as people say it: `4.2 s`, `42 s`, `12 min`, `3 h 05 min`."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02} min"


def counted(number: int, thing: str) -> str:
    """A number with its noun: `1 image`, `2,000 images`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def rate_text(per_minute: float) -> str:
    """A rate without needless digits: `50`, `2.5`."""
    return f"{per_minute:,.1f}".removesuffix(".0")


def indented(text: str, indent: str, *, first: str | None = None, width: int = 80) -> str:
    """A paragraph wrapped at `width` columns; its first line starts with `first` instead, when that is given.

    80 columns, because a narrower terminal wraps by itself and a wider one is harder to read. Words are never
    broken, so that a path or a command can be copied.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
