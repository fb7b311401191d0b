"""What differs between two requests, in words: short values beside each other, long texts by their differing part."""

from __future__ import annotations

import json
from collections.abc import Iterator

from batchgen.core.differences import Difference, differing_parts
from batchgen.core.plain import safe_text
from batchgen.core.types import JsonValue
from batchgen.reports.columns import cells
from batchgen.reports.text import indented, shortened

_SHORT = 40
"""Columns of a value that is shown beside the other one."""

_LONGEST = 240
"""Characters of a text that differs as a whole: enough to see which one it is."""


def changed_lines(difference: Difference, width: int) -> Iterator[str]:
    """A field with both values, indented below its task."""
    before, now = _parts(difference)
    if before == now:
        yield f"      {in_line(difference)}"
        return
    line = f"      {safe_text(difference.field)}: {before} -> {now}"
    if max(cells(before), cells(now)) <= _SHORT and cells(line) <= width:
        yield line
        return
    yield f"      {safe_text(difference.field)}:"
    yield indented(before, " " * 10, first="        - ", width=width)
    yield indented(now, " " * 10, first="        + ", width=width)


def in_line(difference: Difference) -> str:
    """The same within a line."""
    before, now = _parts(difference)
    told = "only spaces or line ends differ" if before == now else f"{before} -> {now}"
    return f"{safe_text(difference.field)}: {told}"


def _parts(difference: Difference) -> tuple[str, str]:
    before, now = _words(difference.before), _words(difference.now)
    if max(len(before), len(now)) > _SHORT:
        before, now = differing_parts(before, now)
    return shortened(before, _LONGEST), shortened(now, _LONGEST)


def _words(value: JsonValue) -> str:
    if value is None:
        return "none"
    return safe_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
