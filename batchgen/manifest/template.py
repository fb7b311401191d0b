"""Texts with placeholders: `{name}` is replaced once, `{{` and `}}` are braces. No attributes, no indexes, no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from batchgen.core.naming import printable

NAME_PATTERN = r"[^\W\d][\w-]*"
"""What variables are called: a letter or _, then letters, digits, _ and -."""

_NAME = re.compile(NAME_PATTERN)
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class TemplateError(ValueError):
    """A text whose braces mean nothing; the message says which and what to write."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text cut at its placeholders: `literals` has one part more than `names`."""

    literals: tuple[str, ...]
    names: tuple[str, ...] = ()

    def render(self, values: Mapping[str, str]) -> str:
        """The text with its placeholders replaced; what a value holds is not looked at again."""
        if not self.names:
            return self.literals[0]
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts.append(values[name])
            parts.append(literal)
        return "".join(parts)

    @property
    def whole(self) -> str | None:
        """The variable's name when the text is exactly one placeholder."""
        return self.names[0] if len(self.names) == 1 and self.literals == ("", "") else None


def is_name(text: str) -> bool:
    """Whether a variable may be called so."""
    return _NAME.fullmatch(text) is not None


def parse_template(text: str) -> Template:
    """Cut a text at its placeholders. Raises `TemplateError`."""
    if "{" not in text and "}" not in text:
        return Template((text,))
    literals, names = [""], list[str]()
    end = 0
    for piece in _PIECE.finditer(text):
        literals[-1] += text[end : piece.start()]
        end = piece.end()
        if piece[0] in ("{{", "}}"):
            literals[-1] += piece[0][0]
        else:
            names.append(_placeholder(piece))
            literals.append("")
    literals[-1] += text[end:]
    return Template(tuple(literals), tuple(names))


def _placeholder(piece: re.Match[str]) -> str:
    name: str | None = piece[1]
    if name is None:
        where = printable(piece.string[max(piece.start() - 10, 0) : piece.end() + 10])
        raise TemplateError(
            f"a single {piece[0]} in `{where}` (write {piece[0] * 2} for a brace, {{name}} for a variable)"
        )
    if not is_name(name):
        raise TemplateError(
            f"`{{{printable(name)}}}` is no variable: names are letters, digits, _ and - "
            f"(write {{name}}, or {{{{ and }}}} for braces)"
        )
    return name
