"""From an answer to an image in the state folder: decode, check to the last byte, hash, write. One thread hop."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import pybase64

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.money import settled_usd
from batchgen.core.types import Answer, Attempt, Blob, ImageBytes, Media, StoredImage
from batchgen.core.values import replace
from batchgen.stores.arrivals import Arrival
from batchgen.stores.layout import IMAGES, Layout
from batchgen.stores.sidecars import Origin, build_sidecar, dump_sidecar
from batchgen.system.clock import moment_text
from batchgen.system.turns import forget_frames

_MASKED = "***"
"""What stands where the key was, and never in base64."""
_SPACES = re.compile(r"\s+")
_MIN_ROOM_BYTES = 1 << 20
_MAX_ROOM_BYTES = 64 << 20
_USUAL_ROOM_BYTES = 8 << 20
_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")


class Check(Protocol):
    """What an image's bytes are."""

    def __call__(self, data: Blob, *, allow_svg: bool = False) -> Media:
        """Raises `NotAnImageError`; drawings are images only where they are allowed."""


def room_bytes(attempt: Attempt) -> int:
    """Room for an answer: four bytes a pixel, which no format of natural images exceeds, within 1 and 64 MiB."""
    match = _SIZE.fullmatch(str(attempt.task.request.parameters.get("size", "")))
    if match is None:
        return _USUAL_ROOM_BYTES
    return min(_MAX_ROOM_BYTES, max(_MIN_ROOM_BYTES, 4 * int(match[1]) * int(match[2])))


def bytes_of(encoded: str | Blob) -> Blob:
    """The bytes of an image; base64 in its harmless variants (line breaks, URL-safe letters, no padding) is taken.

    Raises `NotAnImageError`.
    """
    if not isinstance(encoded, str):
        return encoded
    try:
        return pybase64.b64decode(encoded, validate=True)
    except ValueError:
        text = _SPACES.sub("", encoded).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return pybase64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        if _MASKED in encoded:
            raise NotAnImageError("a secret was inside, which is masked in what is kept") from error
        raise NotAnImageError(f"the answer's image is not base64 ({error})") from error


class Arriving:
    """Turns answers into arrivals for the barrier. Called on worker threads.

    `check` looks at the bytes: at their structure, or by decoding them whole.
    """

    def __init__(
        self, layout: Layout, origin: Origin, now: Callable[[], datetime], check: Check | None = None
    ) -> None:
        self._layout = layout
        self._origin = origin
        self._now = now
        self._check = check

    def __call__(self, attempt: Attempt, image: ImageBytes) -> Arrival:
        """Write image and sidecar into the state folder: the first that is one, and what else is paid for behind it.

        What is none lies in quarantine. Raises `NotAnImageError` when all are none.
        """
        found: list[Arrival] = []
        faults: list[NotAnImageError] = []
        for number, encoded in enumerate((image.encoded, *image.more), start=1):
            numbered = f"{attempt.attempt_id}-{number}" if number > 1 else attempt.attempt_id
            one = replace(attempt, attempt_id=numbered) if found else attempt
            try:
                found.append(self._arrive(one, encoded, image.answer, further=bool(found)))
            except NotAnImageError as error:
                forget_frames(error)
                faults.append(error)
                self.quarantine(numbered, _raw(encoded))
        if not found:
            raise faults[0]
        return replace(found[0], more=tuple(found[1:])) if found[1:] else found[0]

    def quarantine(self, attempt_id: str, evidence: Blob) -> None:
        """Keep what came instead of an image, in the room that was made for it."""
        part, kept = self._layout.part(attempt_id), self._layout.evidence(attempt_id)
        part.fill(evidence)
        part.sync()
        part.rename(kept)
        self._layout.part_sidecar(attempt_id).unlink()
        self._layout.quarantine.sync()

    def keep_partial(self, attempt: Attempt, number: int, encoded: str) -> None:
        """Write a partial image, over one of an earlier attempt. Raises `NotAnImageError`, `OSError`."""
        data = bytes_of(encoded)
        media = media_of(data)
        waiting = self._layout.state.file(f"{attempt.attempt_id}.{number}.new")
        waiting.write(data, durable=False)
        waiting.rename(self._layout.partials.file(f"{attempt.task.task_id}.{number}.{media.extension}"))

    def _arrive(self, attempt: Attempt, encoded: str | Blob, answer: Answer, *, further: bool) -> Arrival:
        data = bytes_of(encoded)
        drawing = attempt.task.request.parameters.get("output_format") == "svg"
        media = (self._check or media_of)(data, allow_svg=drawing)
        part, sidecar = self._layout.part(attempt.attempt_id), self._layout.part_sidecar(attempt.attempt_id)
        part.fill(data, mode=0o644)  # cut to size, it leaves more than enough room for its sidecar
        stored = StoredImage(
            attempt_id=attempt.attempt_id,
            task_id=attempt.task.task_id,
            fingerprint=attempt.task.fingerprint,
            file=f"{IMAGES}/{attempt.task.task_id}.{media.extension}",
            sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            mtime_ns=part.status().mark,
            media=media,
            # One that came along belongs to the same request, whose cost the first one carries.
            cost_usd=0.0 if further else settled_usd(attempt.task.price, answer.usage),
        )
        received = moment_text(self._now().astimezone(UTC))
        content = build_sidecar(self._origin, attempt, stored, answer, received, further=further)
        sidecar.write(dump_sidecar(content), durable=False)
        return Arrival(stored, answer, part, sidecar)


def _raw(encoded: str | Blob) -> Blob:
    return encoded.encode("utf-8", "backslashreplace") if isinstance(encoded, str) else encoded
