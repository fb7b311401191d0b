"""What a prompt's requests hold beside the prompt: model, parameters and `extra`, with their placeholders."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct, field

from batchgen.core.errors import Problem
from batchgen.core.types import JsonScalar, JsonValue
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.scalars import Kind, Unclear, describe, is_null, native, quote_it
from batchgen.manifest.template import Template, mentioned, parse_template

EXTRA = "extra"
UNREAD = Template(("",), faults=("it could not be read",))
"""Stands for a text that is missing or none, which is said elsewhere."""

Pattern = JsonScalar | Template | list["Pattern"] | dict[str, "Pattern"]
"""A JSON value in which texts may have placeholders."""


class Field(Struct, frozen=True, eq=False):
    """One parameter of a request: where it is written, and its value.

    A value that is not `sound` is never sent; what it overrode stays in force (`instead`), so that the other
    parameters are judged as they were meant.
    """

    key: Scalar
    node: Node
    pattern: Pattern
    sound: bool = True
    instead: Field | None = None

    @property
    def in_force(self) -> Field | None:
        """The field itself, or what stands in for a faulty one."""
        return self if self.sound else self.instead

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in its value."""
        return tuple(dict.fromkeys(name for text in templates_of(self.pattern) for name in text.names))


class Recipe(Struct, frozen=True, eq=False):
    """The requests of a prompt, all but the prompt itself. `names` are the variables in them.

    `faulty` are the parameters whose values could not be read, by name, `extra` among them; `uses` says where
    which variables are, in faulty values too.
    """

    model: Template
    model_node: Node
    fields: Mapping[str, Field] = field(default_factory=lambda: MappingProxyType({}))
    extra: Field | None = None
    names: tuple[str, ...] = ()
    faulty: Mapping[str, Field] = field(default_factory=lambda: MappingProxyType({}))
    uses: tuple[tuple[Node, tuple[str, ...]], ...] = ()

    @property
    def sound(self) -> bool:
        """Whether all of it could be read."""
        return not self.faulty and not self.model.faults

    @classmethod
    def of(cls, model: Template, model_node: Node, fields: Mapping[str, Field]) -> Recipe:
        """A recipe of a model and the merged request."""
        names = dict.fromkeys(model.names)
        own = {name: used for name, parameter in fields.items() if (used := parameter.in_force)}
        for parameter in own.values():
            names.update(dict.fromkeys(parameter.names))
        faulty = {name: parameter for name, parameter in fields.items() if not parameter.sound}
        uses = [(model_node, model.names), *((each.node, each.names) for each in fields.values())]
        extra = own.pop(EXTRA, None)
        return cls(model, model_node, own, extra, tuple(names), faulty, tuple(use for use in uses if use[1]))


WholeValue = Callable[[str, str], JsonScalar]
"""(variable, its text) -> the value of a text that is exactly this placeholder."""


def fill(pattern: Pattern, values: Mapping[str, str], whole: WholeValue) -> JsonValue:
    """A pattern with its placeholders replaced."""
    if isinstance(pattern, Template):
        name = pattern.whole
        return pattern.render(values) if name is None else whole(name, values[name])
    if isinstance(pattern, list):
        return [fill(item, values, whole) for item in pattern]
    if isinstance(pattern, dict):
        return {key: fill(value, values, whole) for key, value in pattern.items()}
    return pattern


def templates_of(pattern: Pattern) -> Iterator[Template]:
    """The texts with placeholders in a pattern."""
    if isinstance(pattern, Template):
        yield pattern
    elif isinstance(pattern, list | dict):
        for part in pattern if isinstance(pattern, list) else pattern.values():
            yield from templates_of(part)


def names_in(field: Field | None) -> Collection[str]:
    """The keys of a field whose value is a mapping, such as `extra`."""
    return field.node.keys if field is not None and isinstance(field.node, MapNode) else ()


def mentions(node: Node) -> Iterator[str]:
    """Every name that a part of the file might use as a variable, also where its braces are wrong or unquoted."""
    if isinstance(node, Scalar):
        yield from mentioned(node.text)
        return
    if isinstance(node, MapNode):
        yield from (name for name, value in node.values.items() if is_null(value))
    for part in node.items if isinstance(node, ListNode) else node.values.values():
        yield from mentions(part)


