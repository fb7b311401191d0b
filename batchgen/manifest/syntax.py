"""What a YAML parser complains of -> one problem that a writer can act on."""

from __future__ import annotations

import yaml

from batchgen.core.errors import Problem

_QUOTES = 'put a text that holds ": " or begins with { [ & * ! % @ ` in "quotes"'
_HINTS = (
    (
        "mapping values are not allowed",
        "a second `: ` on the line, or a line that is indented wrongly",
        _QUOTES,
    ),
    ("found character '%'", "a text cannot begin with this character", _QUOTES),
    ("cannot start any token", "a text cannot begin with this character", _QUOTES),
    (
        "did not find expected key",
        "the line does not fit what is above it",
        f"check its indentation; {_QUOTES}",
    ),
    (
        "did not find expected '-'",
        "the line does not fit the list above it",
        "begin it with `- ` or indent it further",
    ),
    ("could not find expected ':'", "a key without a colon", f"write `key: value`; {_QUOTES}"),
    ("did not find expected ',' or ']'", "the list that begins here does not end properly", "close it with ]"),
    (
        "did not find expected ',' or '}'",
        "the mapping that begins here does not end properly",
        "close it with }",
    ),
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
_AT_THE_BEGINNING = ("unexpected end of stream", "unexpected document indicator", "expected ',' or")
"""Complaints whose useful place is where the thing began, not where the parser gave up."""


def explain(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """The problem for a parser's error, with its place."""
    complaint = error.problem or "it cannot be read as YAML"
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(part in complaint for part in _AT_THE_BEGINNING):
        mark = error.context_mark
    line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    return Problem(file, line, column, _message(complaint, _character(text, line, column)))


def _character(text: str, line: int, column: int) -> str:
    lines = text.splitlines()
    return lines[line - 1][column - 1 : column] if line <= len(lines) else ""


def _message(complaint: str, character: str) -> str:
    if character == "\t":
        return "a tab where YAML wants spaces (indent with spaces)"
    for part, meaning, advice in _HINTS:
        if part in complaint:
            return f"not valid YAML: {meaning} ({advice})"
    return f"not valid YAML: {complaint}"
