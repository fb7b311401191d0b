"""What a YAML parser complains of -> one problem that a writer can act on."""

from __future__ import annotations

import json
import re

import yaml

from batchgen.core.errors import Problem
from batchgen.core.naming import printable

_BETWEEN_NEIGHBOURS = "let it begin exactly below its neighbours, and write `name: value`"
_QUOTES = 'put a text that holds ": " or begins with { [ & * ! % @ ` in "quotes"'
_HINTS = (
    (
        "mapping values are not allowed",
        "the line does not fit the one above it: it begins too far to the right, or the line above has no colon",
        _BETWEEN_NEIGHBOURS,
    ),
    ("found character '%'", "a text cannot begin with this character", _QUOTES),
    ("cannot start any token", "a text cannot begin with this character", _QUOTES),
    (
        "did not find expected key",
        "the line does not fit what is above it",
        _BETWEEN_NEIGHBOURS,
    ),
    (
        "did not find expected '-'",
        "the line does not fit the list above it",
        "begin it with `- ` or indent it further",
    ),
    (
        "could not find expected ':'",
        "a line without a colon",
        "write `name: value`, or indent it further when it goes on with the text above",
    ),
    (
        "did not find expected ',' or ']'",
        "the list that begins here with [ does not end properly",
        "close it with ]",
    ),
    (
        "did not find expected ',' or '}'",
        "what begins here with { does not end properly",
        "close it with }",
    ),
    ("expected comment or line break", "a text cannot begin with this character", _QUOTES),
    ("expected alphabetic or numeric character", "a text cannot begin with this character", _QUOTES),
    ("did not find expected node content", "a value is missing or malformed", _QUOTES),
    ("unexpected end of stream", "the quotes that open here are never closed", 'add the closing "'),
    ("unexpected document indicator", "the quotes that open here are never closed", 'add the closing "'),
    (
        "unknown escape character",
        "an unknown escape after a backslash",
        "double the backslash or use 'single quotes'",
    ),
    ("invalid Unicode character escape", "an escape that is no character", "write the character itself"),
)
_AT_THE_BEGINNING = (
    "unexpected end of stream",
    "unexpected document indicator",
    "expected ',' or",
    "could not find expected ':'",
)
"""Complaints whose useful place is where the thing began, not where the parser gave up."""


def explain(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """The problem for a parser's error, with its place."""
    complaint = error.problem or "it cannot be read as YAML"
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(part in complaint for part in _AT_THE_BEGINNING):
        mark = error.context_mark
    line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    return Problem(file, line, column, _message(complaint, _line(text, line), column))


def _line(text: str, line: int) -> str:
    lines = text.splitlines()
    return lines[line - 1] if line <= len(lines) else ""


def _message(complaint: str, written: str, column: int) -> str:
    if written[column - 1 : column] == "\t":
        return "a tab at the beginning of a line (use blanks instead)"
    for part, meaning, advice in _HINTS:
        if part in complaint:
            quoted = _in_quotes(written) if advice in (_QUOTES, _BETWEEN_NEIGHBOURS) else None
            return f"this cannot be read: {quoted or f'{meaning} ({advice})'}"
    return f"this cannot be read: {complaint}"


def _in_quotes(written: str) -> str | None:
    """What to write for a line whose text needs quotes, or other ones; None when that is not what is wrong."""
    found = _KEY_AND_TEXT.fullmatch(written)
    if found is None or len(found[2]) > MOST_REPEATED:
        return None
    key, text = found[1], found[2].rstrip()
    if text[0] in "\"'":
        inner, why = text.strip(text[0]), f"a {text[0]} within a text in {text[0]} ends it"
    elif key in _MAPPINGS and _KEY_AND_TEXT.fullmatch(text):
        return f"a `name: value` behind `{key}:` goes on a line of its own, or in braces (write {key}: {{{printable(text, MOST_REPEATED)}}})"
    elif ": " in text or text.endswith(":"):
        inner, why = text, "a text with a colon in it needs quotes"
    elif text[0] in "{[&*!%@`|>":
        inner, why = text, f"a text that begins with {text[0]} needs quotes"
    else:
        return None
    return f"{why} (write {key}: {printable(json.dumps(inner, ensure_ascii=False), MOST_REPEATED + 20)})"


MOST_REPEATED = 100
"""Characters of a text that is written out again as it should be."""
_MAPPINGS = frozenset({"limits", "request", "extra", "retry", "report", "vary", "where"})
"""Keys whose values are lines of `name: value`."""
_KEY_AND_TEXT = re.compile(r"\s*(?:- +)*([\w-]+): +(\S.*)")
