"""Checks nodes with pydantic, and turns what it finds into problems with places and plain words."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batchgen.core.errors import Problem
from batchgen.core.naming import printable
from batchgen.manifest.document import Document, ListNode, MapNode, Node, Scalar
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.scalars import Kind, describe, kind_of, plain_value, quote_it

M = TypeVar("M", bound=BaseModel)
Location = Sequence[int | str]


def check(shape: type[M], node: MapNode, document: Document) -> tuple[M | None, list[Problem]]:
    """The node as a `shape`, or None and everything that is wrong with it."""
    try:
        return shape.model_validate(plain_value(node)), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    return None, [_translate(shape, node, document, detail) for detail in details]


def check_parts(shape: type[M], node: MapNode, document: Document, needed: M) -> tuple[M, list[Problem]]:
    """The node as a `shape`, with the values of `needed` for the keys that are wrong, and what is wrong."""
    checked, problems = check(shape, node, document)
    if checked is not None:
        return checked, []
    good = {name: value for name, value in node.values.items() if name in shape.model_fields}
    parts: dict[str, Any] = dict(needed)
    for name, value in good.items():
        alone = MapNode(node.line, node.column, {name: node.keys[name]}, {name: value})
        try:
            part = shape.model_validate({**_required(shape, needed), **_native(alone)})
        except ValidationError:
            continue
        parts[name] = getattr(part, name)
    return shape.model_construct(**parts), problems


def _required(shape: type[M], needed: M) -> dict[str, Any]:
    return {name: getattr(needed, name) for name, field in shape.model_fields.items() if field.is_required()}


def _native(node: MapNode) -> dict[str, object]:
    return {name: plain_value(value) for name, value in node.values.items()}


def _translate(shape: type[BaseModel], node: MapNode, document: Document, error: ErrorDetails) -> Problem:
    location = error["loc"]
    place, value = _find(node, location)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _shape_at(shape, location[:-1]).model_fields
        return document.problem(place, f"unknown key `{printable(str(location[-1]))}` ({did_you_mean(str(location[-1]), known)})")
    path = ".".join(str(part) for part in location if not isinstance(part, int))
    if kind == "missing":
        return document.problem(place, f"`{path}` is missing ({_write(shape, location)})")
    say = _WORDS.get(kind)
    message = f"`{path}`: {error['msg']}" if say is None else say(path, value, error, _write(shape, location))
    return document.problem(place, message)


def _find(node: Node, location: Location) -> tuple[Node, Node]:
    """The place to name, and the value that is wrong: the same but for an unknown key and a missing one."""
    place: Node = node
    for part in location:
        if isinstance(node, MapNode) and part in node.values:
            place, node = node.keys[str(part)], node.values[str(part)]
        elif isinstance(node, ListNode) and isinstance(part, int):
            place = node = node.items[part]
        else:
            return node, node
    return place, node


def _steps(shape: type[BaseModel], location: Location) -> Iterator[tuple[type[BaseModel], FieldInfo]]:
    for part in location:
        field = shape.model_fields.get(str(part))
        if field is not None:
            yield shape, field
            shape = _inner(field.annotation) or shape


def _shape_at(shape: type[BaseModel], location: Location) -> type[BaseModel]:
    for _, field in _steps(shape, location):
        shape = _inner(field.annotation) or shape
    return shape


def _inner(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part))), None)


def _write(shape: type[BaseModel], location: Location) -> str:
    """The advice that a field's first example gives."""
    field = next(reversed(list(_steps(shape, location))), None)
    if field is None or not field[1].examples:
        return "write a value"
    example = json.dumps(field[1].examples[0], ensure_ascii=False)
    name = next(name for name, known in field[0].model_fields.items() if known is field[1])
    return f"write {name}: {example}"


Words = Callable[[str, Node, ErrorDetails, str], str]


def _text(path: str, value: Node, _: ErrorDetails, __: str) -> str:
    return f"`{path}` must be text, but {describe(value)} ({quote_it(value)})"


def _varied(_: str, value: Node, __: ErrorDetails, ___: str) -> str:
    return f"a varied value must be a text or a number, but {describe(value)} ({quote_it(value)})"


def _number(path: str, value: Node, error: ErrorDetails, advice: str) -> str:
    wanted = "a whole number" if error["type"].startswith("int") else "a number"
    if isinstance(value, Scalar) and not value.plain and kind_of(Scalar(0, 0, value.text, plain=True)) in _NUMBERS:
        advice = f"write {value.text} without quotes"
    return f"`{path}` must be {wanted}, but {describe(value)} ({advice})"


def _must_be(wanted: str, advice: str = "") -> Words:
    def say(path: str, value: Node, _: ErrorDetails, example: str) -> str:
        return f"`{path}` must be {wanted}, but {describe(value)} ({advice or example})"

    return say


def _bound(word: str, name: str) -> Words:
    def say(path: str, value: Node, error: ErrorDetails, _: str) -> str:
        shown = printable(value.text) if isinstance(value, Scalar) else "out of range"
        bound = f"{error['ctx'][name]:g}"
        return f"`{path}` is {shown} (write {bound})" if bound == "1" == shown else f"`{path}` is {shown} (write {word} {bound})"

    return say


def _one_of(path: str, value: Node, error: ErrorDetails, _: str) -> str:
    known = [word.strip(" '") for word in str(error["ctx"]["expected"]).replace(" or ", ", ").split(",")]
    if not isinstance(value, Scalar):
        return f"`{path}` must be one of {', '.join(known)}, but {describe(value)}"
    return f'`{path}` is "{printable(value.text)}" ({did_you_mean(value.text, known)})'


def _plain_words(_: str, __: Node, error: ErrorDetails, ___: str) -> str:
    return str(error["ctx"]["text"])


_NUMBERS: Collection[Kind] = (Kind.INTEGER, Kind.NUMBER)
_LIST = _must_be("a list", "write it in [ ], or as lines that begin with `- `")
_MAPPING = _must_be("a mapping", "write `key: value` lines under it")
_WORDS: dict[str, Words] = {
    "plain_words": _plain_words,
    "varied_value": _varied,
    "string_type": _text,
    "int_type": _number,
    "int_from_float": _number,
    "float_type": _number,
    "finite_number": _number,
    "bool_type": _must_be("true or false", "write true or false"),
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "too_short": lambda path, _, __, example: f"`{path}` is empty ({example})",
    "enum": _one_of,
    "literal_error": _one_of,
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
}
