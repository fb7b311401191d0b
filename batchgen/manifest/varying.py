"""`vary` and `exclude` of an entry -> its `Variation`, with everything checked that needs no template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batchgen.core.naming import printable
from batchgen.manifest.document import ListNode, MapNode, Node, Scalar
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.prompt import PROMPT
from batchgen.manifest.template import is_name
from batchgen.manifest.values import ListError, is_file, read_values
from batchgen.manifest.variations import MOST_VARIABLES, Exclusion, Value, Variation

NO_VARIATION = Variation()


def with_values(node: MapNode, folder: Path, say: Callable[[Node, str], None]) -> MapNode:
    """The entry with the values of variables that name a file in their place."""
    vary = node.values.get("vary")
    if not isinstance(vary, MapNode) or not any(map(is_file, vary.values.values())):
        return node
    values = {name: _listed(value, folder, say) for name, value in vary.values.items()}
    varied = MapNode(vary.line, vary.column, vary.keys, values)
    return MapNode(node.line, node.column, node.keys, {**node.values, "vary": varied})


def _listed(value: Node, folder: Path, say: Callable[[Node, str], None]) -> Node:
    if not is_file(value):
        return value
    try:
        return read_values(value, folder)
    except ListError as error:
        say(error.node, str(error))
        return ListNode(value.line, value.column, [Scalar(value.line, value.column, "unread", plain=False)])


class VariationReader:
    """Reads the variation of one entry; `columns` are its table's, and what is wrong goes to `say`."""

    def __init__(self, columns: Sequence[str], say: Callable[[Node, str], None]) -> None:
        self._columns = columns
        self._tell = say
        self._sound = True

    def read(self, node: MapNode) -> Variation:
        """The combinations that an entry asks for, as far as they can be read."""
        vary = node.values.get("vary")
        if not isinstance(vary, MapNode) or not vary.values:
            if "exclude" in node.values:
                self._say(node.keys["exclude"], "there is nothing to exclude from (remove it, or add `vary`)")
            return NO_VARIATION
        values = {name: self._values(name, listed) for name, listed in vary.values.items()}
        for name in values:
            self._check_name(vary.keys[name])
        if len(values) > MOST_VARIABLES:
            self._say(vary, f"{len(values)} variables are too many (use at most {MOST_VARIABLES})")
            return Variation(tuple(values), tuple(map(tuple, values.values())))
        excluded = self._exclusions(node, values)
        variation = Variation.of(tuple(values), tuple(values.values()), excluded)
        if variation.count == 0 and excluded:
            self._say(node.keys["exclude"], "`exclude` leaves no combination (remove one of its entries)")
        return variation

    def _values(self, name: str, listed: Node) -> list[Value]:
        values = [Value.of(item) for item in scalars(listed)]
        seen: dict[str, Value] = {}
        for value in values:
            if seen.setdefault(value.text, value) is not value:
                shown = printable(value.text)
                self._say(value.node, f'`{name}` has "{shown}" twice (remove one of them)')
        return values

    def _check_name(self, key: Scalar) -> None:
        if key.text in self._columns:
            self._say(key, f"`{printable(key.text)}` is a column of the table already (choose another name)")
        elif key.text == PROMPT:
            self._say(
                key, "a variable cannot be called `prompt`, which is the prompt itself (choose another name)"
            )
        elif not is_name(key.text):
            shown = printable(key.text)
            self._say(
                key, f"`{shown}` is no name of a variable (write letters, digits, _ and -, a letter first)"
            )

    def _exclusions(self, node: MapNode, values: Mapping[str, list[Value]]) -> list[Exclusion]:
        listed = node.values.get("exclude")
        items = listed.items if isinstance(listed, ListNode) else []
        found = (self._exclusion(item, values) for item in items)
        return [exclusion for exclusion in found if exclusion]

    def _exclusion(self, node: Node, values: Mapping[str, list[Value]]) -> Exclusion | None:
        if not isinstance(node, MapNode) or not node.values:
            self._say(node, "this excludes everything (name at least one variable: {color: red})")
            return None
        names = list(values)
        parts: list[tuple[int, str]] = []
        for name, value in node.values.items():
            if name not in values:
                self._say(
                    node.keys[name], f"`{printable(name)}` is not varied here ({did_you_mean(name, names)})"
                )
            elif isinstance(value, Scalar):
                known = [each.text for each in values[name]]
                if value.text not in known:
                    shown = printable(value.text)
                    self._say(value, f'`{name}` never is "{shown}" ({did_you_mean(value.text, known)})')
                parts.append((names.index(name), value.text))
        return tuple(sorted(parts)) if self._sound else None

    def _say(self, node: Node, message: str) -> None:
        self._sound = False
        self._tell(node, message)


def check_slugs(name: str, values: Sequence[Value], say: Callable[[Node, str], None]) -> None:
    """Values that become part of a file's name must leave something there, each something else."""
    advice = "write an `id` that tells them apart, such as mug-{number}, or choose other values"
    seen: dict[str, Value] = {}
    for value in values:
        shown = printable(value.text)
        if not value.slug:
            message = f'"{shown}" has none of the letters a-z and no digit, so it cannot name a file ({advice})'
            say(value.node, message)
        elif (other := seen.setdefault(value.slug, value)) is not value and other.text != value.text:
            message = f'"{shown}" and "{printable(other.text)}" of `{name}` both become {value.slug} in a file\'s name ({advice})'
            say(value.node, message)


def scalars(node: Node | None) -> list[Scalar]:
    """The single values of a list, none where it is none."""
    items = node.items if isinstance(node, ListNode) else []
    return [item for item in items if isinstance(item, Scalar)]
