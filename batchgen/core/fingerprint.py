"""What a manifest asks for, as one SHA-256: the same request has the same fingerprint for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from batchgen.core.types import ImageRequest

FINGERPRINT_VERSION = 1
"""Raised only if the recipe below changes, which makes every stored image look changed: so never lightly."""


def fingerprint(provider: str, request: ImageRequest, sample: int, reference_hashes: Sequence[str] = ()) -> str:
    """Hex SHA-256 over the manifest's own values, before catalogue defaults and dialects.

    The base URL, the ids and the template are not part of it, the rendered prompt is: renaming a prompt keeps
    its images. Keys are sorted, so that the order of parameters in the manifest does not matter.
    """
    parts = [
        FINGERPRINT_VERSION,
        provider,
        request.model,
        request.prompt,
        request.parameters,
        request.extra,
        sample,
        list(reference_hashes),
    ]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
