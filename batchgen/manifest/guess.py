"""What was probably meant by a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from batchgen.core.naming import printable

_FEW = 12
"""A longer list helps nobody in one line."""


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant, whatever its case; None when none is close."""
    by_case: dict[str, str] = {}
    for name in known:
        by_case.setdefault(name.lower(), name)
    close = difflib.get_close_matches(word.lower(), by_case, n=1, cutoff=0.65)
    return by_case[close[0]] if close else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The advice for an unknown word: `did you mean size?`, else the words there are."""
    meant = nearest(word, known)
    if meant is not None:
        return f"did you mean {printable(meant)}?"
    if not known:
        return "there is none; remove it"
    names = sorted(known)
    if len(names) == 1:
        return f"write {printable(names[0])}"
    more = ", ..." if len(names) > _FEW else ""
    return f"use one of {', '.join(map(printable, names[:_FEW]))}{more}"
