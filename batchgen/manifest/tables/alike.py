"""Mistakes that many rows share are told for the first of them, and counted for the others."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from batchgen.core.errors import Problem

MOST_ALIKE = 20
"""Rows with a mistake of one kind in one column that are told one by one."""


class _Kind(Struct):
    """Mistakes of one kind: how many rows have it, the last of them with what was said of it, the first not told."""

    rows: int = 0
    row: int = 0
    said: set[str] = field(default_factory=set)
    untold: Problem | None = None


class Alike:
    """Lets problems pass, but of those of a table's cells only the first ones of each kind."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int | str, str], _Kind] = {}

    def take(self, problem: Problem, kind: str = "") -> Iterator[Problem]:
        """The problem, unless it was told or there were enough like it."""
        if isinstance(problem.column, int):
            yield problem
            return
        same = self._kinds.setdefault((problem.file, problem.column, kind), _Kind())
        if problem.line != same.row:
            same.row = problem.line
            same.rows += 1
            same.said.clear()
        if problem.message in same.said:
            return
        same.said.add(problem.message)
        if same.rows <= MOST_ALIKE:
            yield problem
        elif same.untold is None:
            same.untold = problem

    def rest(self) -> Iterator[Problem]:
        """How many more rows have the mistakes that were told; to be asked at the end."""
        for same in self._kinds.values():
            first = same.untold
            if first is not None:
                more = same.rows - MOST_ALIKE
                rows = f"{more:,} more rows have" if more > 1 else "one more row has"
                message = f"{rows} a mistake like this, from here on: {first.message}"
                yield Problem(first.file, first.line, first.column, message, first.warning)
