"""Two lists compared without holding either: by their length and a mark of their names."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from msgspec import Struct


class Inventory(Struct, frozen=True):
    """How many names there are, and the sum of their hashes modulo 2**64: the same for the same names in any order."""

    count: int = 0
    mark: int = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> Inventory:
        """Count names, each once."""
        count = mark = 0
        for name in names:
            count += 1
            # An exclusive or of CRCs would be that of other names too: names that are counted up differ by few bits.
            mark += int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest())
        return cls(count, mark % 2**64)
