"""A YAML file as nodes that know their place: what is risky is refused before anything is built.

The composer runs over the events of libyaml's parser and keeps every scalar's own text, so that `012` or
`1.50` can still be told from `10` and `1.5`. Aliases, anchors, foreign tags, further documents, deep nesting
and huge files are refused; keys that are written twice are noted and the first one is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from msgspec import Struct, field

from batchgen.core.errors import Problem, ProblemsError, UsageError
from batchgen.core.naming import printable
from batchgen.manifest.neighbours import nearest_file
from batchgen.manifest.syntax import explain

MAX_BYTES = 64 * 2**20
"""A larger file is a mistake: 100,000 long prompts take less."""
MAX_DEPTH = 32
"""The format needs 6 levels; the rest is room for `extra`."""
MAX_REFUSALS = 100
"""A refused file is refused after this many reasons: nobody reads more, and a hostile one has millions."""
_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({"!", _TAG + "str"})
_PLAIN_TAGS = frozenset(_TAG + name for name in ("int", "float", "bool", "null"))
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Characters that no text of a manifest, or of a table, may hold."""


# These three are not frozen: a file may hold a million of them, and freezing doubles the time to make one.
class Scalar(Struct, eq=False):
    """A text, number or word as it is written; `plain` means without quotes. Lines and columns count from 1."""

    line: int
    column: int
    text: str
    plain: bool


class ListNode(Struct, eq=False):
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)


class MapNode(Struct, eq=False):
    """A mapping; `keys` have the places of the keys, `values` the values."""

    line: int
    column: int
    keys: dict[str, Scalar] = field(default_factory=dict)
    values: dict[str, Node] = field(default_factory=dict)


class Elsewhere(Scalar, eq=False):
    """A text of another file: a line of a list of values, or a table's cell.

    A cell's row is its `line`, and `heading` the name of its column.
    """

    file: str = ""
    heading: str = ""


Node = Scalar | ListNode | MapNode


class Document(Struct, frozen=True):
    """A file that was read: its bytes, its root node (None when it is empty), and what is wrong but survivable."""

    file: str
    data: bytes
    root: Node | None
    problems: tuple[Problem, ...]

    def problem(self, node: Node | None, message: str, *, warning: bool = False) -> Problem:
        """A problem at a node's place, or at the file's start."""
        if isinstance(node, Elsewhere):
            return Problem(node.file, node.line, node.heading or node.column, message, warning)
        line, column = (1, 1) if node is None else (node.line, node.column)
        return Problem(self.file, line, column, message, warning)


