"""Two lists compared without holding either: by their length and a mark of their names."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inventory:
    """How many names there are, and the exclusive or of their checksums: the same for the same names in any order."""

    count: int = 0
    mark: int = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> Inventory:
        """Count names, each once."""
        count = mark = 0
        for name in names:
            count += 1
            mark ^= zlib.crc32(name.encode("utf-8", "surrogateescape"))
        return cls(count, mark)
