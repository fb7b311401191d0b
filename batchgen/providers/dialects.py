"""How providers want to be spoken to, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where a request goes below the base URL, and how it carries the key."""

    path: str = "/images/generations"
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "


DIALECTS: Mapping[str, Dialect] = MappingProxyType({"openai": Dialect()})
"""By the name that `dialect:` of a configuration gives."""
