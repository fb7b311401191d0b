"""Links to pictures, which expire as real ones do. Pictures are painted again when fetched, so none is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from batchgen.sandbox.painter import Picture

MAX_LINKS = 10_000
"""The oldest links are forgotten beyond this, so that the sandbox does not grow with the job."""

MAX_HELD_BYTES = 256 * 2**20
"""Of the references that pictures are painted from; the oldest links are forgotten beyond this, too."""


@dataclass(frozen=True, slots=True)
class _Kept:
    picture: Picture
    signature: str
    expires: float


class Links:
    """Hands links out and finds their pictures again; moments are seconds since the epoch."""

    def __init__(self, base_url: str, lifetime_s: float) -> None:
        self._base_url, self._lifetime_s = base_url, lifetime_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._held_bytes = 0
        self._secret = secrets.token_hex(16)

    def add(self, picture: Picture, now: float) -> str:
        """A signed link to a picture."""
        name = f"img-{secrets.token_hex(12)}.{picture.output_format}"
        signature = hashlib.blake2b(f"{self._secret}{name}".encode(), digest_size=16).hexdigest()
        expires = now + self._lifetime_s
        self._kept[name] = _Kept(picture, signature, expires)
        self._held_bytes += len(picture.reference or b"")
        while len(self._kept) > MAX_LINKS or (self._held_bytes > MAX_HELD_BYTES and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            self._held_bytes -= len(oldest.picture.reference or b"")
        ends = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self._base_url}/files/{name}?{urlencode({'se': ends, 'sp': 'r', 'sig': signature})}"

    def find(self, name: str, signature: str, now: float) -> Picture | None:
        """The picture of a link, None when it has expired or was never given."""
        kept = self._kept.get(name)
        if kept is None or kept.signature != signature or now >= kept.expires:
            return None
        return kept.picture


EXPIRED = (
    '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code>'
    "<Message>Server failed to authenticate the request: the signature is not valid or has expired.</Message></Error>"
)
"""What a blob store says of a link that no longer works; its status is 403."""
