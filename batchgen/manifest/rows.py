"""The table of an entry: which columns it has, and which of its rows are taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from batchgen.core.naming import printable
from batchgen.manifest.document import Elsewhere, ListNode, MapNode, Node, Scalar
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.tables.lines import TableError, letters
from batchgen.manifest.tables.opening import open_table
from batchgen.manifest.tables.table import Table
from batchgen.manifest.tables.where import Condition, Where

TABLE = "table"
FALLBACKS = ("id", "prompt")
"""Keys whose place a column of the same name takes."""


class EntryTable:
    """The table that an entry names. Faults of the entry are collected with the node that is to be mended."""

    def __init__(self, node: MapNode, folder: Path) -> None:
        self._node = node
        self._folder = folder
        self.faults: list[tuple[Node, str]] = []
        self.table = self._open()

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, none when it could not be read."""
        return () if self.table is None else self.table.columns

    def filled(self) -> MapNode:
        """The entry with `{id}` and `{prompt}` where it leaves them to the columns of these names."""
        node = self._node
        place = node.values.get(TABLE, node)
        stand_ins: dict[str, Node] = {}
        for key in FALLBACKS:
            if key in node.values or self.table is None:
                continue
            if key in self.columns:
                stand_ins[key] = Scalar(place.line, place.column, f"{{{key}}}", plain=False)
            else:
                self.faults.append((place, self._missing(key)))
        return MapNode(node.line, node.column, node.keys, {**stand_ins, **node.values})

    def _missing(self, key: str) -> str:
        columns = self.columns
        name = columns[0] if len(columns) == 1 else "COLUMN"
        shown = ", ".join(map(printable, columns[:12]))
        return f'the table has no column `{key}`, so say where it comes from (write {key}: "{{{name}}}"; its columns are {shown})'

    def _open(self) -> Table | None:
        place, sheet = self._node.values.get(TABLE), self._node.values.get("sheet")
        if not isinstance(place, Scalar) or not place.text:
            return None  # which is said of its type
        name = place.text
        sheet_name = sheet.text if isinstance(sheet, Scalar) and sheet.text else None

        file = str(self._folder / name)
        with ExitStack() as opened:
            try:
                source = open_table(opened, self._folder, name, sheet_name)
            except TableError as error:
                node = self._node.values.get(error.key, place)
                if error.row is not None:
                    heading = letters(error.column or 0)
                    node = Elsewhere(error.row, 1, "", plain=False, file=file, heading=heading)
                self.faults.append((node, str(error)))
                return None
            return Table.of(file, source, opened.pop_all(), self._where(source.header))

    def _where(self, header: tuple[str, ...]) -> Where:
        node = self._node.values.get("where")
        return Where(tuple(self._conditions(node, header)) if isinstance(node, MapNode) else ())

    def _conditions(self, node: MapNode, header: tuple[str, ...]) -> Iterator[Condition]:
        for column, value in node.values.items():
            values = value.items if isinstance(value, ListNode) else [value]
            if column not in header or not column:
                near = did_you_mean(column, [name for name in header if name])
                self.faults.append(
                    (node.keys[column], f"the table has no column `{printable(column)}` ({near})")
                )
            else:
                yield Condition(column, tuple(each for each in values if isinstance(each, Scalar)))
