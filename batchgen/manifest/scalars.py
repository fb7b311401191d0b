"""What YAML makes of a plain scalar, and what was probably meant.

YAML 1.1 and 1.2 read `no`, `012`, `12:30` or `1e3` differently, and neither reads them as the text that a writer
had in mind. So plain scalars are sorted by the union of both versions, and what is not the same for everyone
becomes a problem that asks for quotes.
"""

from __future__ import annotations

import json
import math
import re
from enum import StrEnum

from msgspec import Struct

from batchgen.core.types import JsonScalar
from batchgen.manifest.document import ListNode, MapNode, Node, Scalar


class Kind(StrEnum):
    """Kinds of scalars; the value is what a problem calls an unquoted one."""

    TEXT = "text"
    NULL = "nothing (null)"
    BOOLEAN = "a yes-or-no value"
    INTEGER = "a number"
    NUMBER = "a number with a point or exponent"
    ODD_BOOLEAN = "a yes-or-no value, for some programs"
    ODD_NUMBER = "a number in an unusual form"
    TIME = "a time of day, which some programs read as a number"
    DATE = "a date"


_PLAIN = re.compile(
    r"""(?P<NULL>~|null|Null|NULL|)
    |(?P<BOOLEAN>true|True|TRUE|false|False|FALSE)
    |(?P<ODD_BOOLEAN>yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)
    |(?P<INTEGER>-?(?:0|[1-9][0-9]{0,17}))
    |(?P<NUMBER>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?)
    |(?P<TIME>[-+]?[0-9][0-9_]*(?::[0-9]{1,2})+(?:\.[0-9_]*)?)
    |(?P<DATE>[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9:.]+[ \t]*(?:Z|[-+][0-9:]+)?)?)
    |(?P<ODD_NUMBER>[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
        |[-+]?0(?:x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))
    """,
    re.VERBOSE,
)

_EARLY = re.compile(r"[0-9]:[0-5][0-9]")


class Unclear(Struct, frozen=True):
    """A plain scalar that means different things to different readers; no field accepts it."""

    kind: Kind


def kind_of(scalar: Scalar) -> Kind:
    """The kind of a scalar; a quoted one is always text."""
    if not scalar.plain or not (found := _PLAIN.fullmatch(scalar.text)):
        return Kind.TEXT
    return Kind[found.lastgroup or "TEXT"]


def native(scalar: Scalar) -> JsonScalar | Unclear:
    """The value of a scalar, or `Unclear` when it needs quotes."""
    match kind_of(scalar):
        case Kind.TEXT:
            return scalar.text
        case Kind.NULL:
            return None
        case Kind.BOOLEAN:
            return scalar.text.lower() == "true"
        case Kind.INTEGER:
            return int(scalar.text)
        case Kind.NUMBER if math.isfinite(number := float(scalar.text)):
            return number
        case Kind.NUMBER:
            return Unclear(Kind.ODD_NUMBER)
        case kind:
            return Unclear(kind)


def plain_value(node: Node) -> object:
    """A node as plain Python values, with `Unclear` where a scalar needs quotes."""
    if isinstance(node, Scalar):
        return native(node)
    if isinstance(node, ListNode):
        return [plain_value(item) for item in node.items]
    return {name: plain_value(value) for name, value in node.values.items()}


def describe(node: Node) -> str:
    """What a node is, for a problem: `an unquoted 012 is a number in an unusual form`."""
    if isinstance(node, MapNode):
        return "these are lines of `name: value`"
    if isinstance(node, ListNode):
        return "this is a list"
    kind = kind_of(node)
    if kind is Kind.TEXT:
        return f"{quoted(node.text)} is text"
    if kind is Kind.NULL:
        return "this is empty" if not node.text else f"an unquoted {node.text} is nothing (null)"
    return f"an unquoted {node.text} is {'a large number' if is_large(node) else kind}"


def is_null(node: Node) -> bool:
    """Whether a node is nothing: an empty value, `~` or `null`."""
    return isinstance(node, Scalar) and kind_of(node) is Kind.NULL


def is_large(scalar: Scalar) -> bool:
    """Whether a scalar is a whole number that is too long to be kept exactly."""
    return kind_of(scalar) is Kind.NUMBER and scalar.text.removeprefix("-").isdigit()


def quoted(text: str, limit: int = 60) -> str:
    """A text in double quotes as YAML takes it, cut when long."""
    return json.dumps(text if len(text) <= limit else text[: limit - 3] + "...", ensure_ascii=False)


def quote_it(node: Node) -> str:
    """The advice to put a node's text in quotes."""
    if isinstance(node, Scalar):
        if kind_of(node) is Kind.TIME and _EARLY.fullmatch(node.text):
            return f"write it in quotes, with two digits for the hour: {quoted('0' + node.text)}"
        return f"write it in quotes: {quoted(node.text)}" if node.text else "write a text"
    if isinstance(node, MapNode) and len(node.keys) == 1:
        return f'put a text that begins with {{ in quotes: "{{{next(iter(node.keys))}}}"'
    return "write a text"
