"""What the images API allows of pictures that go along with a prompt (OpenAI's reference, November 2026)."""

from __future__ import annotations

MOST_REFERENCES = 16
"""No model takes more pictures with one request."""

PICTURE_BYTES = 50 * 2**20
"""The largest file of a picture."""

MASK_BYTES = 4 * 2**20
"""The largest file of a mask, by the specification; the guide speaks of more."""

PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp")
"""What pictures may be."""
