"""Checks nodes with pydantic, and turns what it finds into problems with places and plain words."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batchgen.core.errors import Problem
from batchgen.core.naming import printable
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar
from batchgen.manifest.fields import Shape
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.scalars import Kind, describe, is_large, is_null, kind_of, plain_value, quote_it
from batchgen.manifest.wording import flow, instead_of, number_in, parts_of

M = TypeVar("M", bound=Shape)
Location = Sequence[int | str]


def check_parts(shape: type[M], node: MapNode, document: Document, needed: M) -> tuple[M, list[Problem]]:
    """The node as a `shape` and what is wrong with it; keys that are wrong have the values of `needed`."""
    try:
        return shape.model_validate(plain_value(node)), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    names = {_written(name, field): name for name, field in shape.model_fields.items()}
    parts = {
        name: _part(shape, needed, name, written, value)
        for written, value in node.values.items()
        if (name := names.get(written)) is not None
    }
    problems = [_translate(shape, node, document, detail) for detail in details]
    return needed.model_copy(update=parts), problems


def _part(shape: type[M], needed: M, name: str, written: str, value: Node) -> object:
    required = {key: getattr(needed, key) for key, field in shape.model_fields.items() if field.is_required()}
    try:
        return getattr(shape.model_validate({**required, written: plain_value(value)}), name)
    except ValidationError:
        return getattr(needed, name)


def _written(name: str, field: FieldInfo) -> str:
    """The key of a field in a file, which Python may have a word of its own for."""
    return field.alias or name


def _translate(shape: type[Shape], node: MapNode, document: Document, error: ErrorDetails) -> Problem:
    location, kind = error["loc"], error["type"]
    value = _find(node, (*location, *error.get("ctx", {}).get("inside", ())))
    if kind == "extra_forbidden":
        return _unknown_key(shape, node, document, location)
    path = ".".join(str(part) for part in location if not isinstance(part, int))
    if kind == "missing":
        return document.problem(value, f"`{path}` is missing ({_write(shape, location)})")
    if is_null(value) and kind == "string_type" and _is_note(document, value):
        return document.problem(
            value, f"`{path}` is empty, since what stands behind a # is a note (put it in quotes)"
        )
    say = _WORDS.get(kind)
    message = f"`{path}`: {error['msg']}" if say is None else say(path, value, error, _write(shape, location))
    return document.problem(value, message)


def _is_note(document: Document, empty: Node) -> bool:
    """Whether a value is empty because its text begins with a #."""
    if len(document.data) > MOST_SEARCHED_BYTES:
        return False
    lines = _lines(document.data)
    # YAML knows more ends of lines than these, so that it may count more lines.
    return empty.line <= len(lines) and lines[empty.line - 1][empty.column - 1 :].lstrip().startswith(b"#")


@lru_cache(maxsize=1)
def _lines(data: bytes) -> list[bytes]:
    """A file's lines, cut once for all empty texts in it."""
    return [line.removeprefix(BOM_UTF8) for line in data.splitlines()]


MOST_SEARCHED_BYTES = 2**20
"""Larger files are not searched for notes, which would be held twice."""


def _unknown_key(shape: type[Shape], node: MapNode, document: Document, location: Location) -> Problem:
    key = str(location[-1])
    parent = _find(node, location[:-1])
    place = parent.keys[key] if isinstance(parent, MapNode) else parent
    known = _shape_at(shape, location[:-1])
    advice = _further_in(key, known) or instead_of(key, [*_fields(known), *known.elsewhere])
    return document.problem(place, f"unknown key `{printable(key)}` ({advice})")


def _further_in(key: str, known: type[Shape]) -> str | None:
    """Where a key belongs that is right, but stands too far out."""
    for name, field in _fields(known).items():
        part = field.annotation
        if isinstance(part, type) and issubclass(part, Shape) and key in _fields(part):
            return f"write `{key}:` under `{name}:`, two blanks further in"
    for name, entry in known.elsewhere.items():
        if entry is not None and key in _fields(entry):
            return f"write `{key}:` in an entry of `{name}:`"
    return None


def _find(node: Node, location: Location) -> Node:
    """The value that a location leads to, or as far as it leads."""
    for part in location:
        if isinstance(node, MapNode) and part in node.values:
            node = node.values[str(part)]
        elif isinstance(node, ListNode) and isinstance(part, int):
            node = node.items[part]
        else:
            break
    return node


def _fields(shape: type[Shape]) -> dict[str, FieldInfo]:
    """The fields by their keys in a file."""
    return {_written(name, field): field for name, field in shape.model_fields.items()}


def _steps(shape: type[Shape], location: Location) -> Iterator[tuple[type[Shape], FieldInfo]]:
    for part in location:
        field = _fields(shape).get(str(part))
        if field is not None:
            yield shape, field
            shape = _inner(field.annotation) or shape


