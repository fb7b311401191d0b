"""Rows put by in a file without a name: read as often as need be, and never all in memory."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Iterator, Sequence

import msgspec

from batchgen.core.errors import StorageError

_IN_MEMORY_BYTES = 2**20
_AT_ONCE_BYTES = 2**16

Kept = tuple[int, list[str | None]]
"""A row's number and its cells; None for one without a value, which was told."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(tuple[int, list[str | None]])


class Spool:
    """Rows in the order in which they were put; gone with this object. Raises `StorageError` when the disk is full."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - closed with this object
        weakref.finalize(self, self._file.close)

    def put(self, number: int, cells: Sequence[str | None]) -> None:
        """Add a row."""
        try:
            self._file.write(_line(number, cells))
        except OSError as error:
            raise StorageError(
                f"{tempfile.gettempdir()}: a table's rows cannot be put there ({error})"
            ) from error

    def rows(self) -> Iterator[Kept]:
        """All rows from the first one; several may read at the same time."""
        place = 0
        while True:
            self._file.seek(place)
            lines = self._file.readlines(_AT_ONCE_BYTES)
            place = self._file.tell()
            if not lines:
                return
            yield from map(_kept, lines)


def _line(number: int, cells: Sequence[str | None]) -> bytes:
    try:
        return _ENCODER.encode((number, cells)) + b"\n"
    except UnicodeEncodeError:  # half a surrogate, which JSON can bring
        return json.dumps([number, cells]).encode() + b"\n"


def _kept(line: bytes) -> Kept:
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:
        number, cells = json.loads(line)
        return number, cells
