"""What a manifest asks for, as one SHA-256: the same request has the same fingerprint for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii

from batchgen.core.types import ImageRequest, JsonObject

FINGERPRINT_VERSION = 1
"""Raised only if the recipe below changes, which makes every stored image look changed: so never lightly."""

TRANSPORT = frozenset({"stream", "partial_images"})
"""Parameters that say how an answer travels and not what is in it: streaming a job buys none of its images again."""

# Made once: building an encoder takes longer than encoding a request.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(provider: str, request: ImageRequest, sample: int) -> str:
    """Hex SHA-256 over the manifest's own values, before catalogue defaults and dialects.

    The base URL, the ids and the template are not part of it, the rendered prompt is: renaming a prompt keeps
    its images. Keys are sorted, so that the order of parameters in the manifest does not matter. Of pictures that go
    along the content counts, in their order, and not the files' names.
    """
    return Fingerprinter(provider).of(request)(sample)


class Fingerprinter:
    """Fingerprints of many requests of one provider; what does not change is written out once."""

    def __init__(self, provider: str) -> None:
        self._beginning = _ENCODER.encode([FINGERPRINT_VERSION, provider])[:-1]
        self._last: tuple[JsonObject, JsonObject, str] | None = None

    def of(self, request: ImageRequest) -> Callable[[int], str]:
        """From a sample's number to the fingerprint of this request's sample."""
        quoted = encode_basestring_ascii
        parts = f"{quoted(request.model)},{quoted(request.prompt)},{self._shape(request)}"
        before = hashlib.sha256(f"{self._beginning},{parts},".encode("ascii"))
        hashes = [picture.sha256 for picture in request.references]
        if request.mask is not None:
            hashes.append(f"mask:{request.mask.sha256}")
        after = f",{_ENCODER.encode(hashes)}]" if hashes else ",[]]"

        def of_sample(sample: int) -> str:
            whole = before.copy()
            whole.update(f"{sample}{after}".encode("ascii"))
            return whole.hexdigest()

        return of_sample

    def _shape(self, request: ImageRequest) -> str:
        """Parameters and `extra`: most tasks have the very ones of the task before, which are not encoded again."""
        asked, extra = request.parameters, request.extra
        if self._last is None or self._last[0] is not asked or self._last[1] is not extra:
            sent = {name: value for name, value in asked.items() if name not in TRANSPORT}
            self._last = (asked, extra, _ENCODER.encode([sent, extra])[1:-1])
        return self._last[2]
