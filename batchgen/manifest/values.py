"""`vary: {color: {file: colors.txt}}`: the values of a variable from a text file, one a line."""

from __future__ import annotations

from pathlib import Path

from batchgen.core.values import replace
from batchgen.manifest.document import CONTROL, Elsewhere, ListNode, MapNode, Node, Scalar, control_name
from batchgen.manifest.inside import InsideError, Wanted, open_inside
from batchgen.manifest.scalars import describe

FILE = "file"
MOST_VALUES = 100_000
_LIST = Wanted(
    "list", "colors.txt", "name a text file with one value a line", "split it into several lists", 16 * 2**20
)


class ListError(Exception):
    """A list that cannot be read, and the node of what is wrong."""

    def __init__(self, node: Node, message: str) -> None:
        self.node = node
        super().__init__(message)


def is_file(node: Node) -> bool:
    """Whether a variable's values are those of a file."""
    return isinstance(node, MapNode) and FILE in node.values


def read_values(node: Node, folder: Path) -> ListNode:
    """The values of a variable that names a file, as if they were written in its place. Raises `ListError`."""
    assert isinstance(node, MapNode)
    for name, key in node.keys.items():
        if name != FILE:
            raise ListError(key, "beside `file` there is nothing else to say (remove it)")
    place = node.values[FILE]
    if not isinstance(place, Scalar) or not place.text:
        raise ListError(place, f"`file` must be a file's name, but {describe(place)} (write file: colors.txt)")
    try:
        with open_inside(folder, place.text, _LIST) as file:
            data = file.read(_LIST.most_bytes + 1)
    except (InsideError, OSError) as error:
        raise ListError(place, str(error)) from error
    values = _values(data, str(folder / place.text))
    if not values:
        raise ListError(place, f"{place.text} has no values (write one a line)")
    if len(values) > MOST_VALUES:
        raise ListError(place, f"{place.text} has more than {MOST_VALUES:,} values (use a table)")
    return ListNode(place.line, place.column, [*values])


def _values(data: bytes, file: str) -> list[Elsewhere]:
    """The lines that are neither blank nor comments. Raises `ListError`."""
    values = []
    for number, line in enumerate(data.split(b"\n"), 1):
        where = Elsewhere(number, 1, "", plain=False, file=file)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise ListError(
                where, "the line is not UTF-8 text (save the file with the encoding UTF-8)"
            ) from error
        if found := CONTROL.search(text):
            raise ListError(where, f"{control_name(found[0])} is not allowed in a text (remove it)")
        if text and not text.startswith("#"):
            values.append(replace(where, text=text))
    return values
