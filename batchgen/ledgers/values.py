"""What a column may hold: words and numbers that batchgen never writes end where they are read, not later in a run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import msgspec

from batchgen.core.errors import LedgerDamagedError
from batchgen.core.money import usd
from batchgen.core.types import FailureClass
from batchgen.system.clock import moment_or_blank

Given = ParamSpec("Given")
Value = TypeVar("Value")

SAME_TEXTS = 256
"""So many texts are remembered with what they say: rows of one entry of the manifest mostly say the same."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_WORDS = msgspec.json.Decoder(dict[str, str])
_LARGEST_COUNT = 2**53
_LARGEST_AMOUNT = 1e100
"""Beyond it sums and roundings overflow; no price and no duration comes near."""


_NEVER_WRITTEN = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


@contextmanager
def reading() -> Iterator[None]:
    """Around what turns rows into values. Raises `LedgerDamagedError`, whatever is wrong."""
    try:
        yield
    except _NEVER_WRITTEN as error:
        raise _damaged(error) from error


def reads(function: Callable[Given, Value]) -> Callable[Given, Value]:
    """`reading` around a whole function: without a context manager, since a million rows pass through it."""

    @wraps(function)
    def wrapped(*values: Given.args, **named: Given.kwargs) -> Value:
        try:
            return function(*values, **named)
        except _NEVER_WRITTEN as error:
            raise _damaged(error) from error

    return wrapped


def _damaged(error: Exception) -> LedgerDamagedError:
    return LedgerDamagedError(f"the ledger holds a row that batchgen never wrote ({error})")


def storable(text: str | None) -> str | None:
    """Text that SQLite takes: a lone surrogate, which JSON can bring, is written as its escape."""
    return text if text is None else text.encode("utf-8", "backslashreplace").decode()


def dump(value: object) -> str:
    """Compact JSON, in ASCII so that any string survives."""
    return _ENCODER.encode(value)


def count(value: int) -> int:
    """A number of things. Raises `ValueError`."""
    if not 0 <= value <= _LARGEST_COUNT:
        raise ValueError(f"{value} is no number of things")
    return value


def amount(value: float | None) -> float | None:
    """Dollars or seconds, None when not known. Raises `ValueError`."""
    if value is not None and not 0 <= value <= _LARGEST_AMOUNT:
        raise ValueError(f"{value} is no amount")
    return value


def sum_usd(value: float) -> float:
    """Many dollars, as they are shown. Raises `ValueError`."""
    return usd(amount(value) or 0.0)


def moment(text: str | None) -> str | None:
    """A moment in UTC; "" and None when not known. Raises `ValueError`."""
    if text and not moment_or_blank(text):
        raise ValueError(f"{text!r} is no moment")
    return text


def class_of(text: str | None) -> FailureClass | None:
    """A failure class, None where nothing failed. Raises `ValueError`."""
    return None if text is None else FailureClass(text)


@lru_cache(SAME_TEXTS)
def json_object(text: str) -> dict[str, Any]:
    """An object in JSON, shared by all rows that say the same; nobody changes it. Raises `ValueError`, `RecursionError`."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("an object was expected")  # noqa: TRY004 - wrong content, not a wrong call
    return found


@lru_cache(SAME_TEXTS)
def json_texts(text: str) -> tuple[str, ...]:
    """A list of texts in JSON. Raises `ValueError`, `RecursionError`."""
    return texts(json.loads(text))


def texts(found: object) -> tuple[str, ...]:
    """A list of texts, as JSON brought it. Raises `ValueError`."""
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError("a list of texts was expected")
    return tuple(found)


_HEX = frozenset("0123456789abcdef")
_UUID_LENGTH = 36
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def digest(text: str | None) -> bytes | None:
    """A hash as it is stored: half as long as its hex digits. Text that is none becomes one, that of nothing else."""
    if text is None:
        return None
    if len(text) % 2 == 0 and _HEX.issuperset(text):
        return bytes.fromhex(text)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def packed(text: str) -> bytes | str:
    """A UUID as it is stored: its 16 bytes; other text stays as it is."""
    if len(text) == _UUID_LENGTH and _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return text


def unpacked(value: bytes | str) -> str:
    """What was `packed`, as text."""
    if isinstance(value, str):
        return value
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def json_words(text: str) -> Mapping[str, str]:
    """An object of texts in JSON. Raises `ValueError`, `RecursionError`."""
    try:
        return _WORDS.decode(text)
    except ValueError:
        return _odd_words(text)  # half surrogates, or no such object


def _odd_words(text: str) -> Mapping[str, str]:
    found = json_object(text)
    if not all(isinstance(one, str) for one in found.values()):
        raise ValueError("an object of texts was expected")
    return found
