"""Foreign text made fit to be shown: no control, no escape, no disguise."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

REASON_LIMIT = 300
"""Characters of a reason: enough for any provider's sentence, short enough for one line of a report."""

# A title's text must hold no start of another sequence, or many starts without an end would take quadratic time.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\|\x9c)|\x1b[@-_]"
)
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_ACTING = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def safe_text(text: str, *, keep_lines: bool = False, printable: bool = False) -> str:
    """Text of a provider or a manifest, fit for a terminal, a table or a page.

    Terminal sequences, control characters and the marks that turn the direction of writing are taken out
    (Unicode Technical Report 36 tells what they can hide), half surrogates become U+FFFD. Runs of white space
    become one space, unless `keep_lines`: then line ends become newlines and the other white space stays.
    `printable` takes everything out that cannot be seen, also what joins letters and emoji.
    """
    if not text.isprintable():
        # Everything that is taken out is unprintable; most texts have none of it.
        text = _ACTING.sub("", _LINE_ENDS.sub("\n", _SEQUENCES.sub("", text)))
        if printable:
            text = "".join(char for char in text if char.isprintable() or char.isspace())
        text = _SURROGATES.sub("\ufffd", text)
    return text if keep_lines else " ".join(text.split())


def one_line(text: str, limit: int = REASON_LIMIT) -> str:
    """Foreign text as one printable line of at most `limit` characters, the cut marked with `…`."""
    # Far more than the limit is never looked at, so that a megabyte of error costs nothing.
    line = safe_text(text[: limit * 20], printable=True)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https URL that can be asked: a host, plain characters, no blanks."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and text.isascii() and text.isprintable() and " " not in text