def read_document(path: Path) -> Document:
    """Read a file. Raises `UsageError` when there is none, `ProblemsError` when it is refused."""
    return compose(str(path), read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """A file's bytes, of at most `MAX_BYTES`. Raises as `read_document` does."""
    try:
        with path.open("rb") as file:
            data = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    except FileNotFoundError as error:
        what = "this link leads nowhere" if path.is_symlink() else f"there is no such file{_instead(path)}"
        raise UsageError(f"{path}: {what}") from error
    except OSError as error:
        raise _refuse(str(path), 1, 1, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise _refuse(
            str(path), 1, 1, f"the file is larger than {MAX_BYTES // 2**20} MiB (split it into several)"
        )
    return data


def _instead(path: Path) -> str:
    """The file of the same folder that was probably meant."""
    meant = nearest_file(path.parent, path.name, (".yaml", ".yml"))
    return f" (did you mean {printable(str(path.parent / meant))}?)" if meant else ""


def compose(file: str, data: bytes) -> Document:
    """Build the nodes of a YAML file's bytes. Raises `ProblemsError` when it is refused."""
    composer = _Composer(file)
    text = _decode(file, data)
    try:
        for event in _events(text):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise ProblemsError([*composer.refusals, explain(file, text, error)]) from error
    if composer.refusals:
        raise ProblemsError(composer.refusals)
    return Document(file, data, composer.root, tuple(composer.problems))


def _events(text: str) -> Iterator[yaml.Event]:
    loader = yaml.CSafeLoader(text)
    try:
        while (event := loader.get_event()) is not None:
            yield event
    finally:
        loader.dispose()


def _decode(file: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        message = "the file is not UTF-8 text (save it with the encoding UTF-8)"
        raise _refuse(file, before.count(b"\n") + 1, column, message) from error
    if found := CONTROL.search(text):
        before_it = text[: found.start()]
        column = len(before_it.rpartition("\n")[2]) + 1
        message = f"{control_name(found[0])} is not allowed in YAML (remove it)"
        raise _refuse(file, before_it.count("\n") + 1, column, message)
    return text


def control_name(character: str) -> str:
    """What a problem calls a control character."""
    return f"the control character U+{ord(character):04X}"


def _refuse(file: str, line: int, column: int, message: str) -> ProblemsError:
    return ProblemsError([Problem(file, line, column, message)])


class _Composer:
    """Events in, nodes out. `refusals` stop the file, `problems` do not."""

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self.refusals: list[Problem] = []
        self.problems: list[Problem] = []
        self._file = file
        self._stack: list[ListNode | MapNode] = []
        # The key that waits for its value, one for every open container.
        self._keys: list[Scalar | None] = []
        # Every key's text once: 100,000 prompts have the same few.
        self._words: dict[str, str] = {}

    def take(self, event: yaml.Event) -> None:
        """Take the next event in."""
        match event:
            case yaml.ScalarEvent():
                self._place(self._scalar(event))
            case yaml.MappingStartEvent():
                self._open(MapNode(*_at(event)), event, _TAG + "map")
            case yaml.SequenceStartEvent():
                self._open(ListNode(*_at(event)), event, _TAG + "seq")
            case yaml.CollectionEndEvent():
                self._stack.pop()
                self._keys.pop()
            case yaml.AliasEvent():
                self._refuse(event, f"aliases such as *{event.anchor} are not allowed (write the value out)")
                self._place(Scalar(*_at(event), text="", plain=False))
            case yaml.DocumentStartEvent() if self.root is not None:
                self._refuse(event, "a second document begins here (one file is one document: remove the ---)")
                raise ProblemsError(self.refusals)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag, text = event.tag, event.value
        plain = event.implicit[0] if tag is None else tag in _PLAIN_TAGS
        self._check_anchor(event)
        if tag is not None and not plain and tag not in _TEXT_TAGS:
            self._refuse_tag(event)
        node = Scalar(*_at(event), text, plain)
        if not plain and (found := CONTROL.search(text)):
            message = f"{control_name(found[0])} is not allowed in a text (remove it)"
            self.problems.append(Problem(self._file, node.line, node.column, message))
        return node

    def _open(self, node: ListNode | MapNode, event: yaml.CollectionStartEvent, own_tag: str) -> None:
        self._check_anchor(event)
        if event.tag not in (None, own_tag):
            self._refuse_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels (make it flatter)")
            raise ProblemsError(self.refusals)
        self._place(node)
        self._stack.append(node)
        self._keys.append(None)

    def _place(self, node: Node) -> None:
        """Put a node where it belongs: the root, a list's end, or a mapping's key or value."""
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
        elif (key := self._keys[-1]) is None:
            self._keys[-1] = self._key(parent, node)
        else:
            self._keys[-1] = None
            if parent.keys[key.text] is key:
                parent.values[key.text] = node

    def _key(self, parent: MapNode, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            message = (
                'a key must be a plain word here (put text that begins with { or [ in quotes: "{name} ...")'
            )
            raise ProblemsError([*self.refusals, Problem(self._file, node.line, node.column, message)])
        node.text = self._words.setdefault(node.text, node.text)
        first = parent.keys.setdefault(node.text, node)
        if first is not node:
            message = f"`{node.text}` is written twice here, first on line {first.line} (keep one of the two)"
            self.problems.append(Problem(self._file, node.line, node.column, message))
        return node

    def _check_anchor(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self._refuse(event, f"anchors such as &{event.anchor} are not allowed (write the value out)")

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        name = str(event.tag).replace(_TAG, "!!")
        self._refuse(event, f"the tag {name} is not allowed (remove it)")

    def _refuse(self, event: yaml.Event, message: str) -> None:
        self.refusals.append(Problem(self._file, *_at(event), message))
        if len(self.refusals) >= MAX_REFUSALS:
            raise ProblemsError(self.refusals)


def _at(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None  # the parser marks every event
    return mark.line + 1, mark.column + 1
