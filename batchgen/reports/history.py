"""The last run and the money as the page draws them."""

from __future__ import annotations

from collections import Counter

from batchgen.core.history import Bar, History
from batchgen.core.plain import safe_text
from batchgen.reports.text import counted, duration_text, shortened, usd_text

_BAR_WIDTH = 10
_NAME_LENGTH = 80
_LEAST_HEIGHT = 3.0
"""A bar of one request is to be seen beside one of a thousand."""


def timeline(history: History) -> dict[str, object] | None:
    """Bars of a chart 600 wide and 100 high; None without any request."""
    if not history.bars:
        return None
    most = max(bar.stored + bar.failed for bar in history.bars) or 1
    made, failed = sum(bar.stored for bar in history.bars), sum(bar.failed for bar in history.bars)
    words = f"{counted(made, 'image')} in {duration_text(history.seconds)}"
    if failed:
        words += f", {counted(failed, 'failed request')}"
    return {"words": words, "bars": [_bar(bar, most) for bar in history.bars]}


def _bar(bar: Bar, most: int) -> dict[str, object]:
    words = [counted(bar.stored, "image")] if bar.stored else []
    if bar.failed:
        words.append(f"{bar.failed:,} failed")
    return {
        "x": bar.place * _BAR_WIDTH + 1,
        "stored": _height(bar.stored, most),
        "failed": _height(bar.failed, most),
        "words": ", ".join(words),
    }


def _height(number: int, most: int) -> float:
    return round(max(_LEAST_HEIGHT, 94.0 * number / most), 1) if number else 0


def changes(history: History) -> dict[str, object]:
    """How many tasks the last run made new, replaced, made after trouble or lost, and when the run before it began."""
    before = f"{history.before[:16].replace('T', ' ')} UTC" if history.before else ""
    return {"before": before, "counts": Counter(one.change for one in history.revisions).most_common()}


def shares(history: History) -> list[dict[str, object]]:
    """Models and tags with what they cost."""
    return [
        {
            "kind": one.kind,
            "name": shortened(safe_text(one.name), _NAME_LENGTH),
            "images": one.images,
            "cost": usd_text(one.cost_usd),
        }
        for one in history.shares
    ]
