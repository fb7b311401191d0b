"""Ids and file names: made of ASCII letters, digits, `-` and `_` only, so that every file system takes them.

A task's id is also its image's file name. Names are refused, never repaired: a repaired name would be a surprise
in someone's folder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""What ids and job names look like."""
ID_LIMIT = 100
"""The most characters of an id in a manifest."""
SLUG_LIMIT = 40
"""The most characters that one varied value adds to a task's id."""
FILE_NAME_LIMIT_BYTES = 200
"""File systems take 255 bytes; the rest is room for part files, archives and sync tools that add their own."""
COPY_LENGTH = 4
"""Characters that tell superseded images of one task and fingerprint apart."""
LONGEST_SUFFIX = ".12345678-" + "c" * COPY_LENGTH + ".webp"
"""The most that is ever put behind a task's id: a superseded image's fingerprint, copy and extension."""
TASK_ID_LIMIT = FILE_NAME_LIMIT_BYTES - len(LONGEST_SUFFIX)

_ID = re.compile(ID_PATTERN)
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)


def id_fault(name: str) -> str | None:
    """What is wrong with an id or a job's name, with the fix in brackets; None when it is fine."""
    if not name:
        return "is empty (write letters, digits, - and _, beginning with a letter or digit)"
    if not _ID.fullmatch(name):
        return f'is "{printable(name)}" (write only letters A-Z, digits, - and _, beginning with a letter or digit)'
    if len(name) > ID_LIMIT:
        return f"is {len(name)} characters long (write at most {ID_LIMIT})"
    if name.lower() in _RESERVED:
        return f"is {name}, a name that Windows keeps for a device (choose another)"
    return None


def slug(value: str) -> str:
    """A varied value as a part of a task's id: `Deep  blue!` is `deep-blue`; "" when nothing is left of it."""
    return _NOT_SLUG.sub("-", _ascii_lower(value)).strip("-")[:SLUG_LIMIT].rstrip("-")


def sample_number(sample: int) -> str:
    """A sample's number, from 1, with at least two digits: 01 ... 99, 100."""
    return f"{sample:02d}"


def task_stem(prompt_id: str, slugs: Sequence[str] = ()) -> str:
    """A task's id without its number: `mug--red-oak`, or only `paper-boat` when nothing is appended."""
    return f"{prompt_id}--{'-'.join(slugs)}" if slugs else prompt_id


def task_id(prompt_id: str, slugs: Sequence[str], sample: int) -> str:
    """A task's id and its image's file name without extension: `mug--red-oak--01`."""
    return f"{task_stem(prompt_id, slugs)}--{sample_number(sample)}"


def superseded_name(task: str, fingerprint: str, extension: str, copy: str = "") -> str:
    """The name of a paid image that a newer one replaced; `copy` tells those of one fingerprint apart.

    `extension` is without a dot.
    """
    return f"{task}.{fingerprint[:8]}{'-' if copy else ''}{copy}.{extension}"


def printable(text: str, limit: int = 60) -> str:
    """A text fit for one line of a message: control characters escaped, cut when long."""
    shown = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in shown)


def _ascii_lower(text: str) -> str:
    # str.lower would turn the Kelvin sign into an ASCII k.
    return text.lower() if text.isascii() else "".join(c.lower() if c.isascii() else c for c in text)
