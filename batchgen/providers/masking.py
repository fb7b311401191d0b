"""Foreign words and bytes without the key, and without what opens a signed link."""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchgen.core.plain import plain
from batchgen.providers.endpoint import Secret

HIDDEN = "***"

_KEYS = re.compile(r"\bsk-[A-Za-z0-9_*.-]{4,}|(?<=Bearer )\S+", re.IGNORECASE)
_QUERIES = re.compile(r"(https?://[^\s?\"'<>]{1,2000})\?[^\s\"'<>]+", re.IGNORECASE)

_SHORTEST_KEY = 8
"""A shorter key is none: hiding a word such as `sandbox` everywhere would only garble texts."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides one endpoint's key, and whatever looks like another."""

    key: Secret

    def text(self, text: str) -> str:
        """One plain line without keys and without the queries of URLs. What is invisible goes first, since it may split a key."""
        line = plain(text)
        secret = self.key.reveal()
        if len(secret) >= _SHORTEST_KEY:
            line = line.replace(secret, HIDDEN)
        return _QUERIES.sub(rf"\1?{HIDDEN}", _KEYS.sub(HIDDEN, line))

    def data(self, data: bytes | bytearray) -> bytes:
        """The same bytes with the key itself hidden: evidence is kept on disk."""
        secret = self.key.reveal().encode()
        return bytes(data.replace(secret, HIDDEN.encode()) if len(secret) >= _SHORTEST_KEY else data)