class RequestReader:
    """Reads `request` mappings; problems go to `report`, and `faults` counts them."""

    def __init__(self, document: Document, report: Callable[[Problem], None]) -> None:
        self._document = document
        self._report = report
        self.faults = 0

    def read(self, node: Node | None, defaults: Mapping[str, Field] | None = None) -> dict[str, Field]:
        """A `request`, over the defaults that it overrides; null removes one. `defaults` is None at the top."""
        fields = dict(defaults or {})
        if not isinstance(node, MapNode):
            return fields
        for name, value in node.values.items():
            key = node.keys[name]
            if name in _MEANT:
                self._say(key, _not_here(name))
            elif is_null(value):
                self._remove(fields, key, at_the_top=defaults is None)
            else:
                self._add(fields, key, value)
        return fields

    def _add(self, fields: dict[str, Field], key: Scalar, node: Node) -> None:
        """A faulty value is marked, so that the catalogue does not complain of it a second time."""
        faults = self.faults
        if key.text == EXTRA:
            self._check_extra(node)
        pattern = self._pattern(node, key)
        sound = self.faults == faults
        before = fields.get(key.text)
        instead = None if sound or before is None else before.in_force
        fields[key.text] = Field(key, node, pattern, sound, instead)

    def _pattern(self, node: Node, key: Scalar | None = None) -> Pattern:
        """A node as a JSON value with placeholders; `key` is that of a parameter itself."""
        if isinstance(node, ListNode):
            return [self._pattern(item) for item in node.items]
        if isinstance(node, MapNode):
            return {name: self._pattern(value) for name, value in node.values.items()}
        value = native(node)
        if isinstance(value, Unclear) and value.kind is Kind.TIME and key is not None and key.text == "size":
            return node.text  # such as 16:9, of which the catalogue knows what to write instead
        if isinstance(value, Unclear):
            advice = quote_it(node)
            if value.kind is Kind.ODD_BOOLEAN:
                advice = f"write {_SWITCHES[node.text.lower()]}, or {advice}"
            self._say(node, f"{describe(node)} ({advice})")
            return node.text
        return self._text(node) if isinstance(value, str) else value

    def _text(self, node: Scalar) -> Template | str:
        template = parse_template(node.text)
        for fault in template.faults:
            self._say(node, fault)
        return template if template.names else template.literals[0]

    def _remove(self, fields: dict[str, Field], key: Scalar, *, at_the_top: bool) -> None:
        if at_the_top:
            self._say(key, f"`{key.text}` is empty (write a value, or leave the key out)")
        elif fields.pop(key.text, None) is None:
            advice = did_you_mean(key.text, fields) if fields else "leave the key out"
            self._say(key, f"there is no default `{key.text}` to remove ({advice})")

    def _check_extra(self, node: Node) -> None:
        if not isinstance(node, MapNode):
            self._say(
                node, f"`extra` must be lines of `name: value`, but {describe(node)} (write extra: {{seed: 7}})"
            )
            return
        for name, key in node.keys.items():
            if name in _MEANT:
                self._say(key, _not_here(name))

    def _say(self, node: Node, message: str) -> None:
        self.faults += 1
        self._report(self._document.problem(node, message))


_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_MEANT = {
    "model": "the model has its own key (write `model:` beside `request:`)",
    "prompt": "the prompt has its own key (write `prompt:` beside `request:`)",
    "n": "every request is for one image (write `images:` in the prompt instead)",
    "image": "pictures have their own key (write `references: [FILE]` beside `prompt:`)",
    "image[]": "pictures have their own key (write `references: [FILE]` beside `prompt:`)",
    "images": "pictures have their own key (write `references: [FILE]` beside `prompt:`)",
    "mask": "a mask has its own key (write `mask: FILE` beside `references:`)",
}


def _not_here(name: str) -> str:
    return f"`{name}` cannot be set in a request: {_MEANT[name]}"