def _shape_at(shape: type[Shape], location: Location) -> type[Shape]:
    for _, field in _steps(shape, location):
        shape = _inner(field.annotation) or shape
    return shape


def _inner(annotation: object) -> type[Shape] | None:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _write(shape: type[Shape], location: Location) -> str:
    """The advice that a field's first example gives."""
    field = next(reversed(list(_steps(shape, location))), None)
    if field is None or not field[1].examples:
        return "write a value"
    example = flow(field[1].examples[0])
    name = next(name for name, known in _fields(field[0]).items() if known is field[1])
    return f"write {name}: {example}"


Words = Callable[[str, Node, ErrorDetails, str], str]


def _text(path: str, value: Node, error: ErrorDetails, example: str) -> str:
    if is_null(value):
        in_a_list = bool(error["loc"]) and isinstance(error["loc"][-1], int)
        return f"`{path}` is empty ({'write a text' if in_a_list else example})"
    return f"`{path}` must be text, but {describe(value)} ({quote_it(value)})"


def _varied(_: str, value: Node, __: ErrorDetails, ___: str) -> str:
    return f"a varied value must be a text or a number, but {describe(value)} ({quote_it(value)})"


def _number(path: str, value: Node, error: ErrorDetails, advice: str) -> str:
    wanted = "a whole number" if error["type"].startswith("int") else "a number"
    if (
        isinstance(value, Scalar)
        and not value.plain
        and kind_of(Scalar(0, 0, value.text, plain=True)) in _NUMBERS
    ):
        advice = f"write {value.text} without quotes"
    elif isinstance(value, Scalar) and (number := number_in(value.text)) and not is_large(value):
        name, whole = path.rpartition(".")[2], number.partition(".")[0]
        advice = f"write {name}: {whole if error['type'].startswith('int') else number}"
    if isinstance(value, Scalar) and is_large(value):
        return f"`{path}` is {printable(value.text)}, which is too {'small' if value.text[0] == '-' else 'large'} ({advice})"
    return f"`{path}` must be {wanted}, but {describe(value)} ({advice})"


def _must_be(wanted: str, advice: str = "") -> Words:
    def say(path: str, value: Node, _: ErrorDetails, example: str) -> str:
        return f"`{path}` must be {wanted}, but {describe(value)} ({advice or example})"

    return say


def _bound(word: str, name: str) -> Words:
    def say(path: str, value: Node, error: ErrorDetails, _: str) -> str:
        shown = printable(value.text) if isinstance(value, Scalar) else "out of range"
        return f"`{path}` is {shown} (write {word} {error['ctx'][name]})"

    return say


def _one_of(path: str, value: Node, error: ErrorDetails, _: str) -> str:
    known = [word.strip(" '") for word in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
    if not isinstance(value, Scalar):
        return f"`{path}` must be one of {', '.join(known)}, but {describe(value)}"
    return f'`{path}` is "{printable(value.text)}" ({did_you_mean(value.text, known)})'


def _empty(path: str, _: Node, error: ErrorDetails, example: str) -> str:
    in_a_list = bool(error["loc"]) and isinstance(error["loc"][-1], int)
    return f"{'a text in ' if in_a_list else ''}`{path}` is empty ({example})"


def _too_long(path: str, _: Node, error: ErrorDetails, __: str) -> str:
    actual, most = error["ctx"]["actual_length"], error["ctx"]["max_length"]
    return f"`{path}` has {actual} entries (write at most {most})"


def _plain_words(_: str, __: Node, error: ErrorDetails, ___: str) -> str:
    return str(error["ctx"]["text"])


def _list(path: str, value: Node, _: ErrorDetails, __: str) -> str:
    name = path.rpartition(".")[2]
    advice = "put it in [ ], or begin it with `- `"
    if isinstance(value, Scalar) and (parts := parts_of(value.text)) and len(value.text) <= MOST_REPEATED:
        advice = f"write {name}: {flow(parts)}"
    return f"`{path}` must be a list, but {describe(value)} ({advice})"


MOST_REPEATED = 60
"""Characters of a text that is written out again as it should be."""

_NUMBERS: Collection[Kind] = (Kind.INTEGER, Kind.NUMBER)
_MAPPING = _must_be("lines of `name: value`")
_WORDS: dict[str, Words] = {
    "plain_words": _plain_words,
    "varied_value": _varied,
    "string_type": _text,
    "int_type": _number,
    "int_from_float": _number,
    "float_type": _number,
    "finite_number": _number,
    "bool_type": _must_be("true or false", "write true or false"),
    "list_type": _list,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "too_short": _empty,
    "string_too_short": _empty,
    "too_long": _too_long,
    "enum": _one_of,
    "literal_error": _one_of,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
}
