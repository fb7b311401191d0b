"""Two lists compared without holding either: by their length and a mark of their names."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Inventory(Struct, frozen=True):
    """How many names there are, and the sum of their hashes modulo 2**64: the same for the same names in any order.

    Only those of one process can be compared.
    """

    count: int = 0
    mark: int = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> Inventory:
        """Count names, each once."""
        count = mark = 0
        for name in names:
            count += 1
            # Python's own hash, of 64 bits with a secret of this process: both lists are marked in the same one. An
            # exclusive or of CRCs would be that of other names too: names that are counted up differ by few bits.
            mark += hash(name)
        return cls(count, mark % 2**64)
