"""Values are frozen: a changed one is a new one.

Most are `msgspec.Struct`s: making such a class takes a twentieth of the half millisecond that a dataclass takes, and a
command makes a hundred before it does anything. Those that must not show their fields (keys, addresses with keys in
them) stay dataclasses, as does what keeps weak references or is made for a run alone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from msgspec import Struct, structs

__all__ = ["replace"]

if TYPE_CHECKING:
    from dataclasses import replace  # whose arguments are checked, for both
else:

    def replace(value, /, **changes):
        """A copy with some fields changed, as `copy.replace` of Python 3.13 makes it of either kind."""
        kind = structs if isinstance(value, Struct) else dataclasses
        return kind.replace(value, **changes)
