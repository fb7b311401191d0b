"""Texts with placeholders: `{name}` is replaced once, `{{` and `}}` are braces. No attributes, no indexes, no code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from batchgen.core.naming import printable

NAME_PATTERN = r"[^\W\d][\w-]*"
"""What variables are called: a letter or _, then letters, digits, _ and -."""

_NAME = re.compile(NAME_PATTERN)
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME_NEXT = re.compile(rf"\s*({NAME_PATTERN})")
_NAME_LAST = re.compile(rf"({NAME_PATTERN})\s*\Z")
MOST_FAULTS = 100
"""Wrong braces of one text that are told: nobody reads more, and a hostile text has millions."""
_NONE: Mapping[str, int] = MappingProxyType({})
_NEAR = 100
"""Characters before a lone `}` in which its name is looked for: a search of a whole text could take forever."""


class Template(Struct, frozen=True):
    """A text cut at its placeholders: `literals` has one part more than `names`.

    `faults` are the braces that mean nothing, each with what to write; a text with any is not to be rendered.
    """

    literals: tuple[str, ...]
    names: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def render(self, values: Mapping[str, str]) -> str:
        """The text with its placeholders replaced; what a value holds is not looked at again."""
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts.append(values[name])
            parts.append(literal)
        return "".join(parts)

    def length(self, values: Mapping[str, str], *, instead: Mapping[str, int] = _NONE) -> int:
        """How many characters `render` would make; `instead` are the lengths of values that are not put together."""
        characters = 0
        for literal in self.literals:
            characters += len(literal)
        for name in self.names:
            characters += instead[name] if name in instead else len(values[name])
        return characters

    @property
    def whole(self) -> str | None:
        """The variable's name when the text is exactly one placeholder."""
        return self.names[0] if len(self.names) == 1 and self.literals == ("", "") else None


def is_name(text: str) -> bool:
    """Whether a variable may be called so."""
    return _NAME.fullmatch(text) is not None


def usable_name(text: str) -> str:
    """A name that a variable may have, as near to a text as it gets: `Product Name` becomes `Product_Name`."""
    name = re.sub(r"[^\w-]+", "_", text).strip("_-")
    return name if is_name(name) else f"column_{name}".rstrip("_")


def parse_template(text: str) -> Template:
    """Cut a text at its placeholders."""
    if "{" not in text and "}" not in text:
        return Template((text,))
    literals, names, faults, parts = list[str](), list[str](), list[str](), list[str]()
    end = 0
    for piece in _PIECE.finditer(text):
        parts.append(text[end : piece.start()])
        end = piece.end()
        if piece[0] in ("{{", "}}"):
            parts.append(piece[0][0])
        elif piece[1] is None or not is_name(piece[1]):
            if len(faults) < MOST_FAULTS:
                faults.append(_fault(piece))
        else:
            names.append(piece[1])
            literals.append("".join(parts))
            parts.clear()
    literals.append("".join(parts) + text[end:])
    return Template(tuple(literals), tuple(names), tuple(dict.fromkeys(faults)))


def mentioned(text: str) -> Iterator[str]:
    """Names in or beside the braces of a text, right or wrong: what `{color }` or `{color` was meant to use."""
    end = 0
    for piece in _PIECE.finditer(text):
        beside = None
        if piece[1] is not None:
            yield from _NAME.findall(piece[1])
        elif piece[0] == "{":
            beside = _NAME_NEXT.match(text, piece.end())
        elif piece[0] == "}":
            beside = _NAME_LAST.search(text[max(end, piece.start() - _NEAR) : piece.start()])
        if beside:
            yield beside[1]
        end = piece.end()


def _fault(piece: re.Match[str]) -> str:
    name: str | None = piece[1]
    if name is None:
        where = printable(piece.string[max(piece.start() - 10, 0) : piece.end() + 10])
        if piece[0] == "{" and (begun := _NAME.match(piece.string, piece.end())):
            return (
                f"a {{ in `{where}` is never closed (write {{{begun[0]}}} for the variable, {{{{ for a brace)"
            )
        return f"a single {piece[0]} in `{where}` (write {piece[0] * 2} for a brace, {{name}} for a variable)"
    return (
        f"`{{{printable(name)}}}` is no variable: names are letters, digits, _ and - "
        f"(write {{name}}, or {{{{ and }}}} for braces)"
    )
